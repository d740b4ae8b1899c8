"""Merge fine-tunings of one task into a soup; strength, or members, are chosen on `select`."""

from graft.compute import hardware
from graft.making.combining import soups
from graft.making.combining.combination import Combination
from graft.study import program, runs


def main() -> None:
    args, grid, paths = program.of_system(__doc__)
    started = hardware.Stopwatch(grid.study.launch)
    system, out = grid.systems[args.system], paths.run(args.task, args.system, args.seed)
    with program.progress(args.system) as report:
        device = hardware.device_of(grid.study.launch)
        one = Combination(grid, paths, args.task, system, args.seed, device, report)
        soup = soups.soup(one, out / "model")
    runs.save_system(
        out,
        args,
        system=args.system,
        flops=soup.flops,
        pretraining_flops=runs.pretraining_flops(grid, paths, system.model),
        hyperparameters=soup.hyperparameters,
        choices=soup.choices,
        select={"metric": grid.row(args.task).primary_metric, "value": soup.scores[args.task]},
        launch=grid.study.launch,
        started=started,
    )


if __name__ == "__main__":
    program.run(main)
