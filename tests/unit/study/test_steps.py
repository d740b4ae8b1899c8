"""Properties of every step of a study that has them all."""

import subprocess
import sys
from pathlib import Path

import pytest

from graft.config.study import parse
from graft.io import files
from graft.planning.sizes import sizes_of
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph, tables
from graft.study.steps.calibrate import Calibrate
from graft.study.steps.evaluate import Evaluate
from graft.study.steps.job import PLACES, Job, wildcard_names
from graft.study.steps.keep_models import KeepModels
from graft.study.steps.majority import Majority
from graft.study.steps.merge_models import MergeModels
from graft.study.steps.probe import Probe
from graft.study.steps.step import FILES
from tests.conftest import study_values, with_other_small, with_transfers

PAIR = "small-into-large"
PATHS = Paths.of("pico")


@pytest.fixture(scope="module")
def grid(pico_glue, pico_models, pico_others):
    """Every kind of step; seeds enough for ensembles."""
    values = with_transfers(with_other_small(study_values(pico_glue, pico_models, seeds=4)), pico_others)
    values["systems"] |= {
        "lora": {},
        "budget": {"fractions": ["1/2"], "models": ["large", "small"]},
        "ensemble": {"members": 2},
    }
    values["systems"] |= {"distil": {}, "weak-to-strong": {}, "oracle": {"of": ["theseus"]}}
    values["systems"]["control"]["wrong-task"] = {"of": ["theseus", "spacewise"]}
    values["systems"]["merge"] |= {"ladder": {}, "stitch": {}, "proxy_tuning": {}}
    values["systems"]["soup"] = {"members": 2, "methods": {"uniform": {}, "fisher": {}}}
    values["systems"] |= {"multitask": {"methods": {"regmean": {}}}, "joint": {}}
    values["systems"]["warm-start"] = {"merge": "spacewise", "head": "labelled", "steps": [4]}
    shape = {"layers": 2, "width": 12, "heads": 2, "ffn": 24}
    source = {"kind": "distilled", "teacher": "large", "shape": shape, "options": {"steps": 20}}
    values["models"]["student"] = {**values["models"]["small"], "source": source, "tokenizer": None}
    values["models"]["foreign"] = {**values["models"]["small"], "tokenizer": None}
    values["pairs"] += [{"large": "large", "small": small} for small in ("student", "foreign")]
    return Grid(parse(values))


@pytest.fixture(scope="module")
def steps(grid):
    return graph.of_study(grid)


def test_every_kind_of_step_occurs_once_each_after_its_inputs(grid, steps):
    assert {step.rule for step in steps} == set(graph.STEPS) and len(set(steps)) == len(steps)
    at = {step: number for number, step in enumerate(steps)}
    assert all(at[needed] < at[step] for step in steps for needed in step.inputs(grid))


def test_a_step_is_what_its_rules_wildcards_say_and_its_files_are_those_of_its_rule(steps):
    for step in steps:
        values = {name: str(value) for name, value in zip(step.wildcard_names(), step.wildcards, strict=True)}
        assert type(step).of(values) == step
        for of_rule, own in (
            (step.pattern().output(PATHS), step.output(PATHS)),
            (step.pattern().log(PATHS), step.log(PATHS)),
        ):
            assert str(of_rule).format(**values) == str(own)


def test_no_two_steps_write_one_file(grid, steps):
    written = [path for step in steps for path in (*step.outputs(grid, PATHS), step.log(PATHS))]
    assert len(set(written)) == len(written)
    assert all(step.outputs(grid, PATHS)[0] == step.output(PATHS) for step in steps)


def test_what_a_step_reads_is_written_by_the_steps_before_it(grid, steps):
    for step in steps:
        known = [{needed.declared(grid, PATHS), *needed.outputs(grid, PATHS)} for needed in step.inputs(grid)]
        assert set(step.reads(grid, PATHS)) <= set().union(*known), step
        # One file of each, so that snakemake sees every step that is made anew.
        assert all(paths & set(step.reads(grid, PATHS)) for paths in known)


def test_a_jobs_steps_come_after_their_inputs_and_each_step_is_in_one_job(grid, steps):
    jobs = graph.jobs_of(grid)
    assert {job.rule for job in jobs} == set(PLACES)
    assert sorted(str(step) for own in jobs.values() for step in own) == sorted(
        str(step) for step in steps if step.job(grid)
    )
    for job, own in jobs.items():
        for number, step in enumerate(own):
            assert step.job(grid) == job
            assert not [needed for needed in step.inputs(grid) if needed in own[number:]]


