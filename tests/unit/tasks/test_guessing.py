import pandas as pd
import pytest

from graft.tasks.guessing import guess_row, in_words, named_columns

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


def test_columns_with_other_names_are_recognised_by_their_values():
    given = table(number=[1, 2, 3, 4], review=REVIEWS, opinion=["good", "bad", "bad", "bad"])
    assert columns(guess_row(given, "train.tsv")) == (("review",), "opinion")


def test_a_pair_with_other_names_is_recognised_by_its_values():
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
            "the only column is 'sentence,label'; columns are separated by tabs",
        ),
        (table(sentence=[], label=[]), "the split has no rows"),
        (
            table(sentence=REVIEWS, label=[0, 1, 0, 1], score=[1, 2, 3, 4]),
            r"several columns may be the label \(label, score\)",
        ),
        (table(sentence=REVIEWS, other=REVIEWS), "no column looks like a label among sentence, other; name one"),
        (
            table(one=REVIEWS, two=REVIEWS, three=REVIEWS, label=[0, 1, 0, 1]),
            r"3 columns contain text \(one, two, three\)",
        ),
        (table(word=["a", "b"], label=[0, 1]), "no text column in word"),
        (table(sentence=REVIEWS, label=[0, 1, "", 1]), "the label column label is empty in 1 rows"),
        (table(sentence=REVIEWS, label=[-1] * 4), "contains only '-1'"),
        (
            table(sentence=REVIEWS * 6, label=[*range(23), "n/a"]),
            "contains 'n/a' in 1 rows, which often means no label; correct the file, or add --kind classes$",
        ),
    ],
)
def test_what_cannot_be_guessed_is_reported_in_one_sentence(given, message):
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


MANY = [f"text number {i} is here" for i in range(154)]


@pytest.mark.parametrize(
    ("column", "values", "doubt", "classes"),
    [
        ("label", ["0", "1", "-1"], "contains -1 in 51 rows, which often means no label", ("-1", "0", "1")),
        ("label", ["0.5", "1", "-1"], "contains -1 in 51 rows, which often means no label", ("-1", "0.5", "1")),
        ("label", [str(i) for i in range(77)], "contains 77 different whole numbers", tuple(map(str, range(77)))),
        ("stars", ["1", "2", "3"], "contains 3 different whole numbers from 1 to 3", ("1", "2", "3")),
        ("label", ["1", "01"], "contains both '1' and '01'", ("1", "01")),
        (
            "label",
            ["yes", "no", "none"],
            "contains 'none' in 51 rows",
            ("no", "none", "yes"),
        ),
        ("label", ["yes", "no", "Yes"], "contains both 'yes' and 'Yes'", ("Yes", "no", "yes")),
        ("label", ["no"] * 77 + ["yes"] * 76 + ["yse"], "contains 'yse' in only one row of 154", ("no", "yes", "yse")),
        ("label", [f"{i}" for i in range(30)] + ["x"], "has 31 values that are not all numbers .'x'.", None),
        ("label", [f"name {i}" for i in range(154)], "has 154 different values in 154 rows", None),
    ],
)
def test_where_labels_leave_a_doubt_a_word_is_asked_for(column, values, doubt, classes):
    given = pd.DataFrame({"sentence": MANY, column: [values[i % len(values)] for i in range(len(MANY))]})
    with pytest.raises(
        ValueError, match=f"the label column {column} {doubt}.*; correct the file, or add --kind classes"
    ):
        guess_row(given, "train.tsv")
    found = guess_row(given, "train.tsv", "classes").labels
    assert found == classes if classes else len(found) == len(set(values))
    if not any(value.strip("-0123456789.") for value in values):
        assert guess_row(given, "train.tsv", "score").labels is None


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["negative", "positive", "negative "], ("negative", "positive")),
        (["0", "1", "1.0"], ("0", "1")),
        (["-1", "1"], ("-1", "1")),
        ([f"intent {i:02}" for i in range(77)], tuple(f"intent {i:02}" for i in range(77))),
    ],
)
def test_one_label_is_one_class_however_it_is_written(values, classes):
    given = pd.DataFrame({"sentence": MANY, "label": [values[i % len(values)] for i in range(len(MANY))]})
    assert guess_row(given, "train.tsv").labels == classes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["[0, 3]", "[1]"], r"contains '\[0, 3\]'; several labels per row are not supported"),
        (["joy", "anger", "joy, anger"], "contains 'joy, anger'; several labels per row are not supported"),
        (["1", "2", "1|2"], "contains '1|2'; several labels per row are not supported"),
        (["1,5", "2"], "contains '1,5'; write decimals with a point, and one label per row"),
    ],
)
def test_several_labels_in_a_row_are_refused(values, message):
    given = pd.DataFrame({"sentence": MANY, "label": [values[i % len(values)] for i in range(len(MANY))]})
    with pytest.raises(ValueError, match=message):
        guess_row(given, "train.tsv")


def test_words_are_no_score():
    given = pd.DataFrame({"sentence": MANY, "label": ["yes", "no"] * 77})
    with pytest.raises(ValueError, match="contains '(yes|no)', which is not a number and so not a score"):
        guess_row(given, "train.tsv", "score")


@pytest.mark.parametrize("name", ["index", "idx", "nr", "Id"])
def test_a_column_that_numbers_the_rows_is_neither_text_nor_label(name):
    given = table(**{name: [4, 2, 3, 1], "review": REVIEWS, "opinion": ["good", "bad", "bad", "bad"]})
    assert list(named_columns(given, "train.tsv")) == ["review", "opinion"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (table(**{"a fine film": REVIEWS, "0": [0, 1, 0, 1]}), "the first line contains the value '0'; it should name"),
        (table(**{"a fine film": REVIEWS, "good": ["good", "bad"] * 2}), "the first line contains the value 'good'"),
        (table(**{"Unnamed: 0": ["a", "b"] * 2, "text": REVIEWS}), "column 1 has no name; name it or leave it out"),
    ],
)
def test_a_file_without_names_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        named_columns(given, "train.tsv")
