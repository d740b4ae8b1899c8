"""Splits of real GLUE, where it stands at $GRAFT_GLUE (its licences do not let it into the repository)."""

import os
from pathlib import Path

import pandas as pd
import pytest

from graft.config.tasks import Task
from graft.tasks.prepare import prepare_task
from graft.tasks.splits import normalised

GLUE = os.environ.get("GRAFT_GLUE")
pytestmark = pytest.mark.skipif(not GLUE, reason="GRAFT_GLUE is not set; export GRAFT_GLUE=FOLDER to test real GLUE")

# Published rows of train and dev; rows whose first text begins with a quotation mark that quoting rules would swallow;
# rows of dev that share a text with train.
KNOWN = {
    "sst2": ("SST-2", 67_349, 872, 0, 0),
    "stsb": ("STS-B", 5_749, 1_500, 1, 252),
    "rte": ("RTE", 2_490, 277, 1, 104),
}


@pytest.mark.parametrize("name", KNOWN)
def test_every_row_of_real_glue_is_read_and_select_shares_no_text_with_train(name, tmp_path):
    folder, train, dev, quoted, shared = KNOWN[name]
    spec = {"source": {"kind": "tsv", "folder": str(Path(GLUE) / folder)}, "limits": {"select": 500}}
    manifest = prepare_task(name, Task.model_validate(spec), tmp_path, "x")
    assert (manifest["rows"]["published_train"], manifest["rows"]["report"]) == (train, dev)
    assert manifest["rows"]["report_seen_in_train"] == len(set(manifest["report_seen_in_train"])) == shared
    tables = {split: pd.read_parquet(tmp_path / f"{split}.parquet") for split in ("train", "select")}
    columns = [c for c in ("text_a", "text_b") if c in tables["train"]]
    texts = {split: set(table[columns].map(normalised).to_numpy().ravel()) for split, table in tables.items()}
    assert not texts["train"] & texts["select"]
    assert tables["train"]["text_a"].str.startswith('"').sum() >= quoted
    if name == "sst2":
        phrases = texts["train"]
        for sentence in texts["select"]:
            words = sentence.split()
            runs = (" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1))
            assert not phrases & set(runs), sentence
