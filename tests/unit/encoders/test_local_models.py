import sys

import pytest

from graft.config.models import PackageModel, PathModel
from graft.encoders.local_models import PROJECTION, local_folder, model_files
from graft.io import files


def test_a_package_that_is_not_installed_is_named():
    source = PackageModel(kind="python_package", package="no_such_package", sha256="0" * 64)
    with pytest.raises(ValueError, match="models.small.source.package: no_such_package is not installed"):
        local_folder(source, "models.small.source")


def test_a_model_is_found_inside_of_a_package_and_no_code_of_it_runs(tmp_path, monkeypatch):
    (tmp_path / "weights_only_package").mkdir()
    (tmp_path / "weights_only_package" / "__init__.py").write_text("raise RuntimeError('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    source = PackageModel(kind="python_package", package="weights_only_package", folder="data", sha256="0" * 64)
    assert local_folder(source, "x") == tmp_path / "weights_only_package" / "data"
    assert "weights_only_package" not in sys.modules


def test_a_folder_may_name_variables_and_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MODELS", "models")
    assert local_folder(PathModel(kind="path", folder="~/$MODELS/small"), "x") == tmp_path / "models" / "small"


def test_the_files_of_a_model_are_weights_config_and_tokenizer_and_nothing_else(pico_models, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (pico_models / "small").iterdir():
        (folder / file.name).symlink_to(file)
    (folder / PROJECTION).touch()
    (folder / "training_args.bin").touch()
    found = [path.name for path in model_files(PathModel(kind="path", folder=str(folder)), "x")]
    assert found[:3] == ["model.safetensors", "config.json", PROJECTION]
    assert set(found[3:]) == {"tokenizer.json", "tokenizer_config.json", "vocab.txt"}


def test_weights_that_are_not_those_of_the_config_are_told_with_both_sums(pico_models):
    folder = pico_models / "small"
    own = files.sha256(folder / "model.safetensors")
    assert model_files(PathModel(kind="path", folder=str(folder), sha256=own), "x")
    with pytest.raises(ValueError, match=f"^x.sha256: .*model.safetensors has {own}; the config expects {'0' * 64}"):
        model_files(PathModel(kind="path", folder=str(folder), sha256="0" * 64), "x")
