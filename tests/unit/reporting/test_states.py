import os
import subprocess
import sys
from pathlib import Path

import pytest

from graft.reporting.states import states, step_states, unknown_source
from graft.study.grid import Grid
from graft.study.steps.graph import of_study
from graft.study.steps.job import PLACES
from graft.study.steps.making import MAKERS
from tests.unit.io.test_locks import HOLDER

MERGE = "merge.interpolate.tiny-into-big"


RULES = Path(__file__).parents[3] / "rules"


def _by_id(grid, paths, **options):
    return {state.run.id: state for state in states(grid, paths, **options)}


def test_nothing_done_is_missing_and_not_started(grid, paths):
    found = states(grid, paths)
    assert len(found) == len(grid.runs)
    assert {(state.state, state.why) for state in found} == {("missing", "not started")}


def test_a_finished_run_is_done_whatever_its_log_says(grid, paths, write_run, write_log):
    write_run("finetune.big", 0)
    write_log("finetune_model", "finetune.big", 0, "ValueError: an earlier attempt\n")
    assert _by_id(grid, paths)["rte/finetune.big/seed-0"].state == "done"


def test_another_fingerprint_is_stale_unless_it_cannot_be_checked(grid, paths, write_run):
    write_run("finetune.big", 0, fingerprint="old")
    assert _by_id(grid, paths)["rte/finetune.big/seed-0"].state == "stale"
    assert _by_id(grid, paths, check=False)["rte/finetune.big/seed-0"].state == "done"


def test_a_source_that_is_gone_is_named(study, grid, tmp_path):
    assert unknown_source(grid) is None
    local = {"kind": "tsv", "folder": str(tmp_path / "gone")}
    told = str(unknown_source(Grid(study(tasks={"rte": {"source": local}}))))
    assert told.startswith(f"tasks.rte.source.folder: {tmp_path / 'gone'} is not a folder")


@pytest.mark.parametrize(
    "line",
    [
        "finetune_model: tasks.rte: no such file",
        "torch.cuda.OutOfMemoryError: CUDA out of memory",
        "slurmstepd: error: *** JOB 7 CANCELLED DUE TO TIME LIMIT ***",
    ],
)
def test_a_log_that_tells_an_error_is_failed_with_that_line(grid, paths, write_log, line):
    log = write_log("finetune_model", "finetune.big", 1, f"12:00:00 finetune 3/9 loss 0.4\n{line}\n\n")
    state = _by_id(grid, paths)["rte/finetune.big/seed-1"]
    assert (state.state, state.why, state.log) == ("failed", line, log)


