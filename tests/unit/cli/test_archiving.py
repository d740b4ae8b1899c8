"""The archive of a pico study has what its tables need, nothing else, and says what is absent and why."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from graft.cli import archiving, verifying
from graft.config.study import parse
from graft.reporting import tables
from graft.reporting.states import states
from graft.study import archives
from graft.study.grid import Grid
from graft.study.paths import Paths
from tests.conftest import study_values
from tests.unit.programs import finish

PAIR = "small-into-large"
ENSEMBLE = f"merge.logit_ensemble.{PAIR}"


@pytest.fixture(scope="module")
def study(pico_glue, pico_models, tmp_path_factory):
    """Folder with the results of a study, its sources beside them, and its grid's values."""
    folder = tmp_path_factory.mktemp("archiving")
    sources = [shutil.copytree(source, folder / source.name) for source in (pico_glue, pico_models)]
    values = study_values(*sources, seeds=[0], launch={"precision": "fp32"})
    values["include"] = ["rte/finetune.*", f"rte/{ENSEMBLE}/*", "rte/majority/*"]
    grid = Grid(parse(values))
    finish(grid, Paths(folder / "pico"))
    tables.write_runs(grid, Paths(folder / "pico"))
    return folder, values


@pytest.fixture
def copied(study, tmp_path, monkeypatch):
    """Paths of a copy whose sources can be removed, and its grid."""
    folder, values = study
    shutil.copytree(folder, tmp_path / "study", symlinks=True)
    monkeypatch.chdir(tmp_path)
    moved = json.loads(json.dumps(values).replace(str(folder), str(tmp_path / "study")))
    paths = Paths(tmp_path / "study" / "pico")
    grid = Grid(parse(moved))
    paths.study.write_text(json.dumps(grid.study.model_dump(mode="json", by_alias=True)))
    return grid, paths


def names(archive):
    with zipfile.ZipFile(archive) as packed:
        return set(packed.namelist())


def test_an_archive_has_records_predictions_and_tables_and_neither_texts_nor_weights(copied, tmp_path):
    grid, paths = copied
    told = archiving.write(grid, paths, tmp_path / "a.zip")
    found = names(tmp_path / "a.zip")
    assert told.runs == {"done": 4} and told.absent == {} and told.archived.startswith("20")
    for run in grid.runs:
        assert {f"runs/{run.id}/{name}" for name in ("run.json", "build.json", "predictions.parquet")} <= found
    assert {"study.json", "tables/runs.csv", "data/rte/manifest.json", "models/large/manifest.json"} <= found
    assert {Path(name).suffix for name in found} == {".json", ".jsonl", ".parquet", ".csv"}
    texts = pd.read_parquet(paths.data("rte") / "report.parquet").filter(like="text_").stack().unique()
    with zipfile.ZipFile(tmp_path / "a.zip") as packed:
        contents = [packed.read(name) for name in found if not name.endswith(".parquet")]
        for name in (name for name in found if name.endswith(".parquet")):
            assert set(pd.read_parquet(packed.open(name))) == {"id", "label", "logit_0", "logit_1"}
    assert len(texts) > 50 and not any(text.encode() in content for text in texts for content in contents)


def test_archiving_twice_gives_the_same_bytes(copied, tmp_path):
    archiving.write(*copied, tmp_path / "a.zip")
    archiving.write(*copied, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_an_archive_can_be_written_when_the_sources_are_gone_which_is_told(copied, tmp_path, caplog):
    grid, paths = copied
    archiving.write(grid, paths, tmp_path / "before.zip")
    for name in ("SST-2", "STS-B", "RTE", "large", "small"):
        (folder,) = (tmp_path / "study").glob(f"*/{name}")
        shutil.rmtree(folder)
    archiving.write(Grid(grid.study), paths, tmp_path / "after.zip")
    assert (tmp_path / "after.zip").read_bytes() == (tmp_path / "before.zip").read_bytes()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3 and all(one.startswith("taken as it was when it was read: ") for one in told)


def test_runs_that_are_absent_are_so_for_the_same_reason_in_the_archive(copied, tmp_path):
    grid, paths = copied
    failed, stale, missing = (
        paths.run("rte", *run) for run in (("finetune.small", 0), (ENSEMBLE, 0), ("majority", "all"))
    )
    shutil.rmtree(failed)
    log = paths.logs / "finetune_model" / "rte" / "finetune.small" / "seed-0.log"
    log.parent.mkdir(parents=True)
    log.write_text("finetune_model: loss is nan\n")
    record = json.loads((stale / "run.json").read_text())
    record["provenance"]["fingerprint"] = "0" * 16
    (stale / "run.json").write_text(json.dumps(record))
    (missing / "run.json").unlink()
    tables.write_runs(grid, paths, refuse_stale=False)
    told = archiving.write(grid, paths, tmp_path / "a.zip")
    expected = [(one.run.id, one.state, one.why) for one in states(grid, paths)]
    assert {state for _, state, _ in expected} == {"done", "failed", "stale", "missing"}
    assert told.runs == {"done": 1, "failed": 1, "stale": 1, "missing": 1}
    assert f"runs/rte/{ENSEMBLE}/seed-0/run.json" in names(tmp_path / "a.zip")
    unpacked = archiving.unpacked(tmp_path / "a.zip")
    own = archives.grid_of(unpacked)
    assert [(one.run.id, one.state, one.why) for one in states(own, unpacked)] == expected
    before = (unpacked.tables / "runs.csv").read_bytes()
    tables.write_runs(own, unpacked, refuse_stale=False)
    assert (unpacked.tables / "runs.csv").read_bytes() == before


def test_tables_of_other_runs_than_those_that_are_there_are_refused(copied, tmp_path):
    grid, paths = copied
    (paths.run("rte", "majority", "all") / "run.json").unlink()
    with pytest.raises(ValueError, match=r"tables/runs.csv: not made of the present runs; call .* tables pico` first"):
        archiving.write(grid, paths, tmp_path / "a.zip")
    (paths.tables / "runs.csv").unlink()
    with pytest.raises(ValueError, match="tables/runs.csv: not made of the present runs"):
        archiving.write(grid, paths, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_an_archive_is_a_new_zip(copied, tmp_path):
    with pytest.raises(ValueError, match=r"a: an archive is a zip; name it a.zip"):
        archiving.write(*copied, tmp_path / "a")
    (tmp_path / "a.zip").touch()
    with pytest.raises(ValueError, match="already exists; name another file, or remove it"):
        archiving.write(*copied, tmp_path / "a.zip")


def test_an_archive_is_verified_by_its_hashes_and_its_predictions(copied, tmp_path):
    archiving.write(*copied, tmp_path / "a.zip")
    paths = archiving.unpacked(tmp_path / "a.zip")
    assert str(paths.study) == "a.zip/study.json" and Path.cwd() != tmp_path
    found = verifying.verify(archives.grid_of(paths), paths, lambda done, total, text: None)
    assert found.problems == []
    assert found.counts == {
        "files of the archive": len(names(tmp_path / "a.zip")) - 1,
        "finished runs": 4,
        "runs whose model was not kept": 4,
        "tables of predictions": 4,
    }
    os.chdir(tmp_path)
