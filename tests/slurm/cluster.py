"""A real SLURM of several nodes on this host, thrown away afterwards: munged, slurmdbd with a database below it,
slurmctld and a slurmd for each node, as root, without systemd and without control groups. Its GPUs are fake.

    python -m tests.slurm.cluster FOLDER      starts one, to try things out, until Ctrl-C
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from graft.study.launcher import die_with_parent

# What Snakemake starts inside of a job loses SLURM_CONF, so the configuration must stand where SLURM looks itself.
ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "slurmdbd.conf")
COMMANDS = {
    **{"slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client", "munged": "munge"},
    **{"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server-core"},
    # Without it mariadb-install-db fails.
    "my_print_defaults": "mariadb-client-core",
}
# The one account that jobs may be charged to.
ACCOUNT = "lab"

CONF = """
ClusterName=graft-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job may not start again before its credential has expired, which takes two minutes by default.
AuthInfo=socket={root}/munge/socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.self.pid
SlurmdPidFile={root}/run/slurmd.%n.self.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd.%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
# Hardware is as it is written here.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
SlurmdTimeout=10
SlurmctldTimeout=30
MessageTimeout=10
KillWait=3
WaitTime=0
OverTimeLimit=0
ReturnToService=2
UnkillableStepTimeout=30
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting}
AccountingStoragePass={root}/munge/socket
AccountingStorageEnforce=associations
AccountingStoreFlags=job_comment
NodeName=DEFAULT CPUs={cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory}
NodeName=node[1-{before}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{before_last}] Gres=gpu:2
NodeName=node{nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={last} Gres=gpu:4
PartitionName=DEFAULT Nodes=node[1-{nodes}] State=UP MaxTime=4-0 DefaultTime=10 DefMemPerCPU=500
PartitionName=main Default=YES PriorityTier=1
PartitionName=urgent PriorityTier=10
"""
# The device of a GPU must be one; a plain file would leave CUDA_VISIBLE_DEVICES unset in jobs.
GRES = """
AutoDetect=off
NodeName=node[1-{before}] Name=gpu File={root}/dev/gpu[0-1]
NodeName=node{nodes} Name=gpu File={root}/dev/gpu[0-3]
"""
ACCOUNTING = """
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={accounting}
SlurmUser=root
LogFile={root}/log/slurmdbd.log
PidFile={root}/run/slurmdbd.self.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=root
StorageLoc=slurm
"""


def why_not() -> str | None:
    """Why no cluster can be started here, or None."""
    missing = sorted({package for command, package in COMMANDS.items() if shutil.which(command) is None})
    if missing:
        return f"SLURM is not installed: apt-get install {' '.join(missing)}"
    if os.geteuid() != 0:
        return "only root can start a SLURM of several nodes on one host"
    if any((ETC / name).exists() for name in FILES):
        return f"{ETC} holds the configuration of a cluster of this host"
    return None


class Cluster:
    """Nodes with these cpus and MB of memory, with two fake GPUs each and the last with four, started on entering and
    stopped on leaving."""

    def __init__(self, root: Path, nodes: int = 4, cpus: int = 4, memory: int = 64000) -> None:
        self.root, self.nodes = root, nodes
        first = 20_000 + os.getpid() % 9_000
        self._values = {
            **{"root": root, "host": socket.gethostname().split(".")[0], "port": first + 10_000},
            **{"accounting": first + 10_001, "database": first + 10_002},
            **{"nodes": nodes, "before": nodes - 1, "cpus": cpus, "memory": memory},
            **{"first": first, "before_last": first + nodes - 2, "last": first + nodes - 1},
        }
        self._running: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> Cluster:
        try:
            self._configure()
            munge = self.root / "munge"
            self._begin(
                "munged",
                *("munged", "-F", f"--key-file={munge}/key", f"--socket={munge}/socket", f"--pid-file={munge}/pid"),
                *(f"--seed-file={munge}/seed", f"--log-file={self.root}/log/munged.log"),
            )
            self._wait(lambda: (munge / "socket").is_socket(), "munged listens")
            self._begin_accounting()
            self._begin("slurmctld", "slurmctld", "-D", "-f", str(ETC / "slurm.conf"))
            for node in range(1, self.nodes + 1):
                self.start_node(node)
            self._wait(self._all_idle, "all nodes are idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.run("scancel", "--user=root", check=False)
        for name in [*(f"node{i}" for i in range(1, self.nodes + 1)), "slurmctld", "slurmdbd", "mariadbd", "munged"]:
            process = self._running.pop(name, None)
            if process is None or process.poll() is not None:
                continue
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for node in range(1, self.nodes + 1):
            _kill(_of_node(node))
        for name in FILES:
            if (ETC / name).is_symlink() and (ETC / name).readlink().parent == self.root:
                (ETC / name).unlink()

    def run(self, *command: str, check: bool = True) -> str:
        """Output of a command of SLURM."""
        return subprocess.run(command, capture_output=True, text=True, check=check).stdout

    def jobs(self, states: str = "all") -> list[dict[str, str]]:
        """The jobs that SLURM remembers in these states: id, state, nodes, reason, comment (rule and wildcards)."""
        names = ("id", "state", "nodes", "reason", "comment")
        listed = self.run("squeue", "--noheader", f"--states={states}", "--format=%A|%T|%N|%r|%k").splitlines()
        return [dict(zip(names, line.split("|", 4), strict=True)) for line in listed]

    def processes(self, job: str, program: str) -> list[int]:
        """Pids of a job's processes whose command line names `program`."""
        return [
            int(process.name)
            for process, environment, line in _processes()
            if f"SLURM_JOB_ID={job}" in environment and program in line
        ]

    def start_node(self, node: int) -> None:
        self._begin(f"node{node}", "slurmd", "-D", "-N", f"node{node}", "-f", str(ETC / "slurm.conf"))

    def lose_node(self, node: int) -> None:
        """As by a power cut: its slurmd, the steps it watches and all their processes end at once. (Without its slurmd
        alone a job would run to its end.)"""
        process = self._running.pop(f"node{node}")
        _kill([process.pid, *_of_node(node)])
        process.wait()

    def wait_for_nodes(self) -> None:
        self._wait(self._all_idle, "all nodes are idle")

    def _configure(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        # munged refuses a folder that others may write into.
        for folder in ("log", "state", "spool", "dev", "munge", "run", "database"):
            (self.root / folder).mkdir(parents=True, mode=0o755)
        for gpu in range(4):
            (self.root / "dev" / f"gpu{gpu}").symlink_to("/dev/null")
        key = self.root / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        ETC.mkdir(exist_ok=True)
        for name, text in zip(FILES, (CONF, GRES, ACCOUNTING), strict=True):
            (self.root / name).write_text(text.format(**self._values))
            # slurmdbd refuses a configuration that others may read.
            (self.root / name).chmod(0o600)
            (ETC / name).unlink(missing_ok=True)
            (ETC / name).symlink_to(self.root / name)

    def _begin_accounting(self) -> None:
        """A database without users, slurmdbd on it, and an account that root may charge."""
        options = ("--no-defaults", "--user=root", f"--datadir={self.root}/database")
        made = subprocess.run(["mariadb-install-db", *options, "--skip-test-db"], capture_output=True, text=True)
        assert made.returncode == 0, made.stdout + made.stderr
        self._begin(
            "mariadbd",
            *("mariadbd", *options, f"--socket={self.root}/database/socket", "--skip-grant-tables"),
            *("--bind-address=127.0.0.1", f"--port={self._values['database']}"),
        )
        self._wait(lambda: (self.root / "database" / "socket").is_socket(), "mariadbd listens")
        self._begin("slurmdbd", "slurmdbd", "-D")
        add = ("sacctmgr", "--immediate", "add")
        cluster = "graft-test"
        self._wait(lambda: self._succeeds(*add, "cluster", cluster), "slurmdbd listens")
        self.run(*add, "account", ACCOUNT, f"cluster={cluster}")
        self.run(*add, "user", "root", f"account={ACCOUNT}", f"defaultaccount={ACCOUNT}")

    def _succeeds(self, *command: str) -> bool:
        return subprocess.run(command, capture_output=True).returncode == 0

    def _begin(self, name: str, *command: str) -> None:
        with (self.root / "log" / f"{name}.out").open("ab") as out:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _all_idle(self) -> bool:
        listed = self.run(
            "sinfo", "--noheader", "--Node", "--partition=main", "--states=idle", "--format=%N", check=False
        )
        return len(listed.split()) == self.nodes

    def _wait(self, holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            dead = [name for name, process in self._running.items() if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                said = "".join(path.read_text()[-2000:] for path in sorted((self.root / "log").iterdir()))
                raise TimeoutError(f"not seen: {what}; ended: {dead}\n{said}")
            time.sleep(0.1)


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _of_node(node: int) -> list[int]:
    """Processes of a node's jobs, and the slurmstepd above each."""
    found = []
    for process, environment, _ in _processes():
        if f"SLURMD_NODENAME=node{node}" not in environment:
            continue
        found.append(int(process.name))
        with suppress(OSError):
            parent = re.search(r"PPid:\s*(\d+)", (process / "status").read_text()).group(1)
            if (Path("/proc") / parent / "comm").read_text().startswith("slurmstepd"):
                found.append(int(parent))
    return found


def _processes() -> Iterator[tuple[Path, list[str], str]]:
    """Folder below /proc, variables and command line of every process."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            variables, line = ((process / name).read_text(errors="replace") for name in ("environ", "cmdline"))
            yield process, variables.split("\0"), line.replace("\0", " ")


if __name__ == "__main__":
    if reason := why_not():
        raise SystemExit(reason)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())
    with Cluster(Path(sys.argv[1]).absolute()) as started:
        print(started.run("sinfo"), flush=True)
        signal.pause()
