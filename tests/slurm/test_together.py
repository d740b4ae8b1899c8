"""What belongs to one task and seed is submitted together, where a failure hides no other step."""

import pandas as pd

from tests.conftest import study_values
from tests.slurm.conftest import Study

BROKEN = "merge.interpolate.small-into-large"


def test_one_step_fails_and_the_others_of_its_job_do_not(cluster, pico_glue, pico_models, tmp_path):
    values = study_values(
        pico_glue,
        pico_models,
        seeds=1,
        include=["sst2/merge.interpolate*", "sst2/control.head-only*", "sst2/majority/*"],
        launch={"device": "cpu"},
        cost={"measure": False},
    )
    study = Study(tmp_path, values)
    # A file where a step must put a folder.
    model = study.results / f"runs/sst2/{BROKEN}/seed-0/model"
    model.parent.mkdir(parents=True)
    model.touch()
    told = study.run("--retries", "0", well=False)
    runs = {path.parts[-3] for path in study.results.glob("runs/sst2/*/*/run.json")}
    assert len(runs) > 2 and "majority" in runs and BROKEN not in runs, told[-3000:]
    # One for the seed, one for what all seeds share.
    assert len(study.calls.read_text().splitlines()) == 2
    table = pd.read_csv(study.results / "tables/runs.csv")
    assert {*table["system"][table["state"] == "done"]} == runs
