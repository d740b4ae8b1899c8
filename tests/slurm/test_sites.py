"""What sites have or ask for: a file of partitions, names of jobs, modules, arrays, snakemake itself in a job."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from graft.io import files
from tests.slurm.conftest import ROOT, Study, until

RUN = "runs/sst2/finetune.large/seed-0/build.json"
MODULES = "/usr/share/modules/init/bash"


def profile(folder, **site):
    """A copy of the profile with keys of the site filled in."""
    copy = shutil.copytree(ROOT / "profiles/slurm", folder / "slurm")
    config = copy / "config.v9+.yaml"
    text = config.read_text()
    for key, value in site.items():
        assert f'  {key}: ""' in text
        text = text.replace(f'  {key}: ""', f'  {key}: "{value}"')
    config.write_text(text)
    return str(copy)


def partitions(folder, **limits):
    file = folder / "partitions.yaml"
    file.write_text(yaml.safe_dump({"partitions": limits}))
    return file


def test_a_file_of_partitions_gives_each_job_its_own(cluster, values, tmp_path):
    """And all names of jobs begin with the prefix; each comment says rule and run."""
    file = partitions(tmp_path, main={"max_runtime": "4-0"}, urgent={"max_gpu": 4, "max_runtime": "4-0"})
    study = Study(tmp_path / "study", values(1))
    study.run("--slurm-jobname-prefix", "mine", profile=profile(tmp_path, partitions=file))
    assert (study.results / RUN).is_file()
    calls = [shlex.split(line.split(" --wrap")[0]) for line in study.calls.read_text().splitlines()]
    for call in calls:
        asks = "--gpus" in " ".join(call)
        assert call[call.index("-p") + 1] == ("urgent" if asks else "main"), call
        assert call[call.index("--job-name") + 1].startswith("mine_")
    assert any("finetune_model" in call[call.index("--comment") + 1] for call in calls)


def test_a_file_of_partitions_that_are_not_there_is_refused_before_any_job(cluster, values, tmp_path):
    study = Study(tmp_path / "study", values(1))
    said = study.run(profile=profile(tmp_path, partitions=partitions(tmp_path, nowhere={}, main={})), well=False)
    assert "no partition 'nowhere' here: SLURM gives main, urgent" in said
    assert not study.calls.exists()


def test_finetunings_of_several_processes_can_be_one_array(cluster, values, tmp_path):
    study = Study(tmp_path, values(2, launch={"gpus": 2}))
    # One runs and one waits.
    cluster.run("scontrol", "update", "nodename=node[2-4]", "state=drain", "reason=test")
    asked = ("--slurm-array-jobs", "finetune_model", "--until", "finetune_model")
    process = study.start(*asked, "--set-resources", "finetune_model:mem_mb=40000")
    try:
        until(lambda: study.calls.exists() and (study.results / "study.json").is_file(), "the array", 300)
        until(lambda: re.search(r"job \d+_2 (pending \(|running on node)", study.status()), "the second task", 300)
    finally:
        cluster.run("scontrol", "update", "nodename=node[2-4]", "state=resume")
        study.finish(process)
    assert all((study.results / RUN.replace("seed-0", f"seed-{seed}")).is_file() for seed in (0, 1))
    (call,) = [line for line in study.calls.read_text().splitlines() if "finetune_model" in line]
    assert "--array=1-2" in call


def test_snakemake_may_run_in_a_job(cluster, values, tmp_path):
    study = Study(tmp_path, values(1))
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(study.folder)),
        *("--profile", str(ROOT / "profiles/slurm"), "--configfile", str(study.config)),
        *("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "20"),
    ]
    options = ("--parsable", "--mem=2000", "--time=60", f"--output={study.folder}/head.log", f"--chdir={ROOT}")
    path = [f"--export=ALL,PATH={study.environment['PATH']},PYTHONPATH={ROOT}"]
    head = cluster.run("sbatch", *options, *path, f"--wrap={shlex.join(command)}").strip()
    ends = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
    until(lambda: next(job["state"] for job in cluster.jobs() if job["id"] == head) in ends, "the end of the job", 400)
    (state,) = [job["state"] for job in cluster.jobs() if job["id"] == head]
    assert state == "COMPLETED", (study.folder / "head.log").read_text()[-3000:]
    assert (study.results / RUN).is_file() and files.read_json(study.results / RUN)
    submitted = {job["id"] for job in cluster.jobs() if "finetune_model" in job["comment"]}
    assert submitted - {head}, "its jobs have allocations, apart from its own"


@pytest.mark.skipif(not Path(MODULES).is_file(), reason="apt-get install environment-modules")
def test_modules_of_the_site_are_loaded_in_jobs_or_jobs_fail(cluster, values, tmp_path, monkeypatch):
    modules, seen = tmp_path / "modules", tmp_path / "seen"
    modules.mkdir()
    (modules / "library").write_text(f"#%Module\nexec sh -c {{echo $SLURM_JOB_ID >> {seen}}}\n")
    # As sites have it: every bash, that of a job too, knows `module`.
    monkeypatch.setenv("BASH_ENV", MODULES)
    monkeypatch.setenv("MODULEPATH", str(modules))
    study = Study(tmp_path / "study", values(1))
    study.run(profile=profile(tmp_path, modules="library"))
    assert (study.results / RUN).is_file()
    jobs = {job["id"] for job in cluster.jobs() if "finetune_model" in job["comment"]}
    assert jobs & set(seen.read_text().split())
    other = Study(tmp_path / "other", values(1))
    (tmp_path / "two").mkdir()
    said = other.run("--retries", "0", profile=profile(tmp_path / "two", modules="nowhere"), well=False)
    assert not (other.results / RUN).exists() and "nowhere" in said