def test_a_system_is_evaluated_once_it_is_made(grid):
    for own in graph.jobs_of(grid).values():
        for step in own:
            if isinstance(step, Evaluate) and (made := step.making(grid)) in own:
                between = own[own.index(made) + 1 : own.index(step)]
                assert all(isinstance(other, Evaluate) and other.making(grid) == made for other in between)


def test_jobs_wait_for_one_another_in_no_circle_and_read_what_others_write(grid, steps):
    jobs, done = graph.jobs_of(grid), set()
    alone = {path for step in steps if not step.job(grid) for path in step.outputs(grid, PATHS)}
    waits = {job.marker(PATHS): set(graph.job_reads(grid, PATHS, job, set(steps))) - alone for job in jobs}
    while ready := {marker for marker, reads in waits.items() if marker not in done and reads <= done}:
        done |= ready
    assert done == waits.keys()


def test_a_job_is_what_its_rules_wildcards_say(grid):
    for job in graph.jobs_of(grid):
        values = dict(zip(wildcard_names(job.rule), job.values, strict=True))
        assert Job.of(job.rule, values) == job
        assert str(Job.pattern(job.rule).marker(PATHS)).format(**values) == str(job.marker(PATHS))
        assert str(Job.pattern(job.rule).log(PATHS)).format(**values) == str(job.log(PATHS))


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda path: files.write_json(path, {"provenance": {"fingerprint": "0"}})]
)
def test_a_marker_goes_if_an_output_of_its_job_is_gone_or_another(grid, tmp_path, spoil):
    paths, (job, own) = Paths(tmp_path), next(iter(graph.jobs_of(grid).items()))
    known = {job.marker(paths): graph.job_fingerprint(grid, job)}
    known |= {step.output(paths): step.fingerprint(grid) for step in own}
    for path, fingerprint in known.items():
        files.write_json(path, {"fingerprint": fingerprint, "provenance": {"fingerprint": fingerprint}})
    graph.forget_incomplete(grid, paths)
    assert job.marker(paths).is_file()
    spoil(path)
    graph.forget_incomplete(grid, paths)
    assert not job.marker(paths).exists()


def test_fingerprints_differ_and_are_computed_once(grid, steps):
    last = {type(step) for step in tables.last(grid)} - {tables.Gather, tables.Transfer, KeepModels}
    found = {step: step.fingerprint(grid) for step in steps if type(step) not in last}
    assert all(grid.fingerprints[step] == fingerprint for step, fingerprint in found.items())
    # A head-only control may be the same for two pairs, and an encoder of all tasks serves every task.
    rules = {(fingerprint, step.rule) for step, fingerprint in found.items()}
    assert len(rules) == len(set(found.values())) > 0.9 * len(found)


def test_a_tables_step_has_no_fingerprint(grid):
    with pytest.raises(NotImplementedError, match="plot has no fingerprint"):
        tables.Plot().fingerprint(grid)


def test_every_fingerprint_is_told_by_the_keys_that_it_covers(grid, steps):
    for step in graph.with_inputs(grid, [Evaluate("rte", "majority", "all"), *steps]):
        if step not in tables.last(grid) and step.rule != "measure_cost":
            assert step.depends_on(grid), step


def test_work_and_bytes_are_known_before_any_job_and_named_once(grid, steps, tmp_path):
    sizes = sizes_of(grid, Paths(tmp_path))
    names = []
    for step in steps:
        work = [*step.work(sizes)]
        assert bool(work) <= bool(step.kind(grid)) and all(part.flops >= 0 for part in work)
        names += [part.name for part in work]
        assert step.bytes(sizes) >= 0 and (step.files in FILES or step.bytes(sizes) == 0)
    assert not sizes.unknown
    # The single head of a merge runs its own sweep, whose parts carry the sweep's name.
    assert len(names) == len(set(names))


def test_a_name_in_an_explanation_says_which_system(grid):
    assert str(Probe("rte", "probe.mean.large", "all")) == "probe rte probe.mean.large all"
    assert str(Majority("rte", "majority", "all")) == "majority rte majority all"
    assert str(Calibrate("rte", PAIR, "uniform")) == f"calibrate rte {PAIR} uniform"
    assert MergeModels("rte", f"merge.theseus.labelled.{PAIR}", 0) != Evaluate(
        "rte", f"merge.theseus.labelled.{PAIR}", 0
    )


def test_steps_are_loaded_without_torch():
    code = "import sys, graft.study.steps.graph; print(*{'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
