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


def test_cola_is_read_without_a_header_and_with_one(tmp_path):
    tsv(tmp_path, "train", "gj04\t1\t\tOur friends won't buy this.\ngj04\t0\t*\t\"They drank the pub.\n")
    source = tsv(tmp_path, "dev", "source\tlabel\tstar\tsentence\ngj04\t1\t\tA fine one.\ngj04\t0\t*\tOne fine a.\n")
    table = read_split(source, TASKS["cola"], "train", "x")
    assert table["text_a"].tolist() == ["Our friends won't buy this.", '"They drank the pub.']
    assert table["label"].tolist() == [1, 0] and len(read_split(source, TASKS["cola"], "dev", "x")) == 2


@pytest.mark.parametrize(
    ("task", "header", "row"),
    [
        ("mrpc", "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String", "{}\t1\t2\tone\ttwo"),
        ("qqp", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "1\t2\t3\tone\ttwo\t{}"),
        ("mnli", "index\tpairID\tsentence1\tsentence2\tlabel1\tgold_label", "1\t2\tone\ttwo\tneutral\t{}"),
        ("qnli", "index\tquestion\tsentence\tlabel", "1\tone\ttwo\t{}"),
        ("wnli", "index\tsentence1\tsentence2\tlabel", "1\tone\ttwo\t{}"),
    ],
)
def test_glues_official_files_are_read_by_their_own_columns(tmp_path, task, header, row):
    names = TASKS[task].labels
    written = names if task in ("mnli", "qnli") else range(len(names))
    text = "\n".join([header, *(row.format(label) for label in written)]) + "\n"
    table = read_split(tsv(tmp_path, "train", text), TASKS[task], "train", "x")
    assert table["label"].tolist() == list(range(len(names)))
    assert table[["text_a", "text_b"]].drop_duplicates().to_numpy().tolist() == [["one", "two"]]


def test_a_split_that_the_source_does_not_name_is_told(tmp_path):
    source = FileData(kind="tsv", folder=str(tmp_path), splits={"train": "all"})
    with pytest.raises(ValueError, match="x.splits: names no test; give the name of that split"):
        read_texts(source, TASKS["sst2"], "test", "x")
