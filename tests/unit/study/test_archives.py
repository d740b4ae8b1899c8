"""An archive is read whole, as it was written, or refused in one sentence; its study needs no source."""

import json
import shutil
import zipfile

import pytest

from graft.config.study import parse
from graft.io import files
from graft.study import archives
from graft.study.archives import Manifest
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.evaluate import evaluation
from tests.conftest import study_values

CONTENTS = {"study.json": b"{}\n", "runs/rte/majority/seed-all/run.json": b"{}", "tables/runs.csv": b"task\n" * 999}


def manifest_of(contents, **changes):
    values = {"study": "s", "archived": "2026-11-30", "code_version": "0+a", "commit": None, "runs": {"done": 1}}
    known = values | {"absent": {}, "fingerprints": {}, "sha256": archives.hashes(contents)}
    return Manifest(**known | changes)


@pytest.fixture
def packed(tmp_path):
    archives.write(tmp_path / "s.zip", manifest_of(CONTENTS), CONTENTS)
    return tmp_path / "s.zip"


def test_what_is_unpacked_is_what_was_archived(packed, tmp_path):
    archives.unpack(packed, tmp_path / "s")
    for name, content in CONTENTS.items():
        assert (tmp_path / "s" / name).read_bytes() == content
    assert archives.manifest(Paths(tmp_path / "s")) == manifest_of(CONTENTS)
    assert packed.stat().st_size < 2000


def test_equal_contents_are_equal_bytes_in_any_order(packed, tmp_path):
    archives.write(tmp_path / "again.zip", manifest_of(CONTENTS), dict(reversed(CONTENTS.items())))
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def rewritten(packed, change):
    """The archive with its files changed, and with the manifest that it had unless that is changed too."""
    with zipfile.ZipFile(packed) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    change(contents)
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def _told(contents, **changes):
    told = json.loads(contents[archives.FILE])
    contents[archives.FILE] = json.dumps(told | changes).encode()


def _outside(contents):
    contents["../run.json"] = b"{}"
    _told(contents, sha256=archives.hashes({n: c for n, c in contents.items() if n != archives.FILE}))


def _without_runs(contents):
    told = json.loads(contents[archives.FILE])
    contents[archives.FILE] = json.dumps({k: v for k, v in told.items() if k != "absent"}).encode()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.update({"tables/runs.csv": b"task"}), "tables/runs.csv is not the file that was archived"),
        (lambda c: c.pop("study.json"), "study.json is missing; get the archive again"),
        (lambda c: c.update({"more.json": b"{}"}), "more.json was added; get the archive again"),
        (_outside, r"\.\./run.json is not a path of a study's file"),
        (lambda c: c.pop(archives.FILE), r"not written by `archive` \(it has no archive.json\)"),
        (lambda c: c.update({archives.FILE: b"{"}), "damaged, or not written by `archive`"),
        (lambda c: c.update({archives.FILE: b"[]"}), "does not say which format it has"),
        (_without_runs, "damaged: archive.json: absent: Field required; get it again"),
        (lambda c: _told(c, sha256=["a"]), "damaged: archive.json: sha256: Input should be a valid dictionary; get"),
        (lambda c: _told(c, format=2), r"a newer Graft wrote it \(format 2; this one reads 1\); install that version"),
    ],
)
def test_an_archive_that_is_not_as_it_was_written_is_refused_in_one_sentence(packed, tmp_path, change, told):
    rewritten(packed, change)
    with pytest.raises(ValueError, match=told) as refused:
        archives.unpack(packed, tmp_path / "s")
    assert str(refused.value).startswith(f"{packed}: ") and "\n" not in str(refused.value)
    assert not (tmp_path / "run.json").exists()


def test_half_an_archive_a_text_and_nothing_are_refused(packed, tmp_path):
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged, or not written by `archive`"):
        archives.unpack(packed, tmp_path / "s")
    with pytest.raises(ValueError, match="there is no such archive"):
        archives.unpack(tmp_path / "other.zip", tmp_path / "s")


@pytest.fixture
def archived(pico_glue, pico_models, tmp_path):
    """Paths of an unpacked archive without runs, whose sources are gone, and its study's fingerprints."""
    sources = [shutil.copytree(folder, tmp_path / folder.name) for folder in (pico_glue, pico_models)]
    text = tmp_path / "texts.txt"
    text.write_text("a good film\n" * 9)
    values = study_values(*sources, calibration={"text": str(text), "tokens": 500})
    grid, paths = Grid(parse(values)), Paths(tmp_path / "s")
    steps = graph.with_inputs(grid, [evaluation(run) for run in grid.runs])
    known = {step: step.fingerprint(grid) for step in steps}
    for source in sources:
        shutil.rmtree(source)
    text.unlink()
    files.write_json(tmp_path / "study.json", grid.study.model_dump(mode="json", by_alias=True))
    contents = {"study.json": (tmp_path / "study.json").read_bytes()}
    told = manifest_of(contents, fingerprints={str(step): found for step, found in known.items()})
    archives.write(tmp_path / "s.zip", told, contents)
    archives.unpack(tmp_path / "s.zip", paths.root)
    return paths, known


def test_an_archived_study_has_its_fingerprints_without_any_source(archived):
    paths, known = archived
    grid = archives.grid_of(paths)
    assert {step: step.fingerprint(grid) for step in known} == known
    # They are all that differs from a study whose sources are gone.
    with pytest.raises(ValueError, match="is not a folder"):
        next(iter(known)).fingerprint(Grid(grid.study))


def test_a_study_that_is_continued_where_an_archive_was_unpacked_is_none(archived):
    paths, _ = archived
    told = files.read_json(paths.study)
    files.write_json(paths.study, told | {"seeds": [7]})
    assert archives.manifest(paths) is None
    assert archives.grid_of(paths).fingerprints == {}
