"""Whatever a cluster does to jobs, a study ends in the tables of one that nothing disturbed."""

import os
import shutil
import signal

import pytest

from tests.slurm.cluster import ACCOUNT
from tests.slurm.conftest import ROOT, Study, until
from tests.workflow.test_killing import outcome

LARGE = "finetune.large"
EPOCHS = 60
# What happens to the fine-tuning with this seed.
CANCELLED, NODE_LOST, PREEMPTED, MEMORY, TIME = range(5)
# What SLURM calls the end of a job that snakemake then tries again. (Without control groups it is the watching
# slurmstepd that ends a job which takes too much memory, as failed.)
ENDS = {CANCELLED: {"CANCELLED"}, MEMORY: {"OUT_OF_MEMORY", "FAILED"}, TIME: {"TIMEOUT"}}
SEEDS = 5
# So much memory that a node has one of these jobs; too little of it, and too little time, for one job each.
RESOURCES = (
    f"finetune_model:mem_mb=500 * attempt if wildcards.seed == '{MEMORY}' else 40000",
    f"finetune_model:runtime=attempt if wildcards.seed == '{TIME}' else 30",
)


@pytest.fixture(scope="module")
def calm(values, tmp_path_factory):
    """The same study, undisturbed, without a cluster."""
    study = Study(tmp_path_factory.mktemp("calm"), values(SEEDS, EPOCHS))
    study.run("--cores", "2", profile="local")
    return study


def job_of(cluster, seed, states="running"):
    return next(iter(jobs_of(cluster.jobs(states), seed)), None)


def jobs_of(jobs, seed):
    """Those that are submitted for all jobs of a seed, of which its fine-tuning is the only one."""
    return [job for job in jobs if job["comment"].startswith(f"rule_sst2-{seed}_finetune_model")]


def trains(cluster, study, seed):
    """The job of a fine-tuning that is in the midst of it."""
    return job_of(cluster, seed) if study.step(LARGE, seed) >= 40 else None


def cancel(cluster, job):
    cluster.run("scancel", job["id"])


def lose_node(cluster, job):
    cluster.lose_node(int(job["nodes"].removeprefix("node")))


def preempt(cluster, job):
    urgent = ("--partition=urgent", f"--nodelist={job['nodes']}", "--exclusive", "--mem=0", "--output=/dev/null")
    cluster.run("sbatch", *urgent, "--wrap=sleep 3")


def hang(cluster, job):
    for pid in cluster.processes(job["id"], "workflow_scripts.finetune_model"):
        os.kill(pid, signal.SIGSTOP)


FAULTS = {CANCELLED: cancel, NODE_LOST: lose_node, PREEMPTED: preempt, TIME: hang}


@pytest.fixture(scope="module")
def disturbed(cluster, values, tmp_path_factory):
    """The study after all faults, and the jobs that each seed had, the first of them first."""
    study = Study(tmp_path_factory.mktemp("disturbed"), values(SEEDS, EPOCHS))
    process = study.start("--set-resources", *RESOURCES)
    left, lost = dict(FAULTS), None

    def over():
        nonlocal lost
        for seed in list(left):
            if job := trains(cluster, study, seed):
                lost = int(job["nodes"][-1]) if seed == NODE_LOST else lost
                left.pop(seed)(cluster, job)
        return process.poll() is not None

    try:
        until(over, "the end of the study", 400)
        study.finish(process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        if lost:
            cluster.start_node(lost)
            cluster.wait_for_nodes()
    assert not left
    jobs = sorted(cluster.jobs(), key=lambda job: int(job["id"]))
    return study, [jobs_of(jobs, seed) for seed in range(SEEDS)]


@pytest.mark.parametrize("seed", ENDS, ids=["cancelled", "memory", "time"])
def test_a_job_that_ended_badly_is_tried_again(disturbed, seed):
    _, jobs = disturbed
    first, last = jobs[seed][0], jobs[seed][-1]
    assert first["state"] in ENDS[seed] and last["state"] == "COMPLETED", jobs[seed]


@pytest.mark.parametrize("seed", [NODE_LOST, PREEMPTED], ids=["node lost", "preempted"])
def test_a_job_that_lost_its_node_is_started_again_by_slurm(cluster, disturbed, seed):
    _, jobs = disturbed
    (job,) = jobs[seed]
    assert job["state"] == "COMPLETED" and "Restarts=1" in cluster.run("scontrol", "show", "job", job["id"])


@pytest.mark.parametrize("seed", FAULTS)
def test_a_job_that_had_trained_went_on_from_its_checkpoint(disturbed, seed):
    study, _ = disturbed
    assert "resuming from" in study.log("finetune_model", LARGE, seed)


def test_the_tables_are_those_of_an_undisturbed_study(disturbed, calm):
    study, _ = disturbed
    assert outcome(study.folder) == outcome(calm.folder)


def test_a_killed_snakemakes_jobs_are_cancelled_by_the_next(cluster, values, tmp_path):
    """One job runs and one waits when snakemake dies; neither may write beside the jobs of the next one."""
    study = Study(tmp_path / "torn", values(2, EPOCHS))
    calm = Study(tmp_path / "calm", values(2, EPOCHS))
    calm.run("--cores", "2", profile="local")
    cluster.run("scontrol", "update", "nodename=node[2-4]", "state=drain", "reason=test")
    try:
        process = study.start("--set-resources", "finetune_model:mem_mb=40000")
        until(lambda: any(trains(cluster, study, seed) for seed in (0, 1)), "a job that trains")
        # It would end before the next snakemake, on a machine where programs start slowly.
        hang(cluster, next(job for seed in (0, 1) if (job := trains(cluster, study, seed))))
        until(lambda: any(job_of(cluster, seed, "pending") for seed in (0, 1)), "a job that waits")
        said = study.status()
        process.kill()
        process.wait()
    finally:
        cluster.run("scontrol", "update", "nodename=node[2-4]", "state=resume")
    orphans = sorted((job["id"] for seed in (0, 1) if (job := job_of(cluster, seed, "running,pending"))), key=int)
    assert len(orphans) == 2
    for state in ("running on node1", "pending ("):
        assert any(f"job {orphan} {state}" in said for orphan in orphans), said
    again = study.run()
    assert f"cancelling jobs of an earlier run: {' '.join(orphans)}" in again
    assert "resuming from" in study.log("finetune_model", LARGE, 0) + study.log("finetune_model", LARGE, 1)
    assert outcome(study.folder) == outcome(calm.folder)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("partition", "no partition 'nowhere' here: SLURM gives main, urgent"),
        ("gpu_partition", "no partition 'nowhere' here: SLURM gives main, urgent"),
        ("account", f"no account 'nowhere' here: SLURM gives {ACCOUNT}, root"),
    ],
)
def test_what_the_site_does_not_have_is_told_before_any_job(cluster, values, tmp_path, key, says):
    profile = shutil.copytree(ROOT / "profiles/slurm", tmp_path / "slurm")
    config = profile / "config.v9+.yaml"
    config.write_text(config.read_text().replace(f'  {key}: ""', f'  {key}: "nowhere"'))
    study = Study(tmp_path / "study", values(1))
    assert says in study.run(profile=str(profile), well=False)
    assert not study.calls.exists() and not study.results.exists()
