import pandas as pd
import pytest

from graft.tasks.guessing import guess_row, in_words

REVIEWS = ["a fine film", "a dull film", "so so", "not for me"]


def table(**columns: list) -> pd.DataFrame:
    return pd.DataFrame({name: [str(v) for v in values] for name, values in columns.items()})


def columns(row) -> tuple:
    return row.text, row.label


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (table(sentence=["fine", "dull"], label=[1, 0]), (("sentence",), "label")),
        (
            table(index=[0, 1], sentence1=["a", "b"], sentence2=["c", "d"], score=[1.5, 2]),
            (("sentence1", "sentence2"), "score"),
        ),
        (
            table(Premise=["a", "b"], Hypothesis=["c", "d"], gold_label=["x", "y"]),
            (("Premise", "Hypothesis"), "gold_label"),
        ),
        (table(source=["web"] * 4, text=REVIEWS, note=REVIEWS, label=[0, 1, 0, 1]), (("text",), "label")),
    ],
)
def test_usual_names_of_columns_are_known_in_any_case(given, expected):
    assert columns(guess_row(given, "train.tsv")) == expected


def test_columns_with_other_names_are_told_by_their_values():
    given = table(number=[1, 2, 3, 4], review=REVIEWS, opinion=["good", "bad", "bad", "bad"])
    assert columns(guess_row(given, "train.tsv")) == (("review",), "opinion")


def test_a_pair_with_other_names_is_told_by_its_values():
    given = table(id=["x", "y", "x", "y"], ask=REVIEWS, answer=REVIEWS[::-1], fits=["yes", "no", "no", "no"])
    assert columns(guess_row(given, "train.tsv")) == (("ask", "answer"), "fits")


@pytest.mark.parametrize(
    ("labels", "classes", "metrics"),
    [
        (["b", "a", "b"], ("a", "b"), ("accuracy", "f1")),
        (["1", "0", "1"], ("0", "1"), ("accuracy", "f1")),
        (["10", "9", "1"], ("1", "9", "10"), ("accuracy", "f1_macro")),
        (["0.5", "1", "1"], None, ("correlation", "pearson", "spearman")),
        ([str(i) for i in range(20)], tuple(str(i) for i in range(20)), ("accuracy", "f1_macro")),
    ],
)
def test_few_values_are_classes_and_fractions_or_many_numbers_a_score(labels, classes, metrics):
    row = guess_row(table(sentence=[f"text {i}" for i in range(len(labels))], label=labels), "train.tsv")
    assert (row.labels, row.metrics) == (classes, metrics)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            table(**{"sentence,label": ["a fine film,1"]}),
            "only one column, 'sentence,label'; columns are separated by tabs",
        ),
        (table(sentence=[], label=[]), "the split is empty"),
        (
            table(sentence=REVIEWS, label=[0, 1, 0, 1], score=[1, 2, 3, 4]),
            r"several columns may hold the label \(label, score\)",
        ),
        (table(sentence=REVIEWS, other=REVIEWS), "no column looks like a label among sentence, other; name one"),
        (
            table(one=REVIEWS, two=REVIEWS, three=REVIEWS, label=[0, 1, 0, 1]),
            r"3 columns hold text \(one, two, three\)",
        ),
        (table(word=["a", "b"], label=[0, 1]), "no text column in word"),
        (table(sentence=REVIEWS, label=[0, 1, "", 1]), "the label column label is empty in 1 rows"),
        (table(sentence=REVIEWS, label=[-1] * 4), "holds only '-1'"),
        (
            table(sentence=REVIEWS * 6, label=[*range(23), "n/a"]),
            "holds 'n/a' in 1 rows, which often stands for no label; correct the file, or say --kind classes$",
        ),
    ],
)
def test_what_cannot_be_guessed_is_told_in_one_sentence(given, message):
    with pytest.raises(ValueError, match=message) as error:
        guess_row(given, "train.tsv")
    assert str(error.value).startswith("train.tsv: ") and len(str(error.value).splitlines()) == 1


def test_a_guess_in_words_says_how_many_rows_each_class_has():
    classes = table(sentence=REVIEWS, label=["good", "bad", "bad", "bad"])
    told = "text in sentence; label in label, 2 classes (bad: 3 rows, good: 1 rows)"
    assert in_words(guess_row(classes, ""), classes) == told
    score = table(sentence=REVIEWS, score=[0, 2.5, 5, 1])
    told = "text in sentence; label in score, a score from 0 to 5 (4 different values)"
    assert in_words(guess_row(score, ""), score) == told
    many = table(sentence=REVIEWS * 11, label=[f"c{i % 22:02}" for i in range(44)])
    told = "text in sentence; label in label, 22 classes (c00: 2 rows, …, c21: 2 rows)"
    assert in_words(guess_row(many, ""), many) == told
