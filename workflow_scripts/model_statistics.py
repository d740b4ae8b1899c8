"""Compute the statistics of one model for a merge of models of one shape: its Fisher diagonal or its Gram matrices."""

from graft.compute import hardware
from graft.encoders.bert import load_classifier
from graft.encoders.features import fit_rows
from graft.encoders.inference import batches, pass_flops
from graft.flops.same_shape import statistic_flops
from graft.io import files
from graft.merging.homogeneous import statistics
from graft.registry.shapes import Shape
from graft.study import program, runs


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--system", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--statistic", choices=statistics.KINDS, required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    started = hardware.Stopwatch(grid.study.launch)
    which = args.task, args.system, args.seed, args.statistic
    program.check_fingerprint(grid.model_statistics(*which), args.fingerprint, args.system)
    hardware.use_threads(grid.study.launch.threads)
    device, model = hardware.device_of(grid.study.launch), grid.systems[args.system].model
    tuned = paths.run(args.task, args.system, args.seed)
    runs.read_made(tuned / "build.json", grid.made(args.task, args.system, args.seed))
    tokens = runs.tokens(grid, paths, args.task, model, "train")
    max_tokens, outputs = grid.max_tokens(args.task, model), grid.row(args.task).outputs
    rows = fit_rows(len(tokens), grid.study.calibration.examples)
    read = (
        {name: tensor.to(device) for name, tensor in batch.items()} for _, batch in batches(tokens, max_tokens, rows)
    )
    found = statistics.KINDS[args.statistic](load_classifier(tuned / "model").to(device), read)
    shape = Shape.of(tuned / "model")
    flops = pass_flops(lambda t: statistic_flops(args.statistic, shape, outputs, t), tokens, max_tokens, rows)
    with files.atomic_folder(paths.model_statistics(*which)) as folder:
        statistics.write(found, folder / f"{args.statistic}.safetensors")
        files.write_json(
            folder / "manifest.json",
            {
                "fingerprint": args.fingerprint,
                "examples": len(rows),
                "train_flops_parts": {f"{args.statistic}.{args.system}/{args.task}/seed-{args.seed}": flops},
                "measured": started.measured(),
            },
        )


if __name__ == "__main__":
    program.run(main)
