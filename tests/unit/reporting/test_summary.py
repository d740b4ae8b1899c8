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
def sentence(study, runs_of, compare):
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
        return summary.in_words(compare(runs, made))

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
        "(merge.logit_ensemble, 25% of its training FLOPs); it is ahead of the fine-tuned large model on 0 of 1 task "
        "and of the fine-tuned small model on 1 of 1 task; every control lost; 2 seeds are too few for a verdict."
    )


def test_a_verdict_is_told_and_where_seeds_are_too_few_for_one(sentence):
    many = {system: {s: v for s in range(12)} for system, v in (("finetune.big", 0.9), (ENSEMBLE, 0.8))}
    text = sentence({"rte": many, "sst2": usual()}, {ENSEMBLE: 0.6}, ("rte", "sst2"))
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
    assert "it is ahead of the fine-tuned large model on 1 of 2 tasks" in text
    assert text.count(". ") == 0 and text.endswith(".")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"majority": {"all": 0.84}}, "controls that did not lose: majority on rte;"),
        (
            {HEAD_ONLY: {"all": 0.9}},
            "controls that did not lose: the head alone against merge.theseus.labelled on rte ",
        ),
        (
            {HEAD_ONLY: {"all": 0.75}},
            "controls that did not lose: the head alone against merge.theseus.labelled on rte;",
        ),
        ({HEAD_ONLY: {"all": 0.7}}, "controls that did not lose: the head alone against merge.theseus.labelled"),
        (
            {SHUFFLED: {0: 0.7, 1: 0.72}},
            "controls that did not lose: control.shuffled.theseus.labelled against merge.theseus.labelled on rte;",
        ),
    ],
)
def test_a_control_that_does_not_lose_is_named(sentence, changes, told):
    text = sentence(usual(**changes), select={ENSEMBLE: 0.6})
    assert told in text and "every control lost" not in text


@pytest.mark.parametrize(
    ("control", "mean", "told"),
    [
        ("control.other-small.theseus.labelled.plain-into-big", 0.7, ["{} against merge.theseus.labelled on rte"]),
        ("control.other-small.theseus.labelled.plain-into-big", 0.69, []),
        ("control.other-small.theseus.transplant.plain-into-big", 0.75, []),
        ("control.other-small.theseus.labelled.plain-into-huge", 0.75, []),
        (
            "control.other-small.theseus.labelled.plain-into-big",
            0.9,
            ["{} on rte", "{} against merge.theseus.labelled on rte"],
        ),
        ("finetune.plain", 0.8, []),
        ("finetune.plain", 0.85, ["{} on rte"]),
    ],
)
def test_another_small_model_must_lose_to_the_chosen_merge_and_to_the_one_it_stands_in_for(control, mean, told):
    def row(system, kind, mean):
        return {"task": "rte", "system": system, "kind": kind, "mean": mean, "delta_vs_head_only": None}

    chosen = row(ENSEMBLE, "composite", 0.85)
    rows = [chosen, row(THESEUS, "weights", 0.7), row(control, "control", mean)]
    found = summary.controls_not_beaten(rows, [chosen], ".tiny-into-big")
    assert [str(one) for one in found] == [text.format(control) for text in told]


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
