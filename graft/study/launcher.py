"""Start the processes of one fine-tuning on this node: `python -m graft.study.launcher MODULE --study FILE ...`.

The only module that knows how to call accelerate, DeepSpeed and SLURM. On several nodes it runs once per node, under
srun. The processes it starts check for themselves that they match the study (graft/training/world.py).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graft.compute.hardware import device_of
from graft.config.launch import Launch
from graft.config.study import load
from graft.study.program import run

_FIRST_PORT, _PORTS = 20_000, 40_000


@dataclass(frozen=True)
class Node:
    """This node's rank in a job, and the address where the first node listens."""

    rank: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    """0: any free one."""

    @classmethod
    def of_slurm(cls, environment: Mapping[str, str]) -> Node:
        """Read the node from an srun step with one task per node; raises ValueError outside one."""
        try:
            rank, hosts = int(environment["SLURM_NODEID"]), environment["SLURM_STEP_NODELIST"]
            job = int(environment["SLURM_JOB_ID"])
        except KeyError as missing:
            raise ValueError(
                f"launch.nodes: more than one needs SLURM, and {missing} is not set; on one machine say nodes: 1"
            ) from None
        first = _scontrol("hostnames", hosts).split()[0]
        # The address that SLURM itself uses, since DNS need not know the node's name.
        address = dict(part.split("=", 1) for part in _scontrol("node", first, "--oneliner").split() if "=" in part)
        return cls(rank, address.get("NodeAddr", first), _FIRST_PORT + job % _PORTS)


def _scontrol(*what: str) -> str:
    return subprocess.run(["scontrol", "show", *what], stdout=subprocess.PIPE, text=True, check=True).stdout


def start(launch: Launch) -> str:
    """Return the part of a rule's shell command that precedes the program's module name."""
    if not launch.distributed:
        return "python -m"
    srun = f"srun --nodes={launch.nodes} --ntasks={launch.nodes} --ntasks-per-node=1 " if launch.nodes > 1 else ""
    return f"{srun}python -m graft.study.launcher"


def command(launch: Launch, node: Node, program: list[str]) -> list[str]:
    """Build the command that starts this node's processes of `program`: a module and its arguments.

    The processes set up DeepSpeed themselves, so that its config comes from the study. `--multi_gpu` is accelerate's
    flag for several processes, on CPUs too. accelerate refuses it for a single process, which DeepSpeed may have, so
    torch's launcher starts that one.
    """
    if launch.processes == 1:
        return [*(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1", "-m"), *program]
    return [
        *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
        *("--num_machines", str(launch.nodes), "--num_processes", str(launch.processes)),
        *("--machine_rank", str(node.rank), "--main_process_ip", node.host, "--main_process_port", str(node.port)),
        *("--mixed_precision", "no", "--dynamo_backend", "no", "--module", *program),
    ]


def environment(launch: Launch, on_cpu: bool) -> dict[str, str]:
    """Environment variables that the processes need."""
    extensions = str(Path("results/.torch_extensions").absolute())
    found = {"OMP_NUM_THREADS": str(launch.threads), "TORCH_EXTENSIONS_DIR": extensions}
    if on_cpu and launch.stage:
        found["DS_ACCELERATOR"] = "cpu"
    elif on_cpu:
        found["ACCELERATE_USE_CPU"] = "true"
    return found


def main() -> None:
    program = sys.argv[1:]
    launch = load(program[program.index("--study") + 1]).launch
    node = Node.of_slurm(os.environ) if launch.nodes > 1 else Node()
    env = {**os.environ, **environment(launch, device_of(launch) == "cpu")}
    process = subprocess.Popen(command(launch, node, program), env=env, preexec_fn=die_with_parent)
    # torch's elastic agent handles SIGTERM and forwards it to the processes.
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: process.terminate())
    raise SystemExit(process.wait())


def die_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent dies, for whatever reason (Linux only)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


if __name__ == "__main__":
    run(main)
