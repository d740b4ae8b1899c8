import pandas as pd
import pytest

from graft.tasks.texts import read_texts, train_texts


@pytest.fixture
def file(tmp_path):
    return tmp_path / "text.txt"


def test_a_line_is_a_text_whatever_separators_of_unicode_it_holds(file):
    file.write_bytes('\ufeffa fine\u2028film\n\nso\x85so\r\n"quoted" and not\n'.encode())
    assert read_texts(file) == [["a fine\u2028film", "so\x85so", '"quoted" and not']]


def test_pairs_have_a_tab_between(file):
    file.write_text("a film\ta plot\nthe end\tan end\n")
    assert read_texts(file) == [["a film", "the end"], ["a plot", "an end"]]


def test_a_tab_at_the_end_of_every_line_makes_no_pairs(file):
    file.write_text("a film\t\na plot\t\n")
    assert read_texts(file) == [["a film", "a plot"]]


def test_texts_that_pandas_quoted_are_read_without_its_marks(file):
    texts = ['he said "no" to it', "a dull film"]
    pd.DataFrame({"text": texts}).to_csv(file, sep="\t", index=False, header=False)
    assert read_texts(file) == [texts]
    file.write_text('"wholly quoted"\na dull film\n')
    assert read_texts(file) == [['"wholly quoted"', "a dull film"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n \n", "contains no text; one text per line is needed"),
        ("a film\na\tplot\n", "line 2 has 2 texts separated by tabs; every line needs one text"),
        ('{"text": "a film"}\n{"text": "a plot"}\n', "contains JSON, not text; write only the texts, one per line"),
        ("a\tb\tc\n", "line 1 has 3 texts separated by tabs"),
        ("sentence\tlabel\na film\t0\na plot\t1\n", "a column contains labels or numbers .* keep only texts"),
        ("a film\tgood\na plot\tbad\nan end\tgood\na start\tbad\nall of it\tbad\n", "a column contains labels or"),
    ],
)
def test_what_is_not_text_alone_is_refused(text, message, file):
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_texts(file)


def test_texts_of_train_splits_are_strings_or_pairs_as_their_tasks_are(tmp_path):
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    pd.DataFrame({"text_a": ["a", "b"], "label": [0, 1]}).to_parquet(one)
    pd.DataFrame({"text_a": ["c"], "text_b": ["d"], "label": [0]}).to_parquet(two)
    assert train_texts([one, two]) == ["a", "b", ("c", "d")]
