import re

import pandas as pd
import pytest

from graft.io import files
from graft.reporting import summary

ENSEMBLE = "merge.logit_ensemble.tiny-into-big"
THESEUS = "merge.theseus.labelled.tiny-into-big"
SHUFFLED = "control.shuffled.theseus.labelled.tiny-into-big"
HEAD_ONLY = "control.head-only.labelled.tiny-into-big"
SYSTEMS = {
    "majority": {},
    "probe": {},
    "merge": {"theseus": {"heads": ["labelled"]}, "logit_ensemble": {}},
    "control": {"head-only": {"heads": ["labelled"]}, "shuffled": {"of": ["theseus"]}},
}
FLOPS = {"finetune.big": 1000, ENSEMBLE: 250, THESEUS: 500}


@pytest.fixture
def sentence(study, runs_of, compare_and_test):
    """The summary of a study with these values by system, for one task or for several."""

    def of(values, select=None, tasks=("rte",)):
        base = study().model_dump(mode="json", by_alias=True)
        source = base["tasks"]["rte"] | {"text": ["a"], "label": "b", "labels": ["x", "y"], "metrics": ["accuracy"]}
        models = {
            name: model | {"finetune": dict.fromkeys(tasks, model["finetune"]["rte"])}
            for name, model in base["models"].items()
        }
        made = study(systems=SYSTEMS, tasks=dict.fromkeys(tasks, source), models=models)
        by_task = values if len(tasks) > 1 else {tasks[0]: values}
        runs = pd.concat([runs_of(by_task[task], task, FLOPS, select) for task in tasks], ignore_index=True)
        runs = runs.astype(object).where(runs.notna(), None)
        return summary.in_words(*compare_and_test(runs, made))

    return of


def usual(**changes):
    values = {
        "finetune.big": {0: 0.9, 1: 0.9},
        "finetune.tiny": {0: 0.8, 1: 0.8},
        "majority": {"all": 0.5},
        ENSEMBLE: {0: 0.85, 1: 0.83},
        THESEUS: {0: 0.7, 1: 0.7},
        HEAD_ONLY: {"all": 0.6},
        SHUFFLED: {0: 0.6, 1: 0.6},
    }
    return values | changes


def test_the_sentence_says_how_far_at_what_cost_and_against_what(sentence):
    assert sentence(usual(), select={ENSEMBLE: 0.6}) == (
        "The merge that is best on select reaches accuracy 0.840 on rte where the fine-tuned large model has 0.900 "
        "(merge.logit_ensemble, 25% of its training FLOPs); no interval compares it with the fine-tuned large model, "
        "the fine-tuned small model and controls; 2 seeds are too few for a verdict."
    )


def many(**changes):
    """The same values for five seeds, a little apart: enough for intervals."""
    return {
        system: of if "all" in of else {s: of[0] + 0.002 * s for s in range(5)}
        for system, of in usual(**changes).items()
    }


def test_who_is_ahead_and_which_control_lost_an_interval_says(sentence):
    text = sentence(many(), {ENSEMBLE: 0.6})
    assert (
        "it is ahead of the fine-tuned large model on 0 of 1 task, behind on 1; it is ahead of the fine-tuned" in text
    )
    assert "small model on 1 of 1 task; every control lost; 5 seeds are too few for a verdict." in text
    text = sentence(many() | {"finetune.big": {s: 0.83 + 0.012 * s for s in range(5)}}, {ENSEMBLE: 0.6})
    assert "the fine-tuned large model on 0 of 1 task, undecided on 1" in text


def test_a_verdict_comes_before_an_interval(sentence):
    """Holm's correction may leave open what the interval alone would tell."""
    test = {"p_holm": 0.06, "verdict": "inconclusive", "new_low": 0.01, "new_high": 0.02}
    assert summary.standing(test) == summary.OPEN
    assert summary.standing(test | {"p_holm": None}) == summary.AHEAD


def test_a_verdict_is_told_and_where_seeds_are_too_few_for_one(sentence):
    twelve = {system: {s: v for s in range(12)} for system, v in (("finetune.big", 0.9), (ENSEMBLE, 0.8))}
    text = sentence({"rte": twelve, "sst2": usual()}, {ENSEMBLE: 0.6}, ("rte", "sst2"))
    assert "(merge.logit_ensemble, 25% of its training FLOPs; verdict: worse)" in text
    assert text.endswith("2 seeds on sst2 are too few for a verdict.")


