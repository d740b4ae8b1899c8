import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from graft.cli.main import find, main, one_by_one
from graft.config.study import parse
from graft.io import files
from graft.reporting import tables
from graft.study.grid import Grid
from graft.study.paths import Paths
from tests.unit.io.test_locks import HOLDER

HUB = {"kind": "hub", "repo": "a/b", "revision": "0" * 40}
FINETUNE = {"learning_rate": 1e-4, "batch_size": 8, "epochs": 1, "max_tokens": 16}
STUDY = {
    "name": "one",
    "seeds": 1,
    "tasks": {"rte": {"source": HUB}},
    "models": {
        "big": {"role": "large", "source": HUB, "finetune": {"rte": FINETUNE}, "tokenizer": "big"},
        "tiny": {"role": "small", "source": HUB, "finetune": {"rte": FINETUNE}, "tokenizer": "big"},
    },
    "pairs": [{"large": "big", "small": "tiny"}],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _study(folder, name):
    values = parse(STUDY | {"name": name}).model_dump(mode="json", by_alias=True)
    files.write_json(folder / "results" / name / "study.json", values)


def _call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["graft", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code or 0


def test_the_only_study_needs_no_name(folder):
    _study(folder, "one")
    assert find(None) == find("one")


@pytest.mark.parametrize(("asked", "told"), [(None, "several studies"), ("three", "no study 'three'")])
def test_which_study_is_asked_with_a_list_of_those_there(folder, monkeypatch, capsys, asked, told):
    _study(folder, "one")
    _study(folder, "two")
    assert _call(monkeypatch, "show", *([asked] if asked else [])) == 1
    error = capsys.readouterr().err
    assert error.startswith("graft: ") and told in error and error.rstrip().endswith("one, two")
    assert error.count("\n") == 1


def test_a_path_is_not_a_study(folder, monkeypatch, capsys):
    _study(folder, "one")
    assert _call(monkeypatch, "show", "../results/one") == 1
    assert "no study '../results/one'" in capsys.readouterr().err


def test_no_results_is_reported_in_one_line(folder, monkeypatch, capsys):
    assert _call(monkeypatch, "status") == 1
    assert capsys.readouterr().err == "graft: no study has results in results/ yet; run snakemake first\n"


def test_status_of_a_study_without_runs(folder, monkeypatch, capsys):
    _study(folder, "one")
    assert _call(monkeypatch, "status") == 0
    assert "2 runs: 2 missing" in capsys.readouterr().out


def test_status_is_shown_anew_until_it_is_stopped(folder, monkeypatch, capsys):
    from graft.reporting import terminal

    waits = []

    def stop_at_the_second(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt

    # Not `time.sleep` itself: other threads sleep too.
    monkeypatch.setattr(terminal, "time", SimpleNamespace(sleep=stop_at_the_second))
    _study(folder, "one")
    assert _call(monkeypatch, "status", "--watch") == 0
    assert len(waits) == 2 and "2 runs: 2 missing" in capsys.readouterr().out


def test_show_before_there_are_tables_names_the_file(folder, monkeypatch, capsys):
    _study(folder, "one")
    assert _call(monkeypatch, "show") == 1
    assert "results/one/tables/comparison.csv: no such table" in capsys.readouterr().err


def test_methods_are_listed(folder, monkeypatch, capsys):
    assert _call(monkeypatch, "methods") == 0
    told = capsys.readouterr().out
    assert "theseus" in told and "greedy" in told and "tsv" in told


def test_a_plan_for_an_unknown_gpu_lists_the_known_ones(folder, monkeypatch, capsys):
    assert _call(monkeypatch, "plan", "--gpu", "tpu") == 1
    error = capsys.readouterr().err
    assert error.startswith("graft: no GPU is called 'tpu' here; available: a10") and error.count("\n") == 1


def test_a_plan_of_a_missing_config_names_it(folder, monkeypatch, capsys):
    assert _call(monkeypatch, "plan", "mine.yaml") == 1
    assert capsys.readouterr().err == "graft: mine.yaml: no such study config\n"


def test_cleaning_is_refused_while_the_study_runs(folder, monkeypatch, capsys):
    _study(folder, "one")
    states = folder / "results" / "one" / "embeddings" / "rte" / "states"
    files.write_json(states, {})
    lock = folder / "results" / "one" / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    holder.stdout.readline()
    assert _call(monkeypatch, "clean", "one") == 1
    assert "study one is being run by another snakemake" in capsys.readouterr().err and states.is_file()
    holder.kill()
    holder.wait()
    assert _call(monkeypatch, "clean", "one", "--dry-run") == 0
    assert "would be freed" in capsys.readouterr().out and states.is_file()


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nsys.argv = ['graft', '--help']\nfrom graft.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'pandas', 'matplotlib', 'pydantic'} & set(sys.modules), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "set()\n")


def test_a_home_folder_is_found_where_a_shell_leaves_it_to_us(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    given = ["merge", "--out=~/merged", "--models", "~/one", "two~", "--option", "a=~"]
    told = ["merge", "--out=/home/me/merged", "--models=/home/me/one", "--models=two~", "--option", "a=~"]
    assert one_by_one(given) == told


def test_results_that_are_no_folder_are_reported(folder, monkeypatch, capsys):
    (folder / "results").touch()
    assert _call(monkeypatch, "status") == 1
    assert capsys.readouterr().err == "graft: results is a file, not a folder\n"


def test_show_ends_with_what_it_means_and_where_it_stands(folder, monkeypatch, capsys):
    _study(folder, "one")
    grid = Grid(parse(STUDY | {"name": "one"}))
    tables.write_runs(grid, Paths.of("one"))
    tables.write_comparison(grid, Paths.of("one"))
    assert _call(monkeypatch, "show") == 0
    *_, sentence, _, last = capsys.readouterr().out.splitlines()
    assert sentence.startswith("No merge can be compared yet")
    assert last == "table   results/one/tables/comparison.md"


def test_verifying_a_study_without_runs_counts_them(folder, monkeypatch, capsys):
    _study(folder, "one")
    assert _call(monkeypatch, "verify", "one") == 0
    assert capsys.readouterr().out == "     2  runs that are not finished\neverything is as recorded\n"


def test_what_is_not_as_recorded_is_reported_and_ends_with_an_error(folder, monkeypatch, capsys):
    _study(folder, "one")
    files.write_json(folder / "results" / "one" / "models" / "big" / "manifest.json", {"sha256": {"config.json": "0"}})
    assert _call(monkeypatch, "verify", "one") == 1
    error = capsys.readouterr().err
    assert "models/big/config.json: missing, though" in error
    assert error.endswith("graft: study one is not as recorded: see the lines above (1)\n")


def test_a_submission_of_what_was_not_made_is_refused_in_one_line(folder, monkeypatch, capsys):
    _study(folder, "one")
    assert _call(monkeypatch, "submission", "one", "finetune.big") == 1
    assert "rte/finetune.big/seed-0/model: not made, or not kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("outliers=6e-3", "graft: base is not a folder"),
        ("outliers=[", "graft: --option outliers: "),
        ("outliers=010", "graft: --option outliers: 010 is read differently by different versions of YAML"),
        ("outliers=true", "graft: option 'outliers' of method 'breadcrumbs' is true; it must be a number from 0 on"),
        ("outlier=1", "did you mean outliers?"),
    ],
)
def test_options_on_the_command_line_are_read_as_in_a_config(folder, monkeypatch, capsys, given, told):
    models = ("--models", "one", "two", "--base", "base")
    assert _call(monkeypatch, "merge", "--method", "breadcrumbs", "--option", given, *models, "--out", "new") == 1
    error = capsys.readouterr().err
    assert told in error and len(error.splitlines()) == 1


def test_a_short_name_explains_the_same_run(folder, monkeypatch, capsys):
    values = parse(STUDY | {"systems": {"merge": {"interpolate": {}}}}).model_dump(mode="json", by_alias=True)
    files.write_json(folder / "results" / "one" / "study.json", values)
    told = []
    for name in ("merge.interpolate.tiny-into-big", "merge.interpolate"):
        assert _call(monkeypatch, "explain", "one", "rte", name, "0") == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
