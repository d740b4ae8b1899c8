import pandas as pd

from graft.config.study import parse
from graft.reporting.warm_start import curves
from graft.study.grid import Grid

PAIR = "small-into-large"


def test_curves_begin_at_the_starts_and_tell_what_is_left_where_the_small_model_exists(study_config, compare):
    study_config["systems"]["warm-start"] = {"merge": "spacewise", "steps": [10, 5]}
    grid = Grid(parse(study_config | {"exclude": ["stsb/*", "sst2/*"]}))
    flops = {"finetune.small": 100, f"merge.spacewise.labelled.{PAIR}": 170}
    rows = [
        {
            "task": run.task,
            "system": run.system.name,
            "state": "done",
            "seed": run.seed,
            "value": 0.5 + 0.1 * (run.seed == 1),
            "train_flops": flops.get(run.system.name, 190 if run.system.steps else 20),
            "train_flops_shared": 1.0,
            "inference_flops": 1,
            "parameters": 1,
            "select_value": 0.5,
            "degenerate": False,
        }
        for run in grid.runs
    ]
    table = curves(compare(pd.DataFrame(rows), grid.study), grid)
    assert set(table["task"]) == {"rte"} and set(table["merge"]) == {f"spacewise.labelled.{PAIR}"}
    found = {(row.arm, row.steps): row for row in table.itertuples()}
    assert list(found) == [
        *(("random-head", steps) for steps in (10, 5)),
        *((arm, steps) for arm in ("closed-form-head", "merged", "shuffled") for steps in (0, 10, 5)),
    ]
    assert found["merged", 0].train_flops == 170 and found["merged", 0].without_small == 70
    assert found["merged", 5].without_small == 90 and found["shuffled", 5].without_small == 90
    assert found["random-head", 5].without_small == found["random-head", 5].train_flops == 190
    assert found["closed-form-head", 0].n_seeds == 1 and found["merged", 5].n_seeds == 2
