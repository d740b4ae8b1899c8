"""Before any job: the default study, and bad input reported in one line."""

import re
import subprocess
import sys

import pytest

from graft.config.study import load, parse
from graft.planning.plan import plan
from graft.registry.rates import CPU
from graft.study.grid import Grid
from graft.study.paths import Paths
from tests.unit.io.test_locks import HOLDER
from tests.workflow.conftest import ROOT, command, environment, snakemake

NO_NETWORK = """
import socket
def refuse(*args, **kwargs):
    raise RuntimeError("network was touched")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
"""


def test_a_dry_run_of_the_default_study_needs_neither_torch_nor_network(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    arguments = command(tmp_path, None, "--dry-run")
    done = subprocess.run(
        [arguments[0], "-X", "importtime", *arguments[1:]],
        capture_output=True,
        text=True,
        env={**environment(), "PYTHONPATH": f"{tmp_path}:{ROOT}"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "graft.study.grid" in imported and not {"torch", "transformers", "datasets"} & imported
    assert "finetune.bert-base" in done.stdout + done.stderr
    assert "network was touched" not in done.stdout + done.stderr


def test_the_default_study_is_not_mixed_into_another(study_config, write_config, tmp_path):
    output = snakemake(tmp_path, write_config(study_config), "--dry-run").stdout
    assert "bert-base" not in output and "finetune.large" in output


def job_stats(output):
    """Jobs per rule, from the first table of a dry run."""
    table = output.split("Job stats:")[1].split("total")[0]
    return {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def planned_jobs(study, folder):
    return plan(Grid(study), Paths(folder), CPU).jobs


@pytest.mark.parametrize("config", ["config.yaml", "config/glue-small.yaml"])
def test_the_planned_jobs_are_those_of_a_dry_run(config, pico_glue, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_GLUE", str(pico_glue))
    done = snakemake(tmp_path, ROOT / config, "--dry-run")
    assert done.returncode == 0, done.stdout[-2000:]
    assert job_stats(done.stdout) == planned_jobs(load(ROOT / config), tmp_path)


def test_the_planned_jobs_of_a_part_of_a_study_are_those_of_a_dry_run(study_config, write_config, tmp_path):
    study_config |= {
        "include": ["rte/merge.theseus.labelled.*", "sst2/*.cls.*", "rte/budget.*", "stsb/warm-start.merged.*"]
    }
    study_config |= {"exclude": ["*/seed-1"]}
    study_config["systems"] |= {"budget": {}, "warm-start": {"merge": "spacewise", "steps": [2]}}
    output = snakemake(tmp_path, write_config(study_config), "--dry-run").stdout
    assert job_stats(output) == planned_jobs(parse(study_config), tmp_path)


def test_target_rules_exist(study_config, write_config, tmp_path):
    targets = ("all", "download", "data", "models", "finetune", "merge", "tables", "report")
    done = snakemake(tmp_path, write_config(study_config), "--quiet", "all", "--dry-run", *targets)
    assert done.returncode == 0, done.stdout


def drop_folder(config):
    config["tasks"]["rte"]["source"]["folder"] = "/no/such/RTE"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(sedes=1), "sedes: unknown key"),
        (lambda c: c["systems"]["merge"].update(thesaurus={}), "no merge method is called 'thesaurus'"),
        (drop_folder, "/no/such/RTE is not a folder"),
        (
            lambda c: c["models"]["large"]["source"].update(folder="/none"),
            "/none is not a folder; a Hugging Face model folder is needed",
        ),
        (
            lambda c: c["systems"]["probe"].update(pooling=["mean", "mean"]),
            "two systems have the name probe.mean.large",
        ),
        (lambda c: c.update(include=["nothing"]), "include: no run matches 'nothing'"),
    ],
)
def test_bad_input_is_told_before_any_job(change, message, study_config, write_config, tmp_path):
    change(study_config)
    done = snakemake(tmp_path, write_config(study_config))
    assert done.returncode != 0
    assert sum(message in line for line in done.stdout.splitlines()) == 1, done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "results").exists()


def test_snakemake_reads_a_config_as_graft_does(study_config, write_config, tmp_path):
    whole = write_config(study_config).read_text()
    config = tmp_path / "study.yaml"
    assert '"seeds": 2,' in whole
    # The first is eight seeds for Snakemake's own reader.
    for word, told in (
        ("010", ", line 1: 010 is read differently by different versions of YAML"),
        ("1e0", "seeds: 1.0; give a list, or a whole number from 1"),
    ):
        config.write_text(whole.replace('"seeds": 2,', f'"seeds": {word},'))
        done = snakemake(tmp_path, config, "--dry-run")
        assert done.returncode != 0 and told in done.stdout and "Traceback" not in done.stdout
    # What --config says comes last.
    config.write_text(whole)
    done = snakemake(tmp_path, config, "--dry-run", "--config", "include=['sst2/*']", "models={large: {note: no}}")
    assert done.returncode == 0 and "/rte/" not in done.stdout, done.stdout


def test_a_second_snakemake_on_one_study_is_refused(study_config, write_config, tmp_path):
    lock = tmp_path / "results" / "pico" / ".lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDER,
            str(lock),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    holder.stdout.readline()
    try:
        done = snakemake(tmp_path, write_config(study_config))
        assert done.returncode != 0
        assert f"study pico is being run by another snakemake (pid {holder.pid}" in done.stdout
    finally:
        holder.kill()
        holder.wait()
