"""Time and memory of `snakemake -n` for large studies, against a bare Snakefile with as many jobs of the same shape.

    python -m benchmarks.dag [--jobs 1000 5000 20000] [--rounds 1]

The study is the default one over as many seeds as make so many jobs. The bare Snakefile is written from its jobs:
rules of the same names, whose jobs have the same dependencies, a log, a benchmark, a param and resources; its input
functions look their answers up in a dictionary. Printed per size: jobs, seconds and peak memory of both (medians of
the rounds, which take turns), and the ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from graft.config import study
from graft.io.strict_yaml import read_yaml
from graft.study.grid import Grid
from graft.study.steps import graph, tables
from graft.study.steps.evaluate import Evaluate
from graft.study.steps.job import Job
from graft.study.steps.measure_cost import MeasureCost
from graft.study.steps.step import Step

ROOT = Path(__file__).resolve().parents[1]


def study_of(seeds: int) -> dict:
    """The default study over so many seeds."""
    return read_yaml(ROOT / "config.yaml") | {"name": "dag", "seeds": seeds}


def seeds_for(jobs: int) -> int:
    """How many seeds make about so many jobs."""
    few, more = (len(needs_of(Grid(study.parse(study_of(seeds))))) for seeds in (10, 20))
    each = (more - few) / 10
    return max(1, round((jobs - few) / each + 10))


def job_of(step: Step, grid: Grid) -> Job | Step:
    """What Snakemake schedules: a job of several steps, or the step alone."""
    return step.job(grid) or step


def name_of(job: Job | Step) -> str:
    return "/".join(("out", *str(job).split(), "done"))


def needs_of(grid: Grid) -> dict[Job | Step, set[Job | Step]]:
    """The jobs of a study without its tables, and the jobs that each waits for."""
    needs: dict[Job | Step, set[Job | Step]] = {}
    for step in set(graph.of_study(grid)) - set(tables.last(grid)):
        job = job_of(step, grid)
        needs.setdefault(job, set()).update(job_of(one, grid) for one in step.inputs(grid))
        needs[job].discard(job)
    return needs


def write_bare(folder: Path, grid: Grid) -> None:
    """A Snakefile of a study's jobs, whose outputs stand in folders by rule and wildcards."""
    jobs = needs_of(grid)
    needs = {name_of(job): sorted(map(name_of, others)) for job, others in jobs.items()}
    (folder / "needs.json").write_text(json.dumps(needs))
    last = (step for step in graph.of_study(grid) if isinstance(step, Evaluate | MeasureCost))
    ends = sorted({name_of(job_of(step, grid)) for step in last})
    text = [
        *("import json", "NEEDS = json.load(open('needs.json'))", f"ENDS = {ends!r}"),
        *("def minutes(wildcards, attempt):\n    return 60 * attempt", "rule all:\n    input: ENDS"),
    ]
    for rule, wildcards in dict.fromkeys((job.rule, len(str(job).split()) - 1) for job in jobs):
        at = "/".join((rule, *(f"{{w{i}}}" for i in range(wildcards))))
        given = ", ".join(f"w.w{i}" for i in range(wildcards))
        text.append(f"""
rule {rule}:
    input: lambda w: NEEDS["/".join(("out", "{rule}", {given}, "done"))]
    output: "out/{at}/done"
    log: "log/{at}.log"
    benchmark: "benchmark/{at}.tsv"
    threads: 1
    resources: mem_mb=minutes, runtime=minutes
    params: fingerprint=lambda w: "/".join(({given},))
    shell: "true {{params.fingerprint}} > {{log}}"
""")
    (folder / "Snakefile").write_text("\n".join(text))


def dry_run(folder: Path, *arguments: str) -> tuple[float, float, int]:
    """Seconds, peak GB and planned jobs."""
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--cores", "1", *arguments]
    watcher = (
        "import resource, subprocess, sys, time; started = time.perf_counter(); "
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True); "
        "took = time.perf_counter() - started; peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss; "
        "jobs = [line.split()[1] for line in done.stdout.splitlines() if line.startswith('total ')]; "
        "print(done.returncode, took, peak, *jobs); "
        "done.returncode and print(done.stdout[-2000:])"
    )
    done = subprocess.run([sys.executable, "-c", watcher, *command], cwd=folder, stdout=subprocess.PIPE, text=True)
    status, seconds, peak, *jobs = done.stdout.split()
    if status != "0":
        raise SystemExit(done.stdout)
    return float(seconds), int(peak) / 1e6, int(jobs[0])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--jobs", type=int, nargs="+", default=[1000, 5000, 20_000])
    arguments.add_argument("--rounds", type=int, default=1)
    args = arguments.parse_args()
    for wanted in args.jobs:
        values = study_of(seeds_for(wanted))
        grid = Grid(study.parse(values))
        with tempfile.TemporaryDirectory() as temporary:
            ours, bare = Path(temporary) / "ours", Path(temporary) / "bare"
            ours.mkdir()
            bare.mkdir()
            config = Path(temporary) / "study.json"
            config.write_text(json.dumps(values))
            write_bare(bare, grid)
            given = (
                "--snakefile",
                str(ROOT / "Snakefile"),
                "--configfile",
                str(config),
                "--directory",
                str(ours),
                "--nolock",
            )
            runs = [(dry_run(ROOT, *given), dry_run(bare)) for _ in range(args.rounds)]
        (own, own_peak, number), (peer, peer_peak, others) = (
            tuple(map(statistics.median, zip(*side, strict=True))) for side in zip(*runs, strict=True)
        )
        print(
            f"{number:.0f} jobs: {own:.1f} s, {own_peak:.2f} GB; "
            f"bare, {others:.0f} jobs: {peer:.1f} s, {peer_peak:.2f} GB; "
            f"ratio {own / peer:.2f}, memory {own_peak / peer_peak:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
