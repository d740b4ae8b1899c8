import decimal

import numpy as np
import pandas as pd
import pytest

from graft.registry.tasks import TaskRow
from graft.tasks.labels import check_variety, read

CLASSES = TaskRow(text=("text",), label="label", labels=("negative", "positive"), metrics=("accuracy",))
SCORE = TaskRow(text=("text",), label="label", metrics=("pearson",))


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (["negative ", " positive", "positive\u00a0"], [0, 1, 1]),
        (["0", "1", "1.0"], [0, 1, 1]),
        ([0.0, 1.0, 1.0], [0, 1, 1]),
        (pd.Categorical(["positive", "negative"]), [1, 0]),
    ],
)
def test_blanks_and_fractions_of_whole_numbers_make_no_other_class(values, ids):
    assert read(pd.Series(values), CLASSES, "dev.tsv", "dev").tolist() == ids


def test_a_class_that_is_called_so_is_itself():
    row = CLASSES.replaced(labels=("1.0", "1", "no ", "no"))
    assert read(pd.Series(["1", "1.0", "no", "no "]), row, "dev.tsv", "dev").tolist() == [1, 0, 3, 2]


def test_scores_are_numbers_of_any_type():
    values = pd.Series([decimal.Decimal("0.5"), np.float32(1.5), " 2 ", 3])
    assert read(values, SCORE, "dev.tsv", "dev").tolist() == [0.5, 1.5, 2, 3]


@pytest.mark.parametrize(
    ("row", "values", "message"),
    [
        (CLASSES, ["0", "-1", "1"], "row 2 has the label '-1'; it should be one of negative, positive"),
        (CLASSES, ["-1", "-1.0 "], "all labels are -1, so the split is unlabelled; use a labelled one for dev"),
        (CLASSES, [0, 1, np.nan, np.nan], r"row 3 has no label \(2 in all\); leave out rows without a label"),
        (CLASSES.replaced(labels=("nan", "x")), ["x", None], r"row 2 has no label \(1 in all\)"),
        (CLASSES, ["0", ""], r"row 2 has no label \(1 in all\)"),
        (
            CLASSES,
            [[0, 1], [1]],
            r"row 1 has the labels '\[0, 1\]'; several labels per row are not supported",
        ),
        (CLASSES, ["0", "['negative']"], "row 2 has the labels .* give each row one label"),
        (CLASSES, ["negative,positive"], "row 1 has the labels 'negative,positive'; several labels per row are not"),
        (CLASSES, ["0|1"], "row 1 has the labels"),
        (SCORE, [[0.5], [1.5]], "row 1 has the labels"),
        (SCORE, ["0,5"], "row 1 has the label '0,5'; it should be a number, with a point before its fraction"),
        (SCORE, ["0.5", "inf"], "row 2 has the label 'inf'"),
        (SCORE, [0.5, -1, 2, -1], "2 rows have the score -1 and no other score is negative"),
    ],
)
def test_what_is_no_label_is_reported_with_its_row(row, values, message):
    with pytest.raises(ValueError, match=message) as error:
        read(pd.Series(values), row, "dev.tsv", "dev")
    assert str(error.value).startswith("dev.tsv: ") and len(str(error.value).splitlines()) == 1


def test_scores_around_zero_may_be_minus_one():
    for values in ([-1, -0.5, 1], [-1, 0, 1]):
        assert read(pd.Series(values), SCORE, "dev.tsv", "dev").tolist() == values


@pytest.mark.parametrize(
    ("row", "values", "split", "message"),
    [
        (CLASSES, [1, 1], "train", "the label column label has only 'positive'; every class needs a row"),
        (CLASSES, [1, 1], "dev", "the label column label has only 'positive'; two classes or more are needed"),
        (CLASSES.replaced(labels=("a", "b", "c")), [0, 2], "train", "the label column label has no row of 'b'"),
        (SCORE, [2.0, 2.0], "dev", "all scores are 2; scores must differ between rows"),
    ],
)
def test_labels_from_which_nothing_can_be_learned_are_refused(row, values, split, message):
    with pytest.raises(ValueError, match=message):
        check_variety(pd.Series(values), row, "x.tsv", split)


def test_dev_may_lack_a_rare_class():
    check_variety(pd.Series([0, 2]), CLASSES.replaced(labels=("a", "b", "c")), "dev.tsv", "dev")
