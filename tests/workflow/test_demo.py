"""The demo's first steps, from its own config; the whole of it takes minutes."""

import re

from graft.config.study import load
from tests.workflow.conftest import ROOT, snakemake

DEMO = ROOT / "config" / "demo.yaml"


def test_the_demo_is_few_jobs_and_no_download(tmp_path):
    """A job spends seconds on imports, so the number of jobs decides how long the demo takes."""
    done = snakemake(tmp_path, DEMO, "--dry-run")
    assert done.returncode == 0, done.stdout[-2000:]
    jobs = int(re.search(r"^total\s+(\d+)", done.stdout, re.MULTILINE).group(1))
    assert jobs <= 135
    assert {task.source.kind for task in load(DEMO).tasks.values()} == {"generated"}


def test_the_demos_tasks_are_written_as_tsv_once(tmp_path):
    done = snakemake(tmp_path, DEMO, "--", "data")
    assert done.returncode == 0, done.stdout[-2000:]
    for task, header in (
        ("sentiment", "sentence\tlabel"),
        ("similarity", "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"),
        ("entailment", "index\tsentence1\tsentence2\tlabel"),
    ):
        for split in ("train", "dev"):
            file = tmp_path / "results" / "demo" / "data" / task / "tsv" / f"{split}.tsv"
            assert file.read_text().splitlines()[0] == header
    again = snakemake(tmp_path, DEMO, "--", "data")
    assert again.returncode == 0 and "Nothing to be done" in again.stdout
