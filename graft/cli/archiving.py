"""Archive a study, and read archives instead of results folders."""

import atexit
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from graft.compute import provenance
from graft.io import files
from graft.io.workflow import COMMAND
from graft.reporting import csv_files
from graft.reporting import runs as gathering
from graft.reporting.states import states
from graft.study import archives
from graft.study.archives import Manifest
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.calibrate import Calibrate
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.evaluate import Evaluate, evaluation
from graft.study.steps.models import DownloadModel
from graft.study.steps.step import Making

log = logging.getLogger(__name__)

# Beside a run.json, and beside the build.json of what was trained.
PREDICTIONS, LOG = "predictions.parquet", "training.jsonl"
# Why a run of a study that is going on is not in the archive.
_UNFINISHED = ("missing", "was running when the study was archived")


def write(grid: Grid, paths: Paths, out: Path) -> Manifest:
    """Archive what a study has finished; raises ValueError if its tables are older than its runs, or `out` exists."""
    if out.suffix != archives.ENDING:
        raise ValueError(f"{out}: an archive is a zip; name it {out.name}{archives.ENDING}")
    if out.exists():
        raise ValueError(f"{out} already exists; name another file, or remove it")
    _take_recorded(grid, paths)
    runs = [*grid.runs, *grid.transfer_runs]
    found = states(grid, paths, runs=runs)
    absent = {
        one.run.id: _UNFINISHED if one.state == "running" else (one.state, one.why)
        for one in found
        if one.state != "done"
    }
    _refuse_old_tables(grid, paths)
    hashed = [*map(evaluation, runs), *graph.measurements(grid)]
    contents = {path.relative_to(paths.root).as_posix(): path.read_bytes() for path in _files(grid, paths)}
    manifest = Manifest(
        study=grid.study.name,
        archived=datetime.now(UTC).date().isoformat(),
        code_version=provenance.code_version(),
        commit=provenance.commit(),
        runs=dict(Counter(absent.get(run.id, ("done",))[0] for run in runs)),
        absent=absent,
        fingerprints={str(step): step.fingerprint(grid) for step in graph.with_inputs(grid, hashed)},
        sha256=archives.hashes(contents),
    )
    archives.write(out, manifest, contents)
    return manifest


def unpacked(archive: Path) -> Paths:
    """Unpack an archive into a temporary folder and work there until this process ends.

    Paths are then those inside the archive, below its name. Raises ValueError unless it is whole.
    """
    above = Path(tempfile.mkdtemp(prefix="graft-"))
    atexit.register(shutil.rmtree, above, ignore_errors=True)
    results = above / "results"
    archives.unpack(archive, results / archive.name)
    os.chdir(results)
    return Paths(Path(archive.name))


def bring_out(paths: Paths, out: Path) -> None:
    """Copy the tables, the figures and the report of an unpacked archive into a new folder."""
    with files.atomic_folder(out, new=True) as temporary:
        for made in (paths.tables, paths.figures):
            shutil.copytree(made, temporary / made.name)
        shutil.copyfile(paths.report, temporary / paths.report.name)


def _take_recorded(grid: Grid, paths: Paths) -> None:
    """Take the fingerprints of data and models whose sources are not here from what was made of them."""
    for step in graph.of_study(grid):
        if isinstance(step, DownloadTask | DownloadModel):
            try:
                step.fingerprint(grid)
            except ValueError as error:
                if (recorded := step.recorded(paths)) is None:
                    raise
                log.warning("taken as it was when it was read: %s", error)
                grid.fingerprints[step] = recorded


def _refuse_old_tables(grid: Grid, paths: Paths) -> None:
    """Raise ValueError if runs.csv, of which the other tables are made, is not of the runs that are there now."""
    table = paths.tables / csv_files.RUNS
    with tempfile.TemporaryDirectory(prefix="graft-") as folder:
        present = Path(folder) / csv_files.RUNS
        csv_files.write_csv(gathering.gather(grid, paths, refuse_stale=False), present)
        if not table.is_file() or table.read_bytes() != present.read_bytes():
            raise ValueError(f"{table}: not made of the present runs; call `{COMMAND} tables {grid.study.name}` first")


def _files(grid: Grid, paths: Paths) -> Iterator[Path]:
    """The files that an archive has: the tables, and what tables, figures, `explain` and `verify` read.

    Stale runs are among them: they are in no table, but shared FLOPs are divided among all runs that there are.
    """
    yield paths.study
    for step in graph.of_study(grid):
        if isinstance(step, Calibrate) and step.similarity(paths).is_file():
            yield step.similarity(paths)
        output = step.output(paths)
        if output.parent == paths.tables:
            yield from (path for path in step.outputs(grid, paths) if path.is_file())
        elif output.suffix == ".json" and not step.temporary and output.is_file():
            if not isinstance(step, Evaluate) and step.recorded(paths) != step.fingerprint(grid):
                continue
            yield output
            beside = PREDICTIONS if isinstance(step, Evaluate) else LOG if isinstance(step, Making) else None
            if beside and output.with_name(beside).is_file():
                yield output.with_name(beside)
