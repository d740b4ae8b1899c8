import pytest

from graft.tasks.hub_files import configs_of, splits_of

# Repositories as people lay them out.
GLUE = [
    ".gitattributes",
    "README.md",
    *(f"{c}/{s}-00000-of-00001.parquet" for c in ("rte", "wnli") for s in ("test", "train")),
]
PUSHED = ["README.md", "data/train-00000-of-00002-0a1b2c.parquet", "data/train-00001-of-00002-3d4e5f.parquet"]
FILES = ["README.md", "train.csv", "train.jsonl", "test.csv", "script.py"]
CONVERTED = ["default/train/0000.parquet", "default/train/0001.parquet", "default/test/0000.parquet"]


@pytest.mark.parametrize(
    ("names", "config", "expected"),
    [
        (GLUE, "rte", {"test": ("parquet", [GLUE[2]]), "train": ("parquet", [GLUE[3]])}),
        (GLUE, None, {}),
        (GLUE, "cola", {}),
        (PUSHED, None, {"train": ("parquet", PUSHED[1:])}),
        (FILES, None, {"test": ("csv", ["test.csv"]), "train": ("csv", ["train.csv"])}),
        (CONVERTED, "default", {"test": ("parquet", CONVERTED[2:]), "train": ("parquet", CONVERTED[:2])}),
        (["data/en/train.tsv", "data/de/train.tsv"], "en", {"train": ("tsv", ["data/en/train.tsv"])}),
    ],
)
def test_files_are_found_by_config_and_split(names, config, expected):
    assert splits_of(names, config) == expected


def test_configs_are_folders_with_splits():
    assert configs_of(GLUE) == ["rte", "wnli"]
    assert configs_of([*PUSHED, "images/a.png"]) == [] and configs_of(CONVERTED) == ["default"]
