"""Choose each task's best merge by its mean score on `select`, and delete the other merges that were kept for it."""

from collections import defaultdict

import numpy as np

from graft.io import files
from graft.registry import methods
from graft.study import keeping, program
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.keep_models import KeepModels
from graft.study.steps.making import making


def make(step: KeepModels, grid: Grid, paths: Paths) -> None:
    candidates = {(made.task, made.system): made for made in step.candidates(grid)}
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in grid.runs:
        if run.system.kind in methods.KINDS and (run.task, run.system.name) in candidates:
            built = files.read_json(making(grid, *run.made).output(paths))
            scores[run.task][run.system.name].append(built["select"]["value"])
    best = {}
    for task, systems in scores.items():
        name = max(systems, key=lambda system: np.mean(systems[system]))
        chosen = candidates[task, name]
        best[task] = (name, chosen.seed)
        if not chosen.model(paths).is_dir():
            asked = f"{grid.study.name} {task} {name} {chosen.seed}"
            print(f"{task}: {name} is best now, its model was not kept; `python -m graft build {asked}` makes it again")
    files.write_json(step.output(paths), {"fingerprint": step.fingerprint(grid), "best": best})
    # Of jobs that ended at the same time, each may have taken another for the last to read something.
    for other in graph.of_study(grid):
        keeping.release(grid, paths, other)


if __name__ == "__main__":
    program.run_step(KeepModels, __doc__, threads=False)
