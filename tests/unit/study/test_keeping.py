import pytest

from graft.io import files
from graft.study import keeping, working
from graft.study.steps import graph
from graft.study.steps.keep_models import KeepModels
from graft.study.steps.merge_models import MergeModels

PAIR = "small-into-large"


def finish(grid, paths, scribe, before):
    """All of a study but its tables."""
    before(grid)
    for job, steps in graph.jobs_of(grid).items():
        if job.rule in ("finetune_model", "make_probes"):
            for step in steps:
                keeping.release(grid, paths, step)
        else:
            working.work(job, grid, paths, scribe)
    for step in graph.measurements(grid):
        step.output(paths).parent.mkdir(parents=True, exist_ok=True)
        scribe(step, grid, paths)
        keeping.release(grid, paths, step)


def kept(paths):
    return {folder.parts[-3] for folder in paths.root.glob("runs/*/*/seed-*/model")}


def choose(grid, paths, system):
    step = KeepModels()
    files.write_json(step.output(paths), {"fingerprint": step.fingerprint(grid), "best": {"rte": [system, 0]}})
    keeping.release(grid, paths, step)


def test_the_pairs_fine_tunings_and_the_best_merge_stay(grid_of, paths, scribe, before):
    grid = grid_of()
    finish(grid, paths, scribe, before)
    heads = {f"merge.theseus.{head}.{PAIR}" for head in ("labelled", "transplant")}
    assert kept(paths) == {
        "finetune.large",
        "finetune.small",
        f"merge.logit_ensemble.{PAIR}",
        *heads,
        "probe.mean.large",
    }
    choose(grid, paths, f"merge.theseus.labelled.{PAIR}")
    assert kept(paths) == {"finetune.large", "finetune.small", f"merge.theseus.labelled.{PAIR}"}


def test_a_composites_parts_stay_with_it(grid_of, paths, scribe, before):
    grid = grid_of(keep=["best"])
    finish(grid, paths, scribe, before)
    choose(grid, paths, f"merge.logit_ensemble.{PAIR}")
    assert kept(paths) == {f"merge.logit_ensemble.{PAIR}", "finetune.small", "probe.mean.large"}


@pytest.mark.parametrize(
    ("keep", "systems"), [((), set()), (("*/lora.*",), {"lora.large"}), (("rte/lora.large/seed-0",), {"lora.large"})]
)
def test_patterns_say_which_models_stay(grid_of, paths, scribe, before, keep, systems):
    grid = grid_of(keep=keep)
    finish(grid, paths, scribe, before)
    assert kept(paths) == systems


def test_everything_can_stay(grid_of, paths, scribe, before):
    grid = grid_of(keep=["*"])
    finish(grid, paths, scribe, before)
    assert kept(paths) >= {run.system.name for run in grid.runs}


def test_states_go_after_their_last_reader(grid_of, paths, scribe, before):
    grid = grid_of()
    before(grid)
    states = [step for step in graph.of_study(grid) if step.temporary and step.output(paths).is_file()]
    assert {step.rule for step in states} == {"embed_task", "calibrate"}
    finish(grid, paths, scribe, before)
    assert not [step for step in graph.of_study(grid) if step.temporary and step.output(paths).parent.exists()]


def test_a_record_that_names_unknown_systems_keeps_nothing(grid_of, paths):
    grid = grid_of()
    files.write_json(
        KeepModels().output(paths), {"fingerprint": "0", "best": {"rte": ["merge.gone", 0], "x": ["y", 0]}}
    )
    assert keeping.best(grid, paths) == {}


def test_the_best_merge_is_the_one_with_the_highest_mean_not_the_best_run(paths):
    scores = {("lucky", 0): 0.9, ("lucky", 1): 0.1, ("steady", 0): 0.6, ("steady", 1): 0.7}
    made = {MergeModels("rte", system, seed): score for (system, seed), score in scores.items()}
    for step, score in made.items():
        files.write_json(step.output(paths), {"select": {"value": score}})
    assert keeping.best_on_select(paths, made) == "steady"


def test_a_pattern_that_matches_nothing_is_refused(grid_of):
    with pytest.raises(ValueError, match="keep: no run matches 'rte/nothing'"):
        grid_of(keep=["rte/nothing"])
