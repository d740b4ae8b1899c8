"""Merge the encoders of one seed's fine-tunings of all tasks into one; the strength is chosen on their `select`."""

from graft.compute import hardware
from graft.io import files
from graft.making.combining import multitask
from graft.making.combining.combination import Combination
from graft.study import program


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--system", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    started = hardware.Stopwatch(grid.study.launch)
    program.check_fingerprint(grid.encoder(args.system, args.seed), args.fingerprint, args.system)
    hardware.use_threads(grid.study.launch.threads)
    system, device = grid.systems[args.system], hardware.device_of(grid.study.launch)
    with (
        program.progress(args.system) as report,
        files.atomic_folder(paths.encoder(args.system, args.seed)) as folder,
    ):
        merged = multitask.encoder(Combination(grid, paths, "", system, args.seed, device, report), folder)
        files.write_json(
            folder / "manifest.json",
            {
                "fingerprint": args.fingerprint,
                "train_flops_parts": merged.flops,
                "hyperparameters": merged.hyperparameters,
                "choices": merged.choices,
                "select": merged.scores,
                "measured": started.measured(),
            },
        )


if __name__ == "__main__":
    program.run(main)
