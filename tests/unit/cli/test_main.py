import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from graft.cli.main import LONG_AGO, find, main, one_by_one
from graft.config.study import parse
from graft.encoders.models import new_classifier
from graft.encoders.saving import save_model
from graft.io import files
from graft.reporting import tables
from graft.study.grid import Grid
from graft.study.paths import Paths
from tests.conftest import study_values
from tests.unit.io.test_locks import HOLDER
from tests.unit.programs import finish
from tests.unit.reporting.conftest import write_record

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


def test_a_zip_that_is_not_an_archive_is_refused_in_one_line(folder, monkeypatch, capsys):
    (folder / "texts.zip").write_text("a text")
    for name, told in (("texts.zip", "damaged, or not written by `archive`"), ("no.zip", "there is no such archive")):
        assert _call(monkeypatch, "tables", name) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"graft: {name}: {told}") and error.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["texts.zip"]


def test_the_tables_of_a_study_are_made_in_its_folder(folder, monkeypatch, capsys):
    _study(folder, "one")
    assert _call(monkeypatch, "tables", "one", "--out", "made") == 1
    assert capsys.readouterr().err == "graft: --out is for archives; the tables of one are in its folder\n"


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


def test_a_plan_with_what_this_machine_computes(folder, pico_glue, pico_models, monkeypatch, capsys):
    values = study_values(pico_glue, pico_models, launch={"device": "cpu"})
    files.write_json(folder / "mine.yaml", values)
    assert _call(monkeypatch, "plan", "mine.yaml", "--measure", "--gpu", "cpu") == 1
    assert "use one of them" in capsys.readouterr().err
    for flags in (["--measure"], []):
        assert _call(monkeypatch, "plan", "mine.yaml", *flags, "--cores", "4") == 0
        shown = capsys.readouterr().out
        assert "measured by `plan --measure`" in shown and "with 4 jobs at a time" in shown
    assert (folder / "results" / values["name"] / "rates.json").is_file()


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


def test_show_knows_the_scenarios_and_refuses_others(folder, monkeypatch, capsys):
    _study(folder, "one")
    grid = Grid(parse(STUDY | {"name": "one"}))
    tables.write_runs(grid, Paths.of("one"))
    tables.write_comparison(grid, Paths.of("one"))
    assert _call(monkeypatch, "show", "--scenario", "small-given") == 0
    assert "no more to train" in capsys.readouterr().out
    assert _call(monkeypatch, "show", "--scenario", "small-gven") == 1
    told = "--scenario: unknown 'small-gven'; available: from-scratch, small-given; did you mean small-given?"
    assert capsys.readouterr().err == f"graft: {told}\n"


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


def test_tables_are_made_anew_from_the_runs_and_are_older_than_them_all(folder, monkeypatch, capsys):
    _study(folder, "one")
    grid, paths = Grid(parse(STUDY | {"name": "one"})), Paths.of("one")
    write_record(grid, paths, "finetune.big", 0, 0.75)
    assert _call(monkeypatch, "tables", "one") == 0
    assert capsys.readouterr().out.endswith(f"{paths.report} are up to date\n")
    written = [*paths.tables.iterdir(), paths.figures, paths.report]
    assert {path.stat().st_mtime for path in written} == {LONG_AGO}
    assert ",0.75," in (paths.tables / "comparison.csv").read_text() and "0.750" in paths.report.read_text()


def test_a_new_study_is_written_and_told_with_the_commands_that_run_it(folder, monkeypatch, capsys, pico_models):
    models = ("--large", str(pico_models / "large"), "--small", str(pico_models / "small"))
    assert _call(monkeypatch, "new", "mine", *models, "--method", "interpolate", "--seeds", "2") == 0
    told = capsys.readouterr().out
    assert "config/mine.yaml was written: " in told
    assert told.index("graft plan config/mine.yaml") < told.index("graft run config/mine.yaml")
    assert "interpolate" in (folder / "config" / "mine.yaml").read_text()


