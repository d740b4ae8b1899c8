import pandas as pd
import pytest

from graft.config.transfer import Transfer
from graft.io import files
from graft.registry.tasks import TASKS
from graft.tasks.transferred import prepare_transfer, read_report
from tests.conftest import with_transfers


@pytest.fixture
def transfer(pico_others):
    """Makes a transfer of pico IMDb or SNLI, with some keys changed."""

    def make(name, **changes):
        values = with_transfers({}, pico_others)["transfer"][name]
        return Transfer.model_validate(values | changes)

    return make


def test_snli_is_read_as_rte_and_its_unlabelled_rows_are_left_out_and_counted(transfer, pico_others, tmp_path):
    published = pd.read_parquet(pico_others / "snli" / "test.parquet")
    labelled = published[published["label"] != -1]
    manifest = prepare_transfer("snli", transfer("snli"), TASKS["rte"], tmp_path / "snli", "x")
    assert manifest["rows"] == {
        "published": len(published),
        "dropped_since_unlabelled": len(published) - len(labelled),
        "report": len(labelled),
    }
    report, answers = (pd.read_parquet(tmp_path / "snli" / f"{name}.parquet") for name in ("report", "report_labels"))
    assert report["text_a"].tolist() == labelled["premise"].tolist()
    assert report["text_b"].tolist() == labelled["hypothesis"].tolist()
    # RTE's classes are entailment, not_entailment; SNLI's entailment, neutral, contradiction.
    assert answers["label"].tolist() == [0 if label == 0 else 1 for label in labelled["label"]]
    assert report["id"].tolist() == answers["id"].tolist() == [f"test-{number}" for number in labelled.index]
    assert "label" not in report
    assert {name: files.sha256(tmp_path / "snli" / name) for name in manifest["sha256"]} == manifest["sha256"]
    assert sorted(path.name for path in (tmp_path / "snli").glob("*.parquet")) == sorted(manifest["sha256"])


def test_imdb_reads_the_same_from_parquet_and_from_tsv(transfer, pico_others):
    tsv = {"source": {"kind": "tsv", "folder": str(pico_others / "imdb")}}
    (first, *rows), (second, *others) = (
        read_report("imdb", transfer("imdb", **changes), TASKS["sst2"]) for changes in ({}, tsv)
    )
    pd.testing.assert_frame_equal(first, second)
    assert rows == others == [50, 0] and set(first["label"]) == {0, 1}


@pytest.mark.parametrize("labels", [[0.0, 1.0, None], ["0", "1", "-"], ["0", "1", "-1"], [0, 1, -1]])
def test_values_count_as_they_are_written_whatever_the_columns_type(transfer, tmp_path, labels):
    pd.DataFrame({"text": ["a", "b", "c"], "label": labels}).to_parquet(tmp_path / "test.parquet")
    source = {"kind": "parquet", "folder": str(tmp_path)}
    changes = {"labels": {0: "negative", 1: "positive"}}
    if labels[-1] is None:
        with pytest.raises(ValueError, match="row 3 has the label 'nan', but transfer.imdb.labels maps"):
            read_report("imdb", transfer("imdb", source=source, **changes), TASKS["sst2"])
        return
    report, published, dropped = read_report("imdb", transfer("imdb", source=source, **changes), TASKS["sst2"])
    assert (report["label"].tolist(), published, dropped) == ([0, 1], 3, 1)


def test_minus_one_is_a_label_where_the_config_says_so(transfer, tmp_path):
    pd.DataFrame({"text": ["a", "b"], "label": [1, -1]}).to_parquet(tmp_path / "test.parquet")
    changes = {"source": {"kind": "parquet", "folder": str(tmp_path)}, "labels": {-1: "negative", 1: "positive"}}
    report, _, dropped = read_report("imdb", transfer("imdb", **changes), TASKS["sst2"])
    assert (report["label"].tolist(), dropped) == ([1, 0], 0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "a\t1\nb\tpos\n",
            r"test.tsv: row 2 has the label 'pos', but transfer.imdb.labels maps only 0, 1",
        ),
        ("a\t-\nb\t-\n", "test.tsv: all labels are -, so the split is unlabelled"),
        ("a\t-\n\t1\n", "test.tsv: row 2 has no text in column text"),
    ],
)
def test_bad_rows_are_named_by_file_row_and_value(transfer, tmp_path, rows, message):
    (tmp_path / "test.tsv").write_text(f"text\tlabel\n{rows}")
    spec = transfer("imdb", source={"kind": "tsv", "folder": str(tmp_path)})
    with pytest.raises(ValueError, match=message):
        read_report("imdb", spec, TASKS["sst2"])


def test_an_unlabelled_row_may_be_without_text(transfer, tmp_path):
    (tmp_path / "test.tsv").write_text("text\tlabel\n\t-\na\t1\n")
    report, _, dropped = read_report(
        "imdb", transfer("imdb", source={"kind": "tsv", "folder": str(tmp_path)}), TASKS["sst2"]
    )
    assert (report["id"].tolist(), dropped) == (["test-1"], 1)


def test_a_limit_draws_the_same_rows_every_time(transfer):
    spec = transfer("imdb", limits={"report": 7})
    (first, _, dropped), (second, *_) = (read_report("imdb", spec, TASKS["sst2"]) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert len(first) == 7 and dropped == 0


def test_generated_data_is_a_target_too(transfer, tmp_path):
    spec = transfer(
        "snli",
        source={"kind": "generated", "grammar": "entailment", "seed": 3, "train": 20, "dev": 30},
        split="dev",
        text=["sentence1", "sentence2"],
        labels={"entailment": "entailment", "not_entailment": "not_entailment"},
    )
    manifest = prepare_transfer("snli", spec, TASKS["rte"], tmp_path / "made", "x")
    assert manifest["rows"]["report"] == 30 and (tmp_path / "made" / "tsv" / "dev.tsv").is_file()
    assert read_report("snli", spec, TASKS["rte"])[0]["id"].tolist() == [f"dev-{i}" for i in range(30)]
