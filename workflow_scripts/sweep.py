"""Run a merged body at every strength over the fit rows and `select`, once for all of its heads."""

from graft.compute import hardware
from graft.encoders.features import save_states
from graft.io import files
from graft.making.building import sweep
from graft.making.workbench import Workbench
from graft.study import program


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--merge", required=True, help="key under systems.merge")
    parser.add_argument("--pair", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    started = hardware.Stopwatch(grid.study.launch)
    expected = grid.sweep(args.task, args.merge, args.pair, args.seed)
    program.check_fingerprint(expected, args.fingerprint, args.merge)
    hardware.use_threads(grid.study.launch.threads)
    bench = Workbench(grid, paths, args.task, args.pair, args.seed, hardware.device_of(grid.study.launch))
    with program.progress(f"sweep {args.merge}") as report:
        swept = sweep(bench, args.merge, report)
    with files.atomic_folder(paths.sweep(args.task, args.merge, args.pair, args.seed)) as folder:
        save_states(swept.states, folder / "states.safetensors")
        files.write_json(
            folder / "manifest.json",
            {
                "fingerprint": args.fingerprint,
                "train_flops_parts": swept.flops,
                "diagnostics": swept.diagnostics,
                "measured": started.measured(),
            },
        )


if __name__ == "__main__":
    program.run(main)
