"""Which labels merges see, in a pico study that is made step by step in this process."""

import itertools
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from graft.config.study import parse
from graft.encoders.models import load_classifier, load_encoder
from graft.io import files
from graft.making import merges
from graft.making.merges import remembered
from graft.making.pair_inputs import PairInputs
from graft.merging.heterogeneous.spacewise.maths import Spacewise
from graft.merging.heterogeneous.theseus.maths import Theseus
from graft.registry import methods
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.merge_models import MergeModels
from tests.conftest import study_values
from tests.unit.programs import run

TASK, PAIR = "rte", "small-into-large"
OTHER = "sst2"  # the next task
WRONG_AND_RIGHT = ("wrong-task.spacewise", "spacewise")


@pytest.fixture(scope="module")
def grid(pico_glue, pico_models):
    """A study with every method of kind weights, each under one head without labels, and controls."""
    heads = itertools.cycle([head] for head in methods.HEADS if head != "labelled")
    found = {}
    for name, facts in methods.table("weights").items():
        found[name] = {"strengths": [0, 1]} if "strengths" in facts.known() else {"trials": 3}
        found[name] |= {"fit_rows": 64, "heads": next(heads)} if facts.heads else {}
    control = {"head-only": {"fit_rows": 64}, "shuffled": {"of": ["spacewise"]}, "wrong-task": {"of": ["spacewise"]}}
    systems = {"merge": found, "control": control, "oracle": {"of": ["theseus"]}}
    # One process has one precision for good (accelerate), and the tests of training have this one.
    values = study_values(pico_glue, pico_models, seeds=[0], systems=systems, launch={"precision": "fp32"})
    for model, task in (("small", TASK), ("small", OTHER), ("large", TASK)):
        values["models"][model]["finetune"][task]["epochs"] = 1
    return Grid(parse(values))


def test_what_was_used_last_is_remembered():
    memo, made = {}, []
    for key in "abacab":
        assert remembered(memo, key, 2, lambda key=key: made.append(key) or key * 2) == key * 2
    assert made == list("abcb") and list(memo) == ["a", "b"]


def test_controls_share_the_maps_of_their_merge_and_give_what_they_give_alone(grid, made, monkeypatch):
    fitted, fit = [], Spacewise.fit_maps
    monkeypatch.setattr(Spacewise, "fit_maps", lambda self, parts: fitted.append(parts) or fit(self, parts))
    inputs = PairInputs(grid, made[0], TASK, PAIR, 0, "cpu")

    def found():
        return {merge: merges.bodies(inputs, merge)[0](1.0) for merge in ("spacewise", "shuffled.spacewise")}

    monkeypatch.setattr(merges, "_MAPS", {})
    together = found()
    assert len(fitted) == 1
    assert merges.bodies(inputs, "shuffled.spacewise") is merges.bodies(inputs, "shuffled.spacewise")
    alone = {}
    for merge in together:
        merges._MAPS.clear()
        merges._BODIES.clear()
        alone[merge] = merges.bodies(inputs, merge)[0](1.0)
    assert len(fitted) == 3
    for merge, body in together.items():
        assert all(torch.equal(tensor, alone[merge][name]) for name, tensor in body.items())


def test_theseus_maps_are_fitted_by_one_process_and_read_by_the_others(grid, made, monkeypatch):
    fitted, fit = [], Theseus.fit_maps
    monkeypatch.setattr(Theseus, "fit_maps", lambda self, parts: fitted.append(parts) or fit(self, parts))
    inputs = PairInputs(grid, made[0], TASK, PAIR, 0, "cpu")
    for path in made[0].root.glob("statistics/**/maps-*.pt"):
        path.unlink()  # of other tests
    bodies = []
    for _ in range(2):  # as in two processes
        monkeypatch.setattr(merges, "_MAPS", {})
        monkeypatch.setattr(merges, "_BODIES", {})
        bodies.append(merges.bodies(inputs, "theseus")[0](1.0))
    assert len(fitted) == 1 and len(list(made[0].root.glob("statistics/**/maps-*.pt"))) == 1
    assert all(torch.equal(tensor, bodies[1][name]) for name, tensor in bodies[0].items())


def merging(grid, labels):
    """Steps that make merges: of systems that see labels of train, or of the others."""
    systems = [s for s in grid.systems.values() if s.program == "merge" and (s.label_use == "train") == labels]
    return [MergeModels(TASK, s.name, 0 if s.seeded else "all") for s in systems]


