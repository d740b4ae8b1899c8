"""A whole study that takes a minute, so that `make test` has one: made, told, held against its own predictions."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from tests.conftest import study_values
from tests.workflow.conftest import environment, snakemake
from tests.workflow.recomputing import check

PAIR = "small-into-large"


@pytest.fixture(scope="module")
def finished(pico_glue, pico_models, tmp_path_factory):
    """Results, config and its values: one task and one seed, each kind of merge once."""
    folder = tmp_path_factory.mktemp("small")
    values = study_values(pico_glue, pico_models, seeds=[0], include=["rte/*"])
    values["systems"]["probe"] = {"pooling": ["mean"]}
    values["systems"]["merge"] = {"logit_ensemble": {}, "theseus": {"heads": ["labelled"], "strengths": [0, 1]}}
    values["systems"]["control"] = {"head-only": {"heads": ["labelled"]}}
    values["cost"] = {"texts": 16, "rounds": 2}
    config = folder / "config.json"
    config.write_text(json.dumps(values))
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder / "results" / "pico", config, values


def test_every_system_has_a_row_and_a_place_in_the_report(finished):
    results, _, _ = finished
    table = pd.read_csv(results / "tables" / "comparison.csv")
    systems = {
        *("finetune.large", "finetune.small", "probe.mean.large", "probe.mean.small", "majority"),
        *(f"merge.logit_ensemble.{PAIR}", f"merge.theseus.labelled.{PAIR}", f"control.head-only.labelled.{PAIR}"),
        "search.merges",
    }
    assert set(table["system"]) == systems and table["mean"].notna().all()
    assert "On rte the best merge, chosen on select" in (results / "report.html").read_text()
    costs = pd.read_csv(results / "tables" / "cost.csv").set_index("system")
    assert (costs.drop("majority")["latency_p50_seconds"] > 0).all()


def test_the_tables_numbers_can_be_made_again_from_the_predictions(finished):
    results, _, _ = finished
    assert check(results) == 8


def test_what_is_done_is_not_done_again_and_a_changed_option_runs_what_depends_on_it(finished):
    _, config, values = finished
    assert "Nothing to be done" in snakemake(config.parent, config).stdout
    changed = json.loads(json.dumps(values))
    changed["systems"]["merge"]["theseus"]["strengths"] = [0, 2]
    other = config.with_name("changed.json")
    other.write_text(json.dumps(changed))
    said = snakemake(config.parent, other, "--dry-run", "--printshellcmds").stdout
    programs = set(re.findall(r"python -m workflow_scripts\.(\w+)", said))
    assert "make_systems" in programs and not programs & {"finetune_model", "tokenize_task"}
    assert re.findall(r"workflow_scripts\.make_systems .*--task (\w+) --seed (\w+)", said) == [("rte", "0")]


def test_the_command_line_tells_what_became_of_it(finished):
    _, config, _ = finished
    status = [sys.executable, "-m", "graft", "status"]
    done = subprocess.run(status, cwd=config.parent, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0 and "8 runs: 8 done" in done.stdout, done.stderr
