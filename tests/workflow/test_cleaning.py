"""A finished study that was cleaned has all its results, and snakemake has nothing to do for it."""

import json
import subprocess
import sys

import pytest

from tests.conftest import study_values
from tests.workflow.conftest import environment, snakemake


@pytest.fixture(scope="module")
def finished(pico_glue, pico_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cleaned")
    include = ["rte/finetune.*", "rte/merge.*", "rte/probe.mean.large/*"]
    values = study_values(pico_glue, pico_models, seeds=[0], include=include)
    config = folder / "config.json"
    config.write_text(json.dumps(values))
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder, config, values


def clean(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "graft", "clean", "pico", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )


def kept(folder):
    """Contents of all files that cleaning must not touch, by path."""
    results = folder / "results" / "pico"
    patterns = (
        "runs/*/*/*/run.json",
        "runs/*/*/*/predictions.parquet",
        "tables/*",
        "figures/*",
        "models/*/*",
        "data/*/*",
    )
    found = [path for pattern in patterns for path in results.glob(pattern)]
    return {path.relative_to(results): path.read_bytes() for path in found}


def predictions(folder):
    return {path: content for path, content in kept(folder).items() if path.suffix == ".parquet"}


def test_cleaning_leaves_the_results_and_nothing_to_be_done(finished):
    folder, config, values = finished
    results = folder / "results" / "pico"
    before, predicted = kept(folder), predictions(folder)
    assert len(before) > 20
    everything = sorted(results.rglob("*"))
    dry = clean(folder, "--models", "*", "--dry-run")
    assert dry.returncode == 0 and "would be freed" in dry.stdout and sorted(results.rglob("*")) == everything
    for arguments in ((), ("--models", "*")):
        done = clean(folder, *arguments)
        assert done.returncode == 0, done.stderr
        assert kept(folder) == before
        for target in ("all", "tables"):
            assert "Nothing to be done" in snakemake(folder, config, "--dry-run", target).stdout
    assert {path.relative_to(results).parts[0] for path in results.rglob("*.safetensors")} == {"models"}
    assert "nothing to delete" in clean(folder).stdout
    # What a new system needs is made anew, and the study ends as it would have without cleaning.
    values["systems"]["control"] = {"head-only": {"heads": ["transplant"], "fit_rows": 64}}
    values["include"].append("rte/control.*")
    config.write_text(json.dumps(values))
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout[-3000:]
    assert predicted.items() <= predictions(folder).items()
