import io

import pytest
from rich.console import Console

from graft.planning.plan import plan
from graft.registry import methods
from graft.registry.rates import CPU, of_gpu
from graft.reporting import terminal
from graft.reporting.states import StepState, states
from graft.study.steps.calibrate import Calibrate


def _text(parts):
    console = Console(width=200, record=True, file=io.StringIO())
    for part in parts:
        console.print(part)
    return console.export_text()


def test_comparison_shows_counts_of_what_is_not_there_and_leaves_the_only_pair_out(study, runs_of, compare):
    values = {"finetune.big": {0: 0.6, 1: 0.7}, "merge.interpolate.tiny-into-big": {0: 0.5, 1: "failed"}}
    text = _text(terminal.comparison_tables(compare(runs_of(values), study())))
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "rte: accuracy, tiny-into-big" in text
    assert "reference" in lines["finetune.big"] and "0.650" in lines["finetune.big"]
    assert "1/2, 1" in lines["merge.interpolate"] and "−0.100" in lines["merge.interpolate"]
    assert "nan" not in text.lower() and "[" not in text and "verdict " not in text
    assert "2 seeds are too few for intervals, which take 5, and for p values and verdicts, which take 12." in text


def test_enough_seeds_have_a_verdict(study, runs_of, compare):
    values = {
        "finetune.big": dict.fromkeys(range(12), 0.8),
        "merge.interpolate.tiny-into-big": dict.fromkeys(range(12), 0.6),
    }
    text = _text(terminal.comparison_tables(compare(runs_of(values), study(seeds=12))))
    assert "worse" in text and "[−0." in text and "too few" not in text


def test_status_counts_all_runs_and_tells_why_one_failed(grid, paths, write_run, write_log):
    write_run("finetune.big", 0)
    log = write_log("finetune_model", "finetune.big", 1, "ValueError: [red]not markup[/red]\n")
    steps = [StepState(Calibrate("rte", "x", "uniform"), "failed", "calibrate: no tokens", paths.logs / "x.log")]
    text = _text(terminal.status_tables(states(grid, paths), steps))
    assert f"{len(grid.runs)} runs: 1 done, 1 failed, {len(grid.runs) - 2} missing" in text
    assert "ValueError: [red]not markup[/red]" in text and log.name in text
    assert "calibrate: no tokens" in text


def test_a_plan_shows_what_is_known_and_says_what_is_not(grid, paths):
    text = _text(terminal.plan_tables(plan(grid, paths, of_gpu("a100"), machines=2)))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "finetune_model 6" in lines and "fine-tuning large 3 unknown unknown" in lines
    assert "pre-trained models unknown unknown" in lines
    assert "unknown: task rte: rows and lengths of a/b; known after `snakemake data`" in lines
    assert "with 2 jobs at a time" in text and "the a100 was not measured" in text and "nan" not in text


def test_rates_are_shown_by_kind_of_work_and_width(paths):
    lines = [
        " ".join(line.split()) for line in _text(terminal.rates_tables(CPU, paths.root / "rates.json")).splitlines()
    ]
    assert f"inference 768 {CPU.flops['inference'][768] / 1e9:.3g}" in lines


def test_times_are_written_in_the_unit_that_reads_best():
    assert [terminal._time(hours) for hours in (0, 0.001, 0.5, 2.25, 130)] == ["–", "3.6 s", "30 min", "2.2 h", "130 h"]


def test_methods_lists_the_whole_registry():
    text = _text([terminal.methods_table(methods.table(*methods.KINDS).values())])
    for facts in methods.table(*methods.KINDS).values():
        assert facts.name in text and facts.kind in text


@pytest.mark.parametrize("width", [20, 60, 80, 100, 200])
def test_no_name_or_number_is_broken_at_any_width(study, runs_of, compare, grid, paths, width):
    values = {"finetune.big": {0: 0.6, 1: 0.7}, "merge.interpolate.tiny-into-big": {0: 0.5, 1: "failed"}}
    parts = [
        *terminal.comparison_tables(compare(runs_of(values), study())),
        terminal.methods_table(methods.table(*methods.KINDS).values()),
        *terminal.status_tables(states(grid, paths)),
        *terminal.plan_tables(plan(grid, paths, of_gpu("a100"))),
    ]
    console = Console(width=width, file=io.StringIO())
    for part in parts:
        console.print(part, crop=False)
    words = set(console.file.getvalue().split())
    assert {"merge.interpolate", "finetune.big", "0.650", "small_finetuned,", *methods.table(*methods.KINDS)} <= words
    assert {f"rte/{name}" for name in grid.systems if not name.startswith("trial.")} <= words
