"""What a finished study took against its plan.

    python -m benchmarks.planned CONFIG [--results FOLDER] [--gpu NAME] [--steps]

Printed: per kind of step, planned and recorded seconds of the steps whose time stands in a job's log or in a manifest,
and the ratio of all.
"""

import argparse
import itertools
import re
from collections import defaultdict
from pathlib import Path

from graft.config.study import load
from graft.io import files
from graft.planning.estimates import Estimates, rates_of
from graft.planning.sizes import sizes_of
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.step import Step

# What a job prints of each step (graft.study.working).
_DONE = re.compile(r"^\[\d+/\d+\] (.*): (\d+\.\d) s$", re.MULTILINE)


def recorded(grid: Grid, paths: Paths) -> dict[Step, float]:
    """Wall seconds of the steps that recorded them, each without the start of its job."""
    logs = [job.log(paths) for job in graph.jobs_of(grid)]
    lines = [line for log in logs if log.is_file() for line in _DONE.findall(log.read_text(errors="replace"))]
    printed = {step: float(seconds) for step, seconds in lines}
    found = {}
    for step in graph.of_study(grid):
        output = step.output(paths)
        made = files.read_json(output) if output.suffix == ".json" and output.is_file() else {}
        seconds = printed.get(str(step), made.get("measured", {}).get("wall_seconds"))
        if seconds is not None:
            found[step] = seconds
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--results", type=Path, help="the study's folder, if not in results/ here")
    parser.add_argument("--gpu", help="as for `graft plan`")
    parser.add_argument("--steps", action="store_true", help="every step too")
    args = parser.parse_args()
    grid = Grid(load(args.config))
    paths = Paths(args.results) if args.results else Paths.of(grid.study.name)
    rates = rates_of(grid.study.launch, paths, args.gpu)
    estimates = Estimates(sizes_of(grid, paths, rates.device), rates)
    both: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for step, seconds in recorded(grid, paths).items():
        planned = estimates.of(step)[1]
        both[step.kind(grid) or "all else"].append((planned, seconds))
        if args.steps:
            print(f"{planned:9.1f}{seconds:9.1f}  {step}")
    print(f"{'kind of step':<20}{'steps':>7}{'planned s':>12}{'recorded s':>12}{'ratio':>8}")
    for kind, pairs in [*both.items(), ("all", [*itertools.chain(*both.values())])]:
        planned, took = (sum(values) for values in zip(*pairs, strict=True))
        print(f"{kind:<20}{len(pairs):>7}{planned:>12.1f}{took:>12.1f}{planned / took:>8.2f}")


if __name__ == "__main__":
    main()
