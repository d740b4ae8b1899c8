"""The queue of a cluster as SLURM's commands tell it; tests/slurm has a real one."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from graft.study import cluster
from graft.study.cluster import Queued

ROOT = Path(__file__).parents[3]
# What the real ones print. `scancel` takes a job out of the queue.
SQUEUE = "#!/bin/sh\ncat '{queue}'\n"
SCANCEL = "#!/bin/sh\necho \"$@\" >> '{queue}.cancelled'\n: > '{queue}'\n"
SACCTMGR = "#!/bin/sh\nprintf 'lab\\nother\\n'\n"
SINFO = "#!/bin/sh\nprintf 'main\\nurgent\\n'\n"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A SLURM with a queue, which is a file of squeue's lines; returns the file."""
    binaries, queue = tmp_path / "bin", tmp_path / "queue"
    binaries.mkdir()
    for name, text in {"squeue": SQUEUE, "scancel": SCANCEL, "sacctmgr": SACCTMGR, "sinfo": SINFO}.items():
        (binaries / name).write_text(text.replace("{queue}", str(queue)))
        (binaries / name).chmod(0o755)
    queue.write_text("")
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    return queue


@pytest.fixture
def root(tmp_path):
    """The folder of a study."""
    root = tmp_path / "work" / "results" / "s"
    root.mkdir(parents=True)
    return root


def submit(root, output, job):
    """Leave the marker that snakemake leaves for an output: its name in base64, a long one in folders."""
    name = base64.urlsafe_b64encode(str(output).encode()).decode()
    parts = [name[i : i + 200] for i in range(0, len(name), 200)]
    folder = root.parent.parent / ".snakemake" / "incomplete"
    mark = folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps({"external_jobid": job}))


def test_a_queue_is_told_by_id_and_lines_that_are_none_are_left_out(slurm):
    slurm.write_text("7|RUNNING|node1\n8|PENDING|(Priority | of others)\nslurm_load_jobs error\n")
    found = cluster.queue()
    assert found == {"7": Queued("7", "RUNNING", "node1"), "8": Queued("8", "PENDING", "(Priority | of others)")}
    assert [job.runs for job in found.values()] == [True, False]
    assert str(found["7"]) == "job 7 running on node1" and str(found["8"]) == "job 8 pending (Priority | of others)"


