"""Choose each task's best merge by its mean score on `select`, and delete the other merges that were kept for it."""

from collections import defaultdict

from graft.io import files
from graft.io.workflow import COMMAND
from graft.registry import methods
from graft.study import keeping, program
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.keep_models import KeepModels
from graft.study.steps.making import making
from graft.study.steps.step import Making


def make(step: KeepModels, grid: Grid, paths: Paths) -> None:
    candidates = {(made.task, made.system): made for made in step.candidates(grid)}
    merges: dict[str, list[Making]] = defaultdict(list)
    for run in grid.runs:
        if run.system.kind in methods.KINDS and (run.task, run.system.name) in candidates:
            merges[run.task].append(making(grid, *run.made))
    best = {}
    for task, made in merges.items():
        name = keeping.best_on_select(paths, made)
        chosen = candidates[task, name]
        best[task] = (name, chosen.seed)
        if not chosen.model(paths).is_dir():
            asked = f"{grid.study.name} {task} {name} {chosen.seed}"
            print(f"{task}: {name} is best now, its model was not kept; `{COMMAND} build {asked}` makes it again")
    files.write_json(step.output(paths), {"fingerprint": step.fingerprint(grid), "best": best})
    # Of jobs that ended at the same time, each may have taken another for the last to read something.
    for other in graph.of_study(grid):
        keeping.release(grid, paths, other)


if __name__ == "__main__":
    program.run_step(KeepModels, __doc__, threads=False)