def test_a_run_is_exported_and_asked_by_its_commands(folder, monkeypatch, capsys, pico_glue, pico_models):
    values = study_values(pico_glue, pico_models, seeds=[0], include=["sst2/probe.mean.small/*"])
    grid, paths = Grid(parse(values)), Paths.of("pico")
    finish(grid, paths)
    assert _call(monkeypatch, "export", "pico", "sst2", "probe.mean.small", "all", "mine") == 0
    assert "graft predict mine --text FILE" in capsys.readouterr().out
    Path("text.txt").write_text("a good film\na bad plot\n")
    assert _call(monkeypatch, "predict", "mine", "--text", "text.txt") == 0
    header, *lines = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert header == ["label", "score"] and len(lines) == 2
    assert all(label in ("negative", "positive") and 0.5 <= float(score) <= 1 for label, score in lines)
    assert _call(monkeypatch, "export", "pico", "sst2", "probe.mean.small", "all", "mine") == 1
    assert "mine already exists" in capsys.readouterr().err


def test_the_schema_is_the_one_for_editors(folder, monkeypatch, capsys):
    assert _call(monkeypatch, "schema") == 0
    assert capsys.readouterr().out == (Path(__file__).parents[3] / "config" / "study.schema.json").read_text()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--large", "a"), "--small-finetuned, --text: required, or use --models DIR DIR ... for models of one shape"),
        (
            ("--models", "a", "b", "--large", "c"),
            "--large is for merges of two shapes (--large DIR ...), not of one shape",
        ),
        (
            ("--large", "a", "--dtype", "float32"),
            "--dtype is for merges of one shape (--models DIR DIR ...), not of two shapes",
        ),
        (("--models", "a", "b"), "theseus merges models of two shapes (--large DIR ...), not of one shape"),
        (("--models", "a", "b", "--option", "x"), "--option x: use NAME=VALUE"),
        (("--models", "a", "b", "--option", "x=1", "--option", "x=2"), "--option x: given twice"),
    ],
)
def test_flags_of_the_other_kind_of_merge_are_refused_by_name(folder, monkeypatch, capsys, given, told):
    assert _call(monkeypatch, "merge", "--method", "theseus", *given, "--out", "out") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"graft: {told}") and error.count("\n") == 1 and not (folder / "out").exists()


def test_models_of_one_shape_are_merged_or_only_told(folder, monkeypatch, capsys, pico_models):
    for seed in (1, 2):
        save_model(new_classifier(pico_models / "small", ("no", "yes"), seed), folder / f"m{seed}")
    command = ("merge", "--method", "linear", "--models", "m1", "m2", "--weights", "1", "3", "--out", "out")
    assert _call(monkeypatch, *command, "--dry-run") == 0
    assert capsys.readouterr().out.endswith("nothing was written to out: this was a dry run\n")
    assert not (folder / "out").exists()
    assert _call(monkeypatch, *command) == 0
    assert capsys.readouterr().out.endswith("the merged model is in out\n")
    one, two, merged = (load_file(folder / name / "model.safetensors") for name in ("m1", "m2", "out"))
    name = "classifier.weight"
    assert torch.allclose(merged[name], 0.25 * one[name] + 0.75 * two[name])


def test_statistics_of_a_model_are_written_where_it_is_said(folder, monkeypatch, capsys, pico_models):
    save_model(new_classifier(pico_models / "small", ("no", "yes"), 0), folder / "model")
    files.copy_into(pico_models / "small", folder / "model", files.TOKENIZER)
    (folder / "text.txt").write_text("the good film\n" * 4)
    command = ("statistics", "--kind", "fisher", "--model", "model", "--text", "text.txt", "--out", "out")
    assert _call(monkeypatch, *command) == 0
    assert capsys.readouterr().out == "out/fisher.safetensors was written\n"
    assert (folder / "out" / "fisher.safetensors").is_file()