def test_without_slurm_the_queue_is_empty(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cluster.queue() == {}


def test_jobs_are_known_by_their_output_until_they_start_and_by_their_log_from_then_on(root, slurm):
    waiting, other = "results/s/runs/rte/x/seed-0/build.json", "results/t/runs/rte/x/seed-0/build.json"
    long = f"results/s/runs/rte/{'long-' * 60}/seed-0/build.json"
    for output, job in ((waiting, 11), (long, "12"), (other, 13)):
        submit(root, output, job)
    submit(root, "results/s/gone.json", None)
    (root.parent.parent / ".snakemake" / "incomplete" / "no base64!").write_text("{}")
    (root / ".slurm_jobs").mkdir()
    log = root / "logs" / "probe.log"
    (root / ".slurm_jobs" / "14").write_text(str(log))
    folder = root.parent.parent
    assert cluster.submitted(root) == {folder / waiting: "11", folder / long: "12", log: "14"}
    slurm.write_text("11|PENDING|(Resources)\n14|RUNNING|node2\n13|RUNNING|node1\n")
    assert cluster.queued(root) == {
        folder / waiting: Queued("11", "PENDING", "(Resources)"),
        log: Queued("14", "RUNNING", "node2"),
    }


@pytest.mark.parametrize("variables", [{"SLURM_JOB_ID": "5"}, {cluster.OURS: "1"}, {}])
def test_a_job_that_snakemake_did_not_submit_leaves_no_mark(root, monkeypatch, variables):
    for name in ("SLURM_JOB_ID", cluster.OURS):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    cluster.register(root)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    ("array", "job"), [({}, "5"), ({"SLURM_ARRAY_JOB_ID": "4", "SLURM_ARRAY_TASK_ID": "2"}, "4_2")]
)
def test_a_job_is_registered_with_its_log_while_it_runs(root, array, job):
    code = f"""
from pathlib import Path
from graft.study import cluster
cluster.register(Path({str(root)!r}))
print((Path({str(root)!r}) / ".slurm_jobs" / "{job}").read_text())
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SLURM_JOB_ID": "5", cluster.OURS: "1", **array}
    log = root / "job.log"
    with log.open("w") as stderr:
        done = subprocess.run([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert done.stdout == f"{log}\n" and list((root / ".slurm_jobs").iterdir()) == []


def test_jobs_of_an_earlier_snakemake_are_cancelled_and_those_of_other_studies_are_not(root, slurm, capfd):
    submit(root, "results/s/a.json", 9)
    submit(root, "results/s/b.json", 10)
    submit(root, "results/t/c.json", 11)
    slurm.write_text("11|RUNNING|node1\n10|PENDING|(Resources)\n9|RUNNING|node2\n")
    (root / ".slurm_jobs").mkdir()
    cluster.cancel_orphans(root, "study s", poll_seconds=0.01)
    assert capfd.readouterr().err == "study s: cancelling jobs of an earlier run: 9 10\n"
    assert Path(f"{slurm}.cancelled").read_text() == "9 10\n" and not (root / ".slurm_jobs").exists()
    cluster.cancel_orphans(root, "study s", poll_seconds=0.01)
    assert capfd.readouterr().err == ""


def test_accounts_and_partitions_that_there_are_not_are_refused_with_those_there_are(slurm):
    cluster.refuse_unknown({"LAB"}, {"main", "urgent"})
    with pytest.raises(ValueError, match="^no account 'mine' here: SLURM gives lab, other$"):
        cluster.refuse_unknown({"mine"}, set())
    with pytest.raises(ValueError, match="^no partition 'gpu' here: SLURM gives main, urgent$"):
        cluster.refuse_unknown(set(), {"gpu", "main"})


def test_a_cluster_that_cannot_say_what_there_is_refuses_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    cluster.refuse_unknown({"mine"}, {"gpu"})


def test_jobs_of_an_array_are_known_by_both_of_their_numbers(root, slurm, capfd):
    submit(root, "results/s/a.json", "9_10")
    submit(root, "results/s/b.json", "9_2")
    submit(root, "results/s/c.json", "8")
    slurm.write_text("9_2|RUNNING|node1\n9_10|PENDING|(Resources)\n8|RUNNING|node1\n")
    assert {job.id for job in cluster.queued(root).values()} == {"8", "9_2", "9_10"}
    cluster.cancel_orphans(root, "study s", poll_seconds=0.01)
    assert capfd.readouterr().err == "study s: cancelling jobs of an earlier run: 8 9_2 9_10\n"


def test_a_study_with_a_prefix_finds_what_snakemake_knows_further_up(root, slurm):
    (root.parent.parent / ".snakemake").mkdir()
    below = root.parent.parent / "merging/results/s"
    below.mkdir(parents=True)
    submit(root, "merging/results/s/a.json", 7)
    assert cluster.submitted(below) == {below / "a.json": "7"} and cluster.submitted(root) == {}


def test_the_partitions_of_a_file_are_known_by_name(tmp_path, monkeypatch):
    assert cluster.partitions_in(None) == set()
    file = tmp_path / "partitions.yaml"
    file.write_text("partitions: {main: {max_gpu: 2}, urgent: {}}")
    assert cluster.partitions_in(SimpleNamespace(partition_config=file)) == {"main", "urgent"}
    monkeypatch.setenv("SNAKEMAKE_SLURM_PARTITIONS", str(file))
    assert cluster.partitions_in(SimpleNamespace(partition_config=None)) == {"main", "urgent"}


def test_slurms_last_word_about_a_step_is_in_its_newest_log(root):
    logs = root.parent.parent / ".snakemake" / "slurm_logs"
    texts = {
        "rule_probe/rte_x_0/3.log": "slurmstepd: error: old\n",
        "group_rte-0_ab/4.log": "slurmstepd: error: first\nsrun: error: node1: task 0: Out Of Memory\nbye\n",
        "group_rte-1_ab/5.log": "slurmstepd: error: of another seed\n",
    }
    for age, (name, text) in enumerate(texts.items()):
        (logs / name).parent.mkdir(parents=True)
        (logs / name).write_text(text)
        os.utime(logs / name, (age, age))
    assert cluster.last_words(root, "probe", ("rte", "x", "0"), "rte-0") == (
        logs / "group_rte-0_ab" / "4.log",
        "srun: error: node1: task 0: Out Of Memory",
    )
    os.utime(logs / "rule_probe/rte_x_0/3.log", (9, 9))
    assert cluster.last_words(root, "probe", ("rte", "x", "0"), "rte-0")[1] == "slurmstepd: error: old"
    assert cluster.last_words(root, "probe", ("stsb", "x", "0"), "stsb-0") is None
    (logs / "rule_probe/rte_x_0/3.log").write_text("nothing of SLURM's\n")
    os.utime(logs / "rule_probe/rte_x_0/3.log", (9, 9))
    assert cluster.last_words(root, "probe", ("rte", "x", "0"), "rte-0") is None
