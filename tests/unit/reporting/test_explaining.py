import json

import pytest

from graft.config.study import MEMBER_SEEDS, parse
from graft.io import files
from graft.reporting import tables
from graft.reporting.explaining import explain, find_run, links
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.finetune_model import FinetuneModel

MERGE = "merge.interpolate.tiny-into-big"
OTHER = "merge.theseus.labelled.tiny-into-big"


def text_of(sections):
    return "\n".join(" ".join((s.title, *(c for row in s.rows for c in row), s.remark)) for s in sections)


def section(sections, title):
    return next(s for s in sections if s.title == title)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("mnli", "finetune.big", "0"), "study s has no task 'mnli'; available: rte"),
        (("rte", "finetune.bag", "0"), "task rte has no system 'finetune.bag'; similar: .*finetune.big"),
        (("rte", "finetune.big", "7"), "rte/finetune.big has no seed '7'; available: 0, 1, 2"),
        (("rte", "finetune.big", "all"), "no seed 'all'"),
        (("rte", "majority", "0"), "no seed '0'; available: all"),
        (("../../etc", "finetune.big", "0"), r"no task '\.\./\.\./etc'"),
        (("rte", "", "0"), "no system ''"),
        (("rte", "finetune.big", "0; rm -rf ~"), "no seed '0; rm -rf ~'"),
    ],
)
def test_unknown_and_hostile_names_are_told_in_one_line_with_the_known_ones(grid, names, message):
    with pytest.raises(ValueError, match=message) as error:
        find_run(grid, *names)
    assert "\n" not in str(error.value)


def test_the_number_the_predictions_and_the_tables_stand_together(grid, paths, write_run):
    path = write_run("finetune.big", 0, value=0.625, train_flops=123_000)
    predictions = path.with_name("predictions.parquet")
    tables.write_runs(grid, paths)
    tables.write_comparison(grid, paths)
    told = explain(grid, paths, find_run(grid, "rte", "finetune.big", "0"))
    metrics = section(told, "metrics on report")
    assert metrics.rows == (("accuracy (primary)", "0.625", "0.030", "277"),)
    assert str(predictions) in metrics.remark and files.sha256(predictions) in metrics.remark
    (runs, value), (comparison, mean) = section(told, "in the tables").rows
    assert runs.endswith("runs.csv") and value == "0.625"
    assert comparison.endswith("comparison.csv") and "mean 0.625 of runs 1/3" in mean
    assert ("all training", "1.2e5", "") in section(told, "cost").rows


def test_a_part_that_other_runs_use_too_is_told_with_their_number_and_counts_by_its_share(grid, paths, write_run):
    for system, parts in (("finetune.big", {"own": 100}), (MERGE, {"both": 60, "alone": 5}), (OTHER, {"both": 60})):
        write_run(system, 0, train_flops=sum(parts.values()), parts=parts)
    cost = section(explain(grid, paths, find_run(grid, "rte", MERGE, "0")), "cost").rows
    assert cost[:3] == (("both", "6.0e1", "2"), ("alone", "5.0e0", "1"), ("all training", "6.5e1", ""))
    assert cost[3] == ("all training, parts shared among runs", "3.5e1", "")


def test_a_table_that_is_older_than_the_run_is_told(grid, paths, write_run):
    write_run("finetune.big", 0, value=0.625)
    tables.write_runs(grid, paths)
    write_run("finetune.big", 0, value=0.75)
    told = explain(grid, paths, find_run(grid, "rte", "finetune.big", "0"))
    assert section(told, "in the tables").rows[0][1] == "0.625: another value, made before this run"


def test_every_searched_value_is_shown_with_its_score(grid, paths, write_run):
    path = write_run(MERGE, 0)
    record = json.loads(path.read_text())
    points = [{"value": 0, "ridge": 0.1, "score": 0.5}, {"value": 0.5, "ridge": 0.1, "score": 0.61}]
    record["choices"] = [{"name": "strength", "metric": "accuracy", "chosen": 0.5, "searched": points}]
    path.write_text(json.dumps(record))
    told = section(explain(grid, paths, find_run(grid, "rte", MERGE, "0")), "choices on select")
    assert told.rows == (("strength", "0.5", "accuracy", "0 (ridge 0.1): 0.500, 0.5 (ridge 0.1): 0.610 ←"),)


