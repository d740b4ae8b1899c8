import pytest

from graft.config.launch import Launch
from graft.study import launcher


def test_one_process_needs_no_launcher_and_nodes_need_srun():
    assert launcher.start(Launch()) == launcher.start(Launch(gpus=1)) == "python -m"
    assert (
        launcher.start(Launch(gpus=2)) == launcher.start(Launch(strategy="zero2")) == "python -m graft.study.launcher"
    )
    assert launcher.start(Launch(gpus=2, nodes=3)) == (
        "srun --nodes=3 --ntasks=3 --ntasks-per-node=1 python -m graft.study.launcher"
    )


def test_nodes_outside_of_slurm_are_refused():
    with pytest.raises(ValueError, match="launch.nodes: more than one needs SLURM"):
        launcher.Node.of_slurm({"PATH": "/bin"})


SCONTROL = """#!/bin/sh
case "$*" in
    "show hostnames node[3-4]") printf 'node3\\nnode4\\n' ;;
    "show node node3 --oneliner") echo "NodeName=node3 Arch=x86_64 NodeAddr=10.0.0.3 NodeHostName=n3 OS=Linux #1" ;;
    *) exit 1 ;;
esac
"""


def test_a_node_finds_the_first_one_in_slurms_list(monkeypatch, tmp_path):
    """A scontrol that says what the real one does: names, one on a line, and what is known of a node, in one line."""
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(SCONTROL)
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    found = launcher.Node.of_slurm({"SLURM_NODEID": "1", "SLURM_STEP_NODELIST": "node[3-4]", "SLURM_JOB_ID": "70001"})
    assert found == launcher.Node(1, "10.0.0.3", 20_000 + 70_001 % 40_000)


@pytest.mark.parametrize("strategy", ["ddp", "zero2"])
def test_processes_on_cpus_are_told_so(strategy):
    found = launcher.environment(Launch(gpus=2, threads=3, strategy=strategy), on_cpu=True)
    assert found["OMP_NUM_THREADS"] == "3"
    # With ACCELERATE_USE_CPU accelerate drops DeepSpeed in silence.
    assert ("ACCELERATE_USE_CPU" in found) == (strategy == "ddp") != ("DS_ACCELERATOR" in found)
    assert not {"ACCELERATE_USE_CPU", "DS_ACCELERATOR"} & launcher.environment(Launch(gpus=2), on_cpu=False).keys()
