"""A study's archive, elsewhere: without its results, data and models, it gives every table, figure and the report."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

import graft
from tests.conftest import study_values, with_transfers
from tests.workflow.conftest import call, copied, snakemake
from tests.workflow.recomputing import check

PAIR = "small-into-large"
MADE = ("tables", "figures", "report.html")


def made(folder: Path) -> dict[str, bytes]:
    """Tables, figures and the report in a folder."""
    found = [path for path in folder.rglob("[!.]*") if path.is_file()]  # snakemake leaves a hidden file
    return {name: path.read_bytes() for path in found if (name := str(path.relative_to(folder))).startswith(MADE)}


@pytest.fixture(scope="module")
def archived(pico_glue, pico_models, pico_others, tmp_path_factory):
    """Folder with nothing but the archive of a finished study, and what the study had made of its runs."""
    folder = tmp_path_factory.mktemp("archived")
    glue, models, others = (copied(source, folder / source.name) for source in (pico_glue, pico_models, pico_others))
    include = ["rte/*", "sst2/finetune.*", "sst2/majority/*"]
    values = with_transfers(study_values(glue, models, seeds=[0], include=include), others)
    del values["tasks"]["stsb"], values["transfer"]["snli"]
    values["systems"]["probe"] = {"pooling": ["mean"]}
    values["systems"]["merge"] = {"logit_ensemble": {}, "theseus": {"heads": ["labelled"], "strengths": [0, 1]}}
    values["systems"]["control"] = {"head-only": {"heads": ["labelled"]}}
    values["cost"] = {"texts": 16, "rounds": 2}
    config = folder / "config.json"
    config.write_text(json.dumps(values))
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout[-3000:]
    told = call(folder, "graft", "archive", "pico", "pico.zip")
    assert told.returncode == 0, told.stderr
    expected = made(folder / "results" / "pico")
    for path in folder.iterdir():
        if path.name != "pico.zip":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder, expected, told.stdout


def test_tables_figures_and_report_are_the_studys_byte_for_byte(archived, tmp_path):
    folder, expected, _ = archived
    assert {"tables/comparison.csv", "tables/transfer.csv", "tables/cost.csv", "report.html"} <= expected.keys()
    assert {"figures/layer-similarity.rte.svg", "figures/training.rte.svg"} <= expected.keys()
    done = call(folder, "graft", "tables", "pico.zip", "--out", str(tmp_path / "made"))
    assert done.returncode == 0, done.stderr
    assert made(tmp_path / "made") == expected
    assert sorted(path.name for path in folder.iterdir()) == ["pico.zip"]
    again = call(folder, "graft", "tables", "pico.zip", "--out", str(tmp_path / "made"))
    assert again.returncode == 1 and "made already exists; name another folder" in again.stderr


def test_every_command_that_reads_results_reads_the_archive(archived):
    (folder, _, told), merge = archived, f"merge.theseus.labelled.{PAIR}"
    assert "pico.zip: " in told and "runs: 14 done" in told and "sha256 " in told
    for arguments, said in (
        (["show"], "The merge that is best on select reaches"),
        (["status"], "archived on "),
        (["explain", "rte", merge, "0"], f"pico.zip/runs/rte/{merge}/seed-0/run.json"),
        (["config"], "name: pico"),
        (["verify"], "everything is as recorded"),
    ):
        done = call(folder, "graft", arguments[0], "pico.zip", *arguments[1:])
        assert done.returncode == 0 and said in done.stdout, (arguments, done.stdout[-2000:], done.stderr)
        assert "stale runs cannot be detected" not in done.stdout
    assert set(graft.tables(folder / "pico.zip")["comparison"]["task"]) == {"rte", "sst2"}


def test_commands_that_need_models_refuse_it_in_one_line(archived):
    folder, _, _ = archived
    for arguments in (["clean"], ["build", "rte", "finetune.small", "0"], ["submission", "finetune.small"]):
        done = call(folder, "graft", arguments[0], "pico.zip", *arguments[1:])
        told = "graft: pico.zip: an archive has no data and no models; name a study in results/\n"
        assert (done.returncode, done.stderr) == (1, told)


def test_every_number_can_be_recomputed_from_the_archive_alone(archived):
    folder, _, _ = archived
    assert check(folder / "pico.zip") > 8


def test_a_changed_file_inside_is_named_by_every_command(archived, tmp_path):
    with zipfile.ZipFile(archived[0] / "pico.zip") as packed:
        contents = {name: packed.read(name) for name in packed.namelist()}
    changed = "runs/rte/finetune.small/seed-0/run.json"
    contents[changed] = contents[changed].replace(b'"degenerate": false', b'"degenerate":  true')
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as packed:
        for name, content in contents.items():
            packed.writestr(name, content)
    for command in ("verify", "tables", "show", "status"):
        done = call(tmp_path, "graft", command, "other.zip")
        assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
        assert f"other.zip: {changed} is not the file that was archived" in done.stderr
