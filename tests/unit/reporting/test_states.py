import os
from pathlib import Path

import pytest

from graft.reporting import states as module
from graft.reporting.states import failed_steps, states

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


def test_a_log_without_error_is_running_until_it_is_silent_for_long(grid, paths, write_log):
    log = write_log("finetune_model", "finetune.big", 1, "12:00:00 finetune 3/9 loss 0.4\n")
    os.utime(log, (1000, 1000))
    assert _by_id(grid, paths, now=1100.0)["rte/finetune.big/seed-1"].state == "running"
    assert _by_id(grid, paths, now=2000.0)["rte/finetune.big/seed-1"].state == "failed"


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


def test_other_steps_that_end_in_an_error_are_found(paths):
    for name, text in (("good", "ValueError: once\nthen fine\n"), ("bad", "calibrate: no tokens\n")):
        log = paths.logs / "calibrate" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(text)
    assert list(failed_steps(paths)) == [(paths.logs / "calibrate" / "bad.log", "calibrate: no tokens")]


def test_each_program_of_the_grid_has_a_rule_with_logs_where_status_looks(grid):
    text = "\n".join(file.read_text() for file in RULES.glob("*.smk"))
    assert {system.program for system in grid.systems.values()} <= set(module._RULES)
    for rule in (*module._RULES.values(), "evaluate"):
        assert f"rule {rule}:" in text and f'PATHS.logs / "{rule}' in text