@pytest.fixture
def hold():
    """Holds locks, each in a process of its own, until the test ends."""
    holders = []

    def start(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        holder.stdout.readline()
        holders.append(holder)

    yield start
    for holder in holders:
        holder.kill()
        holder.wait()


def test_a_job_that_holds_its_log_is_running_however_silent_it_is(grid, paths, write_log, hold):
    log = write_log("finetune_model", "finetune.big", 1, "")
    hold(log)
    os.utime(log, (1000, 1000))
    assert _by_id(grid, paths)["rte/finetune.big/seed-1"].state == "running"


def test_a_log_that_no_job_holds_is_of_a_starting_job_or_of_a_killed_one(grid, paths, write_log):
    log = write_log("finetune_model", "finetune.big", 1, "12:00:00 finetune 3/9 loss 0.4\n")
    os.utime(log, (1000, 1000))
    assert _by_id(grid, paths, now=1030.0)["rte/finetune.big/seed-1"].state == "running"
    killed = _by_id(grid, paths, now=1100.0)["rte/finetune.big/seed-1"]
    assert killed.state == "failed" and killed.why.startswith("killed") and "3/9" in killed.why


@pytest.mark.parametrize("folder", ["rule_finetune_model/rte_finetune.big_1", "group_rte-1_evaluate_merge_models"])
def test_of_a_job_that_was_killed_slurms_last_words_are_told(grid, paths, write_log, folder):
    log = write_log("finetune_model", "finetune.big", 1, "12:00:00 finetune 3/9 loss 0.4\n")
    os.utime(log, (1000, 1000))
    said = paths.root.absolute().parent.parent / ".snakemake/slurm_logs" / folder / "17.log"
    said.parent.mkdir(parents=True)
    words = "slurmstepd: error: *** STEP 17.0 ON node1 CANCELLED DUE TO TIME LIMIT ***"
    said.write_text(f"{words}\nWorkflowError:\nAt least one job did not complete successfully.\n")
    state = _by_id(grid, paths)["rte/finetune.big/seed-1"]
    assert (state.state, state.why, state.log) == ("failed", f"job 17: {words}", said)


def test_what_failed_before_the_study_was_started_again_waits_for_its_turn(grid, paths, write_log, hold):
    log = write_log("finetune_model", "finetune.big", 1, "finetune_model: broken\n")
    os.utime(log, (1000, 1000))
    assert _by_id(grid, paths)["rte/finetune.big/seed-1"].state == "failed"
    hold(paths.lock)
    state = _by_id(grid, paths)["rte/finetune.big/seed-1"]
    assert state.state == "missing" and "finetune_model: broken" in state.why


def test_a_made_system_is_judged_by_the_log_of_its_evaluation(grid, paths, write_log):
    run = paths.run("rte", "finetune.big", 2)
    run.mkdir(parents=True)
    (run / "build.json").write_text("{}")
    write_log("finetune_model", "finetune.big", 2, "ValueError: the first attempt\n")
    assert _by_id(grid, paths)["rte/finetune.big/seed-2"].why == "made, not evaluated"
    write_log("evaluate", "finetune.big", 2, "evaluate: broken\n")
    assert _by_id(grid, paths)["rte/finetune.big/seed-2"].why == "evaluate: broken"


def test_a_merge_says_that_the_fine_tuning_it_needs_failed(grid, paths, write_log):
    write_log("finetune_model", "finetune.tiny", 0, "FloatingPointError: loss is nan\n")
    found = _by_id(grid, paths)
    assert found[f"rte/{MERGE}/seed-0"].why == "waits for rte/finetune.tiny/seed-0, which failed"
    assert found[f"rte/{MERGE}/seed-1"].why == "not started"


def test_runs_say_that_a_step_for_many_of_them_failed(grid, paths):
    _write_step_log(paths, "calibrate", "rte", "tiny-into-big", "midpoints", "calibrate: no tokens\n")
    found = _by_id(grid, paths)
    waiting = {
        name
        for name, state in found.items()
        if state.why == "waits for calibrate rte tiny-into-big midpoints, which failed"
    }
    assert waiting and all("/merge.theseus." in name for name in waiting)


def _write_step_log(paths, rule, *names):
    *names, text = names
    *folders, last = (rule, *names)
    log = paths.logs.joinpath(*folders, f"{last}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    return log


def test_steps_of_many_runs_that_failed_are_found_unless_they_were_done_since(grid, paths):
    failed = _write_step_log(paths, "calibrate", "rte", "tiny-into-big", "midpoints", "calibrate: no tokens\n")
    _write_step_log(paths, "download_model", "big", "ValueError: the first attempt\n")
    (paths.model("big")).mkdir(parents=True)
    (paths.model("big") / "manifest.json").write_text("{}")
    plot = _write_step_log(paths, "plot", "plot: no such table\n")
    _write_step_log(paths, "keep_models", "keep_models: 1.2 s\n")
    found = {(str(s.step), s.state, s.why, s.log) for s in step_states(grid, paths, states(grid, paths))}
    assert found == {
        ("calibrate rte tiny-into-big midpoints", "failed", "calibrate: no tokens", failed),
        ("plot", "failed", "plot: no such table", plot),
    }


def test_each_step_has_a_rule_that_takes_its_files_from_it(grid):
    text = "\n".join(file.read_text() for file in RULES.glob("*.smk"))
    assert {system.program for system in grid.systems.values()} <= set(MAKERS)
    # The others have none: they are done in jobs of several steps.
    alone = {step.rule for step in of_study(grid) if not step.job(grid)}
    for rule in alone | {*PLACES}:
        assert f"rule {rule}:" in text or f" as {rule} with:" in text
        assert f'log_of("{rule}")' in text
