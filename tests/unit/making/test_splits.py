import numpy as np
import pytest

from graft.encoders.features import load_states
from graft.making.splits import Splits, splits_of
from graft.registry.tasks import TASKS
from graft.study import runs
from graft.study.steps.embed_task import EmbedTask
from graft.tasks import metrics
from tests.unit.making.conftest import PAIR

FEW = "merge.theseus.labelled.few-16.small-into-large"


@pytest.fixture(scope="module")
def study(make):
    theseus = {"heads": ["labelled"], "strengths": [0, 1], "fit_rows": 64}
    systems = {"merge": {"theseus": theseus}, "few-labels": {"rows": [16], "heads": ["labelled"]}, "label-free": {}}
    return make(systems, ("merge.*few*", "*no-labels*", "finetune.few*"))


def splits(study, labels=None):
    return Splits(study.grid, study.paths, study.task, 0, labels, "small")


def same(one, other):
    rows = np.arange(len(one))
    return all((one.batch(rows, 32)[name] == other.batch(rows, 32)[name]).all() for name in one.batch(rows, 32))


def test_systems_that_see_all_labels_have_the_studys_splits(study):
    whole = splits(study)
    assert not whole.rows and whole.place == "rte" and whole.flops == {}
    for split in ("train", "select"):
        assert (whole.labels(split) == runs.labels(study.paths, "rte", split)).all()
        assert same(whole.tokens("large", split), runs.tokens(study.grid, study.paths, "rte", "large", split))


def test_few_labels_are_those_of_rows_of_select(study):
    few, select = splits(study, 16), runs.tokens(study.grid, study.paths, "rte", "large", "select")
    assert splits_of(study.grid, study.paths, "rte", study.grid.systems[FEW], 0) == few
    known, states = runs.labels(study.paths, "rte", "select"), load_states(embedded(study))
    taken = few.taken(states)
    for split, rows in few.rows.items():
        assert len(rows) == 8 and (few.labels(split) == known[rows]).all()
        assert same(few.tokens("large", split), select.taken(rows))
        assert (taken[f"{split}.cls"] == states["select.cls"][rows]).all()
    assert few.taken(states, "fit").keys() == {
        f"{split}.{pooling}" for split in ("fit", "select") for pooling in POOLINGS
    }


POOLINGS = ("cls", "mean")


def embedded(study):
    return EmbedTask("rte", "large").output(study.paths).parent


def test_without_labels_there_are_the_small_models_answers(study):
    free = splits(study, 0)
    answers = metrics.predictions(study.logits("finetune.small"), TASKS["rte"])
    for split, rows in free.rows.items():
        assert (free.labels(split) == answers[rows]).all()
    assert sorted(np.concatenate([*free.rows.values()])) == [*range(len(answers))]
    ((name, flops),) = free.flops.items()
    assert name == "answers.small/rte/seed-0" and flops > 0
    for system in ("merge.theseus.transplant.no-labels.small-into-large", "weak-to-strong.no-labels.small-to-large"):
        assert study.built(system)["train_flops_parts"][name] == flops


def test_a_system_is_chosen_by_its_own_rows_alone(study):
    few, logits = splits(study, 16), study.logits(FEW)
    score = metrics.primary(logits[few.rows["select"]], few.labels("select"), TASKS["rte"])
    built = study.built(FEW)
    assert built["select"]["value"] == pytest.approx(score) and built["hyperparameters"]["labels"] == 16
    assert built["hyperparameters"]["fit_rows"] == 8
    passes = [name for name in built["train_flops_parts"] if "few-16" in name and name.startswith(("sweep", "embed"))]
    assert len(passes) == 4 and not any(name.endswith(f"{PAIR}/rte/seed-0/fit") for name in built["train_flops_parts"])


def test_the_large_model_is_trained_on_half_of_the_few_rows(study):
    built = study.built("finetune.few-16.large")
    # 20 passes over 8 rows, 8 at a time; the last weights are kept.
    assert built["hyperparameters"]["steps"] == 20 and built["choices"] == []
    assert built["hyperparameters"]["labels"] == 16
