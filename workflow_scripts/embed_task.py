"""Run a pre-trained model over a task's train and select texts and keep its [CLS] and mean states."""

from graft.compute import hardware
from graft.encoders.bert import load_encoder
from graft.encoders.features import embed, save_states
from graft.io import files
from graft.study import program
from graft.study.runs import model_folder, tokens


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    started = hardware.Stopwatch(grid.study.launch)
    program.check_fingerprint(grid.embed(args.task, args.model), args.fingerprint, args.model)
    hardware.use_threads(grid.study.launch.threads)
    model = load_encoder(model_folder(grid, paths, args.model)).to(hardware.device_of(grid.study.launch))
    splits = {split: tokens(grid, paths, args.task, args.model, split) for split in ("train", "select")}
    with program.progress(f"embed {args.task}") as progress:
        states, flops = embed(model, splits, grid.max_tokens(args.task, args.model), progress)
    manifest = {
        "fingerprint": args.fingerprint,
        "train_flops_parts": {f"embed.{args.model}/{args.task}": flops},
        "measured": started.measured(),
    }
    with files.atomic_folder(paths.embeddings(args.task, args.model)) as folder:
        save_states(states, folder / "states.safetensors")
        files.write_json(folder / "manifest.json", manifest)


if __name__ == "__main__":
    program.run(main)