@pytest.fixture(scope="module")
def made(grid, tmp_path_factory):
    """Paths of the study with all that merges read; and of a copy of it in which labels of train stand in another
    order and nothing of report is left."""
    found = [Paths(tmp_path_factory.mktemp(name) / "pico") for name in ("as-it-is", "shuffled")]
    files.write_json(found[0].study, grid.study.model_dump(mode="json", by_alias=True))
    for step in graph.with_inputs(grid, [*merging(grid, labels=False), *merging(grid, labels=True)]):
        if step.rule not in ("sweep", "merge_models"):
            run(grid, found[0], step)
    shutil.copytree(found[0].root, found[1].root)
    path = found[1].data(TASK) / "train.parquet"
    table = pd.read_parquet(path)
    table["label"] = np.random.default_rng(0).permutation(table["label"])
    table.to_parquet(path)
    for file in [*found[1].data(TASK).glob("report*"), *found[1].tokens(TASK, "large").glob("report*")]:
        file.unlink()
    return found


def build(grid, paths, step):
    """The outcome of a merge: the sha256 of the model, and its search."""
    for needed in graph.with_inputs(grid, [step]):
        if needed.rule in ("sweep", "merge_models") and not needed.output(paths).exists():
            run(grid, paths, needed)
    record = files.read_json(step.output(paths))
    return {name: record[name] for name in ("model_sha256", "choices", "select")}


def test_merges_without_labels_of_train_depend_on_none_and_no_merge_reads_report(grid, made):
    found = merging(grid, labels=False)
    assert {grid.systems[step.wildcards[1]].method for step in found} >= set(grid.study.systems.merge)
    for step in found:
        one, other = (build(grid, paths, step) for paths in made)
        assert one == other, step


def test_labelled_heads_depend_on_them_alone(grid, made):
    found = merging(grid, labels=True)
    assert all(grid.systems[step.wildcards[1]].head == "labelled" for step in found)
    for step in found:
        one, other = (build(grid, paths, step) for paths in made)
        assert one["model_sha256"] != other["model_sha256"], step


def test_a_control_with_its_merges_strength_tries_no_other(grid, made):
    name, head = "control.shuffled.spacewise.{}.{}" + PAIR, grid.study.systems.merge["spacewise"].heads[0]
    found = [MergeModels(TASK, name.format(head, part), 0) for part in ("same-strength.", "")]
    found += [MergeModels(TASK, f"merge.spacewise.{head}.{PAIR}", 0)]
    for step in found:
        build(grid, made[0], step)
    same, own, merged = (files.read_json(step.output(made[0])) for step in found)
    strength = merged["choices"][0]["chosen"]
    assert same["hyperparameters"]["strength"] == strength and same["hyperparameters"]["strength_of"] == found[2].system
    (ridge,) = same["choices"]
    scores = {tried["ridge"]: tried["score"] for tried in own["choices"][0]["searched"] if tried["value"] == strength}
    assert {tried["value"]: tried["score"] for tried in ridge["searched"]} == scores
    assert same["train_flops_parts"].items() >= merged["train_flops_parts"].items()


def test_a_merge_of_a_wrong_task_carries_the_small_model_of_that_task(grid, made):
    wrong, right = (PairInputs(grid, made[0], TASK, PAIR, 0, "cpu").parts(key) for key in WRONG_AND_RIGHT)
    tuned = load_classifier(made[0].run(OTHER, "finetune.small", 0) / "model").bert.state_dict()
    assert all(torch.equal(wrong.small_finetuned[name], tensor) for name, tensor in tuned.items())
    assert any(not torch.equal(right.small_finetuned[name], tensor) for name, tensor in tuned.items())
    assert torch.equal(wrong.moments["embeddings.cross"], right.moments["embeddings.cross"])
    step = MergeModels(TASK, f"control.wrong-task.spacewise.labelled.{PAIR}", 0)
    build(grid, made[0], step)
    parts = files.read_json(step.output(made[0]))["train_flops_parts"]
    assert f"finetune.small/{OTHER}/seed-0/train" in parts and f"finetune.small/{TASK}/seed-0/train" not in parts


def test_an_oracles_merge_at_strength_one_is_nearly_the_fine_tuned_large_model(grid, made):
    body = merges.bodies(PairInputs(grid, made[0], TASK, "large-into-large", 0, "cpu"), "theseus")[0](1.0)
    before = load_encoder(made[0].model("large")).state_dict()
    tuned = load_classifier(made[0].run(TASK, "finetune.large", 0) / "model").bert.state_dict()
    # Not carried: directions in which pre-trained activations do not vary, one after a LayerNorm, many in wider layers.
    for name in (name for name in body if name.endswith(("self.query.weight", "attention.output.dense.weight"))):
        moved = (tuned[name] - before[name]).norm()
        assert moved > 0 and (body[name] - tuned[name]).norm() < 0.5 * moved, name
