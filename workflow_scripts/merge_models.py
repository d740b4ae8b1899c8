"""Make one merged system or control: search on `select`, save the chosen model."""

from graft.cli import cards
from graft.compute import hardware
from graft.making.building import build
from graft.making.workbench import Workbench
from graft.study import program
from graft.study.grid_systems import effective
from graft.study.runs import pretraining_flops, save_system


def main() -> None:
    args, grid, paths = program.of_system(__doc__)
    started = hardware.Stopwatch(grid.study.launch)
    system = grid.systems[args.system]
    device = hardware.device_of(grid.study.launch)
    bench = Workbench(grid, paths, args.task, system.pair.name, args.seed, device)
    out = paths.run(args.task, args.system, args.seed)
    with program.progress(args.system) as report:
        built = build(bench, system, out / "model", report)
    uses_small = system.merge is not None or system.head != "labelled"
    save_system(
        out,
        args,
        system=args.system,
        flops=built.flops,
        pretraining_flops=pretraining_flops(grid, paths, system.pair.small) if uses_small else 0,
        hyperparameters={**effective(system), **built.hyperparameters},
        choices=built.choice.records(bench.row.primary_metric, built.searched),
        diagnostics=built.diagnostics,
        select={"metric": bench.row.primary_metric, "value": built.choice.score},
        launch=grid.study.launch,
        started=started,
    )
    cards.write(grid, paths, args.task, args.system, args.seed)


if __name__ == "__main__":
    program.run(main)
