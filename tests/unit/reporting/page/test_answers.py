import pandas as pd
import pytest

from graft.reporting.page import answers
from graft.study.grid import Grid
from tests.unit.reporting.page.conftest import HEAD_ONLY, INTERPOLATE, THESEUS

BIG, TINY = "finetune.big", "finetune.tiny"
FLOPS = {BIG: 1000, THESEUS: 40}


@pytest.fixture
def told(study, runs_of, compare_and_test):
    """The answers to a study with these values by system and seed."""

    def of(values, select=None, flops=FLOPS, **changes):
        made = study(**changes)
        tables = compare_and_test(runs_of(values, flops=flops, select=select or {THESEUS: 0.6}), made)
        return answers.answers(*tables, Grid(made))

    return of


def test_the_question_names_the_pair(grid):
    assert answers.question(grid) == (
        "Does merging the fine-tuned tiny into the pre-trained big beat fine-tuning big, and what does each cost?"
    )


def test_without_a_verdict_the_answer_says_why(told):
    assert told({BIG: {0: 0.9, 1: 0.9}, THESEUS: {0: 0.81, 1: 0.81}}) == [
        "On rte the best merge, chosen on select (merge.theseus.labelled), reaches 90% of the fine-tuned big (accuracy "
        "0.810 of 0.900) at 4% of its training FLOPs and 100% of its inference FLOPs; typical runs differ by −9.0 "
        "points, without a verdict (2 seeds)."
    ]
    (answer,) = told({BIG: dict.fromkeys(range(5), 0.9), THESEUS: dict.fromkeys(range(5), 0.81)}, seeds=5)
    assert answer.endswith("typical runs differ by −9.0 points [−10.8, −7.2], without a verdict (5 seeds).")


def test_the_answer_gives_the_references_mean_as_its_row_of_the_table_does(told):
    (answer,) = told({BIG: {0: 0.9, 1: 0.8}, THESEUS: {0: 0.85, 1: "failed"}})
    assert (
        "reaches 100% of the fine-tuned big (accuracy 0.850 of 0.850)" in answer and "differ by −5.0 points" in answer
    )


def test_with_seeds_enough_there_are_p_and_verdict(told):
    values = {BIG: {s: 0.9 + s / 1000 for s in range(12)}, THESEUS: {s: 0.8 for s in range(12)}}
    (answer,) = told(values, seeds=12)
    assert "points [−" in answer and "Holm p = " in answer and answer.endswith(", worse.")


def test_one_seed_has_no_interval(told):
    (answer,) = told({BIG: {0: 0.9}, THESEUS: {0: 0.81}})
    assert answer.endswith("typical runs differ by −9.0 points, without a verdict (1 seed).")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({BIG: {0: 0.9}, THESEUS: {0: "failed"}}, "On rte there is no answer: no merge has finished."),
        ({BIG: {0: "failed"}, THESEUS: {0: 0.8}}, "the fine-tuned big has no run to compare it with."),
    ],
)
def test_what_has_not_finished_is_reported(told, values, said):
    assert told(values)[0].endswith(said)


@pytest.mark.parametrize(
    ("changes", "unbeaten"),
    [
        ({}, []),
        (
            {"majority": {"all": 0.8}},
            ["On rte majority did, on average and without an interval, as well as the best merge, chosen on select."],
        ),
        ({HEAD_ONLY: {"all": 0.85}}, None),
    ],
)
def test_a_control_that_is_as_good_is_found(study, runs_of, compare_and_test, changes, unbeaten):
    values = {BIG: {0: 0.9}, THESEUS: {0: 0.8}, "majority": {"all": 0.5}, HEAD_ONLY: {"all": 0.6}} | changes
    found = answers.not_beaten(*compare_and_test(runs_of(values, select={THESEUS: 0.6}), study()))
    assert found == unbeaten if unbeaten is not None else any("head" in control for control in found)


def test_where_intervals_show_that_every_control_lost_the_answer_says_so(told, study, runs_of, compare_and_test):
    values = {BIG: {0: 0.9}, THESEUS: {0: 0.8}, HEAD_ONLY: {"all": 0.6}}
    assert len(told(values)) == 1  # a single seed has no interval
    many = {name: of if "all" in of else dict.fromkeys(range(5), of[0]) for name, of in values.items()}
    assert told(many, seeds=5)[1:] == ["Every control did worse than the merges it is compared with."]
    for control, verb in ((0.8, "cannot be distinguished from"), (0.9, "did better than")):
        own = many | {HEAD_ONLY: {"all": control}}
        assert len(told(own, seeds=5)) == 1
        found = answers.not_beaten(*compare_and_test(runs_of(own, select={THESEUS: 0.6}), study(seeds=5)))
        assert f"On rte control.head-only.labelled {verb} the best merge, chosen on select." in found


def test_runs_that_did_not_learn_are_named(study, runs_of, compare):
    runs, made = runs_of({BIG: {0: 0.9, 1: 0.5}, THESEUS: {0: 0.8}, "majority": {"all": 0.5}}), study()
    told = answers.warnings(compare(runs, made), runs, (), Grid(made))
    assert any(
        said.endswith("no better than one answer for all examples: 1 of 2 of finetune.big on rte.") for said in told
    )


def test_all_that_limits_a_study_is_reported(study, runs_of, compare):
    made = study()
    models = {name: model.model_copy(update={"note": f"{name} has seen it"}) for name, model in made.models.items()}
    made = made.model_copy(update={"models": models})
    values = {BIG: {0: 0.9}, THESEUS: {0: "failed"}, INTERPOLATE: {0: "missing"}}
    runs = runs_of(values).assign(code_version=["a", None, "b"])
    told = " ".join(answers.warnings(compare(runs, made), runs, (), Grid(made)))
    for said in (
        "Of 3 runs 1 failed and 1 are missing",
        "1 seed is too few for intervals, which take 5, and for p values and verdicts, which take 12.",
        "A single task says nothing about others",
        "big: big has seen it",
        "different versions of the code: a, b",
    ):
        assert said in told, said


def test_each_number_of_seeds_that_is_too_few_is_reported_with_its_tasks(grid):
    rows = [
        {"task": task, "system": BIG, "kind": "finetune", "n_seeds": seeds, "n_expected": 12, "n_failed": 0}
        | {"n_missing": 0, "failed": 0}
        for task, seeds in (("a", 12), ("b", 3), ("c", 5), ("d", 3))
    ]
    told = answers.warnings(pd.DataFrame(rows), pd.DataFrame(), (), grid)
    assert told[0].startswith("3 seeds on b and d are too few for intervals, which take 5, and for p values")
    assert told[1] == "5 seeds on c are too few for p values and verdicts, which take 12."


def test_an_empty_study_has_no_answer(told):
    assert told({BIG: {0: "missing"}}) == ["On rte there is no answer: no merge has finished."]
