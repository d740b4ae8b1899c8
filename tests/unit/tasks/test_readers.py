import pandas as pd
import pytest

from graft.config.sources import FileData
from graft.registry.tasks import TASKS, TaskRow
from graft.tasks.readers import read_split, read_texts


def tsv(folder, split, text):
    (folder / f"{split}.tsv").write_text(text)
    return FileData(kind="tsv", folder=str(folder))


@pytest.fixture
def sst2(tmp_path):
    tsv(tmp_path, "train", "sentence\tlabel\na fine film\t1\n")
    return tsv(tmp_path, "dev", 'sentence\tlabel\n"quoted from the start\t1\nnull\t0\n')


def test_a_lone_quotation_mark_and_the_word_null_are_text(sst2):
    table = read_split(sst2, TASKS["sst2"], "dev", "tasks.sst2.source")
    assert table["text_a"].tolist() == ['"quoted from the start', "null"]
    assert table["label"].tolist() == [1, 0]
    assert table["id"].tolist() == ["dev-0", "dev-1"]


def test_class_names_and_ids_are_both_understood(tmp_path):
    tsv(tmp_path, "train", "sentence1\tsentence2\tlabel\na\tb\tnot_entailment\na\tc\t0\n")
    source = tsv(tmp_path, "dev", "sentence1\tsentence2\tlabel\na\tb\tentailment\n")
    assert read_split(source, TASKS["rte"], "train", "x")["label"].tolist() == [1, 0]


def test_classes_that_are_called_by_numbers_are_read_by_name(tmp_path):
    stars = TaskRow(text=("sentence",), label="stars", labels=("1", "2", "3"), metrics=("accuracy",))
    tsv(tmp_path, "train", "sentence\tstars\na\t1\nb\t2\nc\t3\n")
    source = tsv(tmp_path, "dev", "sentence\tstars\na\t0\n")
    assert read_split(source, stars, "train", "x")["label"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="row 1 has the label '0'; it should be one of 1, 2, 3$"):
        read_split(source, stars, "dev", "x")


def test_parquet_with_the_hubs_names_reads_like_tsv(tmp_path):
    for split in ("train", "dev"):
        pd.DataFrame({"sentence1": ["a"], "sentence2": ["b"], "label": [2.5]}).to_parquet(tmp_path / f"{split}.parquet")
    source = FileData(kind="parquet", folder=str(tmp_path))
    assert read_split(source, TASKS["stsb"], "dev", "x")["label"].tolist() == [2.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sentence\tlabel\n", "split has no rows"),
        ("text\tlabel\nx\t1\n", "no column 'sentence'; it has text, label"),
        ("sentence\nx\n", "report split must be labelled"),
        ("sentence,label\nx,1\n", "no column 'sentence'; it has sentence,label only; columns are separated by tabs$"),
    ],
)
def test_bad_files_are_named(text, message, sst2, tmp_path):
    (tmp_path / "dev.tsv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_split(sst2, TASKS["sst2"], "dev", "tasks.sst2.source")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sentence\tlabel\nx\t1\ny\t7\n", "row 2 has the label '7'; it should be one of negative, positive"),
        ("sentence\tlabel\nx\t-1\ny\t-1\n", "unlabelled"),
        ("sentence\tlabel\n\t1\n", "row 1 has no text"),
        ("sentence\tlabel\n7\t1\n8\t0\n", "column sentence contains numbers, not text; name the text column$"),
        ("sentence\tlabel\nx\t1\ny\t1\n", "the label column label has only 'positive'; two classes or more"),
    ],
)
def test_bad_rows_are_named(text, message, sst2, tmp_path):
    (tmp_path / "dev.tsv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_split(sst2, TASKS["sst2"], "dev", "x")


def test_a_score_that_is_no_number_is_named(tmp_path):
    tsv(tmp_path, "train", "sentence1\tsentence2\tscore\na\tb\thigh\n")
    source = tsv(tmp_path, "dev", "sentence1\tsentence2\tscore\na\tb\t1\n")
    with pytest.raises(ValueError, match="label 'high'; it should be a number"):
        read_split(source, TASKS["stsb"], "train", "x")


def test_a_split_without_labels_is_read_with_its_own_index(tmp_path):
    tsv(tmp_path, "test", "index\tsentence\n7\ta fine film\n8\t \n")
    source = FileData(kind="tsv", folder=str(tmp_path))
    table = read_texts(source, TASKS["sst2"], "test", "x")
    assert table.to_dict("list") == {"index": ["7", "8"], "text_a": ["a fine film", ""]}


def test_a_hubs_split_without_labels_has_the_hubs_index(tmp_path):
    columns = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [-1, -1], "idx": [0, 1]}
    pd.DataFrame(columns).to_parquet(tmp_path / "test.parquet")
    table = read_texts(FileData(kind="parquet", folder=str(tmp_path)), TASKS["rte"], "test", "x")
    assert table.to_dict("list") == {"index": [0, 1], "text_a": ["a", "b"], "text_b": ["c", "d"]}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([b"a", b"b"], "column sentence contains bytes values, not text"),
        ([["a"], ["b"]], "column sentence contains mixed values, not text"),
        ([3, 4], "column sentence contains numbers, not text"),
        (["a", None], "row 2 has no text in column sentence"),
    ],
)
def test_parquet_columns_of_something_else_than_text_are_refused(texts, message, tmp_path):
    pd.DataFrame({"sentence": texts, "label": [0, 1]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=message):
        read_split(FileData(kind="parquet", folder=str(tmp_path)), TASKS["sst2"], "train", "x")
