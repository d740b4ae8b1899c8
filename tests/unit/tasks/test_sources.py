import pytest

from graft.config.sources import FileData
from graft.tasks.sources import source_files


def test_a_missing_folder_and_an_unset_variable_say_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_FOLDER", raising=False)
    with pytest.raises(ValueError, match="environment variable NO_SUCH_FOLDER"):
        source_files(FileData(kind="tsv", folder="$NO_SUCH_FOLDER/SST-2"), "tasks.sst2.source")
    with pytest.raises(ValueError, match="is not a folder"):
        source_files(FileData(kind="tsv", folder=str(tmp_path / "none")), "tasks.sst2.source")


def test_a_missing_file_says_what_the_folder_holds(tmp_path):
    (tmp_path / "train.csv").write_text("")
    with pytest.raises(ValueError, match=r"train.tsv is missing; the folder needs .* \(it contains train.csv\)$"):
        source_files(FileData(kind="tsv", folder=str(tmp_path)), "x")
