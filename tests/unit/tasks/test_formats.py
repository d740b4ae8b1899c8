import csv
import json

import datasets
import pandas as pd
import pytest

from graft.tasks import formats

ROWS = {
    "text": ['a "fine", long\nfilm', "dull; very", "  so so", "ünï\tcode"],
    "other": ["b", "", "null", "NA"],
    "label": [1, 0, 1, 0],
}
TABLE = pd.DataFrame(ROWS)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("options", [{}, {"sep": ";"}, {"lineterminator": "\r\n"}, {"encoding": "utf-8-sig"}])
def test_csv_is_read_as_it_was_written(tmp_path, quoting, options):
    TABLE.to_csv(tmp_path / "a.csv", index=False, quoting=quoting, **options)
    found = formats.read("csv", tmp_path / "a.csv")
    assert found.to_dict("list") == {**ROWS, "label": ["1", "0", "1", "0"]}


def test_the_index_that_pandas_writes_is_left_out(tmp_path):
    TABLE.to_csv(tmp_path / "a.csv")
    assert list(formats.read("csv", tmp_path / "a.csv")) == ["text", "other", "label"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('text,label\na,1\n"b,0\nc,1\n', "a.csv: the row at line 3 is not CSV .*put in quotation marks"),
        ('text,label\na,1\n"b" c,0\n', "a.csv: the row at line 3 is not CSV"),
        ('text,label\n"a\nb",1\nc,d,0\n', "a.csv: line 4 has 3 columns but the header 2; a cell with commas"),
        ("text,label\na,1\ntext,label\n", "a.csv: line 3 repeats the header"),
        ("", "a.csv: is empty"),
        ("text,text\na,1\n", "a.csv: column 'text' appears twice"),
    ],
)
def test_what_is_not_csv_is_told_with_its_line(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        formats.read("csv", tmp_path / "a.csv")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["jsonl", "json"])
@pytest.mark.parametrize("lines", [True, False])
def test_json_is_read_line_by_line_or_as_one_list(tmp_path, kind, lines):
    TABLE.to_json(tmp_path / f"a.{kind}", orient="records", lines=lines)
    assert formats.read(kind, tmp_path / f"a.{kind}").to_dict("list") == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": "a"}\n{"text": \n', "a.jsonl: line 2 is not JSON .*each line must be one object"),
        ('{"text": "a"}\n\n["b"]\n', "a.jsonl: line 3 is not a JSON object"),
        ('{"text": "a", "text": "b"}\n', "a.jsonl: line 1 has the key 'text' twice"),
        ('[{"text": "a"}, 3]', "a.jsonl: row 2 is not a JSON object"),
        ("", "a.jsonl: is empty"),
    ],
)
def test_what_is_not_json_is_told_with_its_line(tmp_path, text, message):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        formats.read("jsonl", tmp_path / "a.jsonl")
    assert len(str(error.value).splitlines()) == 1


def saved() -> datasets.Dataset:
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "other": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
        }
    )
    return datasets.Dataset.from_dict(ROWS, features=features)


def test_a_folder_of_datasets_is_read_with_the_names_of_its_classes(tmp_path):
    # In parts, and in another order than on disk.
    saved().select([3, 2, 1, 0]).save_to_disk(tmp_path / "a", num_shards=2)
    found = formats.read("datasets", tmp_path / "a")
    assert found.to_dict("list") == TABLE.iloc[::-1].to_dict("list")
    assert found.attrs[formats.CLASSES] == {"label": ("no", "yes")}


def test_parquet_of_datasets_has_the_names_of_its_classes(tmp_path):
    saved().to_parquet(tmp_path / "a.parquet")
    found = formats.read("parquet", tmp_path / "a.parquet")
    assert found.to_dict("list") == ROWS and found.attrs[formats.CLASSES] == {"label": ("no", "yes")}
    TABLE.to_parquet(tmp_path / "b.parquet")
    assert formats.read("parquet", tmp_path / "b.parquet").attrs[formats.CLASSES] == {}


@pytest.mark.parametrize("state", [None, "{", "{}", json.dumps({"_data_files": [{"filename": "none.arrow"}]})])
def test_a_folder_that_datasets_did_not_save_is_refused(tmp_path, state):
    if state is not None:
        (tmp_path / "state.json").write_text(state)
    with pytest.raises(ValueError, match="not a data set saved by datasets' save_to_disk") as error:
        formats.read("datasets", tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_text("text,label\n")
    with pytest.raises(ValueError, match="a.parquet: not a parquet file"):
        formats.read("parquet", tmp_path / "a.parquet")
