"""What it takes to make a system: every computation from the published checkpoints, once."""

import pytest

from graft.config.study import parse
from graft.io import files
from graft.planning.sizes import sizes_of
from graft.study import accounts
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.making import making
from graft.study.steps.models import DistilModel, PretrainModel
from tests.conftest import study_values, with_other_small
from tests.unit.making.conftest import PAIR
from tests.unit.making.conftest import make as make

MERGE = f"merge.functional.labelled.{PAIR}"
MERGES = {
    "functional": {"strengths": [0, 1, 2], "heads": ["labelled"], "fit_rows": 64, "text_tokens": 300},
    "concat_probe": {"fit_rows": 64, "folds": 2},
}


@pytest.fixture(scope="module")
def study(make):
    """Fine-tuned models and two merges."""
    return make({"merge": MERGES}, ("finetune.*", "merge.*"))


def account(study, system, seed=0):
    return accounts.account(study.grid, study.paths, making(study.grid, study.task, system, seed))


def test_an_account_is_its_parts_as_computed_and_with_padding(study):
    found, built = account(study, "finetune.small"), study.built("finetune.small")
    assert found.parts == built["train_flops_parts"] and found.whole == sum(found.parts.values())
    padded = built["nominal_flops_parts"]
    assert padded.keys() == {"finetune.small/rte/seed-0/train"} and found.pretraining == 0
    name = "finetune.small/rte/seed-0/train"
    assert found.nominal - found.whole == padded[name] - found.parts[name] > 0


def test_of_what_a_system_was_made_of_padding_is_known_too(study):
    for name in (MERGE, f"merge.concat_probe.{PAIR}"):
        found, own = account(study, name), study.built("finetune.small")["nominal_flops_parts"]
        more = own | study.built(name)["nominal_flops_parts"]
        assert found.nominal == sum((found.parts | more).values()) > found.whole
    assert {"merge.concat_probe.small-into-large/rte/seed-0/folds/train"} < more.keys()


def test_the_chosen_strength_is_applied_once_more(study):
    path, name = study.paths.run("rte", MERGE, 0) / "build.json", f"{MERGE}/rte/seed-0/apply"
    original = path.read_text()
    built = study.built(MERGE)
    strength, ridge = built["choices"]
    swept = built["train_flops_parts"][f"sweep.functional.{PAIR}/rte/seed-0/apply"]
    for chosen, times in ((0, 0), (1.0, 1)):
        files.write_json(path, built | {"choices": [strength | {"chosen": chosen}, ridge]})
        assert account(study, MERGE).parts.get(name, 0) == times * swept // 2
    path.write_text(original)
    work = making(study.grid, "rte", MERGE, 0).work(sizes_of(study.grid, study.paths))
    assert {one.name: one.flops for one in work}[name] == pytest.approx(swept / 2, rel=0.1)


def test_a_record_of_an_older_version_is_counted_again_without_its_padding(study):
    """Its batches are drawn again from the same seed."""
    today, padded = account(study, MERGE), study.built("finetune.small")["nominal_flops_parts"]
    assert padded
    for system in ("finetune.small", MERGE):
        built = study.built(system)
        assert built["train_flops_parts"].keys() > padded.keys()
        del built["nominal_flops_parts"]
        built["train_flops_parts"] |= padded
        files.write_json(study.paths.run("rte", system, 0) / "build.json", built)
    assert account(study, MERGE) == today


def test_a_distillation_or_pre_training_is_whole_in_all_that_is_made_of_its_model(pico_glue, pico_models, tmp_path):
    values = with_other_small(study_values(pico_glue, pico_models))
    shape = {"layers": 2, "width": 12, "heads": 2, "ffn": 24}
    source = {"kind": "distilled", "teacher": "large", "shape": shape, "options": {"steps": 20}}
    values["models"]["student"] = {**values["models"]["small"], "source": source, "tokenizer": None}
    values["pairs"] = [{"large": "large", "small": "student"}]
    values["systems"] |= {"lora": {}, "distil": {}, "weak-to-strong": {}}
    grid, paths = Grid(parse(values)), Paths(tmp_path)
    spent = {DistilModel("student"): 1000, PretrainModel("undistilled"): 300}
    for step, flops in spent.items():
        files.write_json(step.output(paths), {"pretraining_flops": flops})
    expected = {
        "finetune.large": {},
        "lora.large": {},
        "finetune.student": {"distil.student": 1000},
        "distil.student-from-large": {"distil.student": 1000},
        "weak-to-strong.student-to-large": {"distil.student": 1000},
        "merge.theseus.labelled.student-into-large": {"distil.student": 1000},
        "control.head-only.labelled.student-into-large": {},
        "control.head-only.transplant.student-into-large": {"distil.student": 1000},
        "finetune.undistilled": {"pretrain.undistilled": 300},
        "control.other-small.spacewise.labelled.undistilled-into-large": {"pretrain.undistilled": 300},
        "majority": {},
    }
    for system, parts in expected.items():
        step = making(grid, "rte", system, 0 if grid.systems[system].seeded else "all")
        files.write_json(
            step.output(paths), {"train_flops_parts": {"own": 5}, "nominal_flops_parts": {}, "choices": []}
        )
        found = accounts.account(grid, paths, step)
        assert found.parts == {"own": 5, **parts} and found.pretraining == sum(parts.values()), system
        assert found.nominal == found.whole == 5 + found.pretraining


def test_shares_of_all_runs_add_up_to_each_part_once():
    every = [{"a": 6, "b": 1}, {"a": 6}, {"a": 6, "c": 2**50}]
    using = {"a": 3, "b": 1, "c": 1}
    assert sum(accounts.shared(parts, using) for parts in every) == 6 + 1 + 2**50
    assert accounts.shared(every[0], using) == 3