def test_select_chooses_the_merge_even_where_another_is_better_on_report(sentence):
    text = sentence(usual(), select={THESEUS: 0.6})
    assert "accuracy 0.700 on rte" in text and "(merge.theseus.labelled, 50% of" in text


def test_several_tasks_are_reported_in_one_sentence(sentence):
    values = {"rte": usual(), "sst2": usual(**{ENSEMBLE: {0: 0.95, 1: 0.95}})}
    text = sentence(values, {ENSEMBLE: 0.6}, ("rte", "sst2"))
    assert "0.840 on rte where the fine-tuned large model has 0.900" in text
    assert "0.950 on sst2 where it has 0.900" in text
    assert "no interval compares it with the fine-tuned large model, the fine-tuned small model and controls" in text
    assert text.count(". ") == 0 and text.endswith(".")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"majority": {"all": 0.84}}, "majority on rte"),
        (
            {HEAD_ONLY: {"all": 0.9}},
            "control.head-only.labelled on rte and the head alone against merge.theseus.labelled on rte",
        ),
        ({HEAD_ONLY: {"all": 0.75}}, "the head alone against merge.theseus.labelled on rte"),
        ({HEAD_ONLY: {"all": 0.7}}, "the head alone against merge.theseus.labelled on rte"),
        (
            {SHUFFLED: {0: 0.7, 1: 0.72}},
            "control.shuffled.theseus.labelled against merge.theseus.labelled on rte",
        ),
    ],
)
def test_a_control_that_does_not_lose_is_named(sentence, changes, told):
    text = sentence(usual(**changes), select={ENSEMBLE: 0.6})
    assert "every control lost" not in text
    found = re.search("; controls not lower on average: (.*?);", text)[1]
    assert {*re.split(", | and ", found)} == {*told.split(" and ")}


@pytest.mark.parametrize(
    ("majority", "told"),
    [
        (0.5, "every control lost"),
        (0.852, "controls undecided: majority on"),
        (0.95, "controls that won: majority"),
    ],
)
def test_with_intervals_a_control_lost_won_or_cannot_be_told_apart(sentence, majority, told):
    text = sentence(many(majority={"all": majority}), select={ENSEMBLE: 0.6})
    others = {"every control lost", "controls undecided", "controls that won", "on average"}
    assert [other for other in others if other in text] == [told.split(":")[0]] and told in text


def test_one_control_without_an_interval_keeps_the_sentence_from_saying_that_every_one_lost():
    lost = summary.Faced("rte", "majority", None, summary.BEHIND, True)
    assert summary.all_lost([lost]) and not summary.all_lost([])
    assert not summary.all_lost([lost, summary.Faced("rte", "probe", None, summary.UNKNOWN, True)])


def test_what_is_missing_is_counted(sentence):
    assert "1 of 12 runs are not included" in sentence(usual(**{THESEUS: {0: 0.7, 1: "failed"}}))


@pytest.mark.parametrize(
    "absent", [{"finetune.big": {0: "missing", 1: "failed"}}, {ENSEMBLE: {0: "missing"}, THESEUS: {0: "missing"}}]
)
def test_without_a_merge_or_without_the_reference_there_is_nothing_to_say(sentence, absent):
    assert sentence(usual(**absent)).startswith("No merge can be compared yet")


def test_only_files_that_are_there_are_pointed_to(paths):
    assert summary.places(paths) == []
    for path in (paths.tables / "comparison.md", paths.root / "report.html"):
        with files.atomic_file(path) as temporary:
            temporary.write_text("x")
    paths.figures.mkdir()
    assert summary.places(paths) == [
        ("table", str(paths.tables / "comparison.md")),
        ("figures", str(paths.figures)),
        ("report", str(paths.root / "report.html")),
    ]


def test_the_sentence_gives_the_references_mean_as_its_row_of_the_table_does(sentence):
    # The merge lacks the seed on which the reference is worse: its mean less its difference would be 0.900.
    values = usual(**{"finetune.big": {0: 0.9, 1: 0.8}, ENSEMBLE: {0: 0.85, 1: "failed"}})
    assert "accuracy 0.850 on rte where the fine-tuned large model has 0.850 (" in sentence(values, {ENSEMBLE: 0.6})
