"""Run a pair's large model over a task's train and select texts and keep all tokens' states at the mapped layers."""

from graft.compute import hardware
from graft.encoders.bert import load_encoder
from graft.encoders.inference import pass_flops
from graft.encoders.layer_states import collect
from graft.flops.counts import encoder_flops
from graft.io import files
from graft.registry import depth
from graft.registry.shapes import Shape
from graft.study import program, runs


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--pair", required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    started = hardware.Stopwatch(grid.study.launch)
    program.check_fingerprint(grid.embed_layers(args.task, args.pair), args.fingerprint, args.pair)
    hardware.use_threads(grid.study.launch.threads)
    pair = grid.pair(args.pair)
    small, large = (runs.model_folder(grid, paths, model) for model in (pair.small, pair.large))
    shape, max_tokens = Shape.of(large), grid.max_tokens(args.task, pair.large)
    model = load_encoder(large).to(hardware.device_of(grid.study.launch))
    layers = [layer for _, layer in depth.uniform(Shape.of(small).layers, shape.layers)]
    splits = {split: runs.tokens(grid, paths, args.task, pair.large, split) for split in ("train", "select")}
    total, done, flops = sum(map(len, splits.values())), 0, 0
    with (
        program.progress(f"embed {args.task}") as report,
        files.atomic_folder(paths.layers(args.task, args.pair)) as out,
    ):

        def progress(rows: int) -> None:
            nonlocal done
            done += rows
            report(done, total)

        for split, tokens in splits.items():
            collect(model, layers, tokens, max_tokens, out / f"{split}.npy", progress)
            flops += pass_flops(lambda t: encoder_flops(shape, t), tokens, max_tokens)
        manifest = {
            "fingerprint": args.fingerprint,
            "layers": layers,
            "train_flops_parts": {f"embed_layers.{args.pair}/{args.task}": flops},
            "measured": started.measured(),
        }
        files.write_json(out / "manifest.json", manifest)


if __name__ == "__main__":
    program.run(main)