def test_the_chain_names_every_step_its_file_its_log_and_whether_it_is_the_configs(grid, paths, write_run):
    run = find_run(grid, "rte", MERGE, "0")
    build = FinetuneModel("rte", "finetune.tiny", 0).output(paths)
    files.write_json(build, {"fingerprint": "0" * 16})
    data = DownloadTask("rte").output(paths)
    files.write_json(
        data, {"fingerprint": DownloadTask("rte").fingerprint(grid), "source": {"kind": "hub", "repo": "a/b"}}
    )
    write_run(MERGE, 0)
    found = {str(link.step): link for link in links(grid, paths, run)}
    assert found["download_task rte"].state == "done"
    assert found["finetune_model rte finetune.tiny 0"].state == "stale"
    assert found["merge_models rte merge.interpolate.tiny-into-big 0"].state == "missing"
    assert list(found)[-1] == "evaluate rte merge.interpolate.tiny-into-big 0"
    assert all(link.fingerprint and link.depends_on and link.log for link in found.values())
    told = explain(grid, paths, run)
    rows = section(told, "made by, inputs first").rows
    assert {row[3] for row in rows} >= {str(build), str(data)}
    assert ("stale since", "finetune_model rte finetune.tiny 0: made by another config; run snakemake again") in told[
        0
    ].rows
    assert section(told, "from outside").rows == ((str(data.parent), "kind hub, repo a/b"),)


def test_a_run_that_failed_is_explained_by_its_log(grid, paths, write_log):
    log = write_log("finetune_model", "finetune.big", 1, "ValueError: no room\n")
    told = explain(grid, paths, find_run(grid, "rte", "finetune.big", "1"))
    assert told[0].rows[0] == ("state", "failed: ValueError: no room") and ("log", str(log)) in told[0].rows
    assert "metrics on report" not in [s.title for s in told]


def test_what_makes_a_run_stale_is_told_for_every_step_behind_it(grid, paths):
    told = explain(grid, paths, find_run(grid, "rte", "merge.theseus.labelled.tiny-into-big", "0"))[-1]
    text = text_of([told])
    for key in ("tasks.rte: source", "models.big.source", "models.tiny.finetune.rte", "calibration.tokens"):
        assert key in text
    assert "systems.merge.theseus" in text


def test_a_soups_explanation_names_its_members_and_an_encoders_all_tasks(study_config, tmp_path):
    study_config["systems"]["soup"] = {"members": 2, "methods": {"my.fisher": {"method": "fisher"}}}
    study_config["systems"]["multitask"] = {"methods": {"ties": {}}}
    grid, paths = Grid(parse(study_config)), Paths(tmp_path)

    def explained(system, seed):
        told = explain(grid, paths, find_run(grid, "rte", system, seed))
        tuned = [row[0] for row in section(told, "made by, inputs first").rows if row[0].startswith("finetune_model")]
        return sorted(tuned), text_of(told[-1:])

    tuned, stale = explained("soup.my.fisher.large", "all")
    assert tuned == [f"finetune_model rte member.large {MEMBER_SEEDS + i}" for i in range(2)]
    assert "systems.soup.methods.my.fisher, systems.soup.members" in stale
    tuned, stale = explained("multitask.ties.large", "0")
    assert tuned == sorted(f"finetune_model {task} finetune.large 0" for task in study_config["tasks"])
    assert "systems.multitask.methods.ties, tasks.*.metrics" in stale


def test_a_source_that_is_gone_leaves_the_rest_explained(grid, paths, write_run, monkeypatch):
    write_run("finetune.big", 0)

    def gone(*_):
        raise ValueError("tasks.rte.source.folder: not a folder")

    monkeypatch.setattr(DownloadTask, "hashed", gone)
    grid.fingerprints.clear()
    told = explain(grid, paths, find_run(grid, "rte", "finetune.big", "0"))
    assert told[0].rows[0][1] == "done"
    assert {row[1] for row in section(told, "made by, inputs first").rows} == {"missing", "unknown"}
