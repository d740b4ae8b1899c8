import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graft.config.models import PretrainingOptions
from graft.config.study import TRIAL_SEEDS, load, parse
from graft.flops.counts import masked_lm_flops
from graft.planning import estimates
from graft.planning.plan import KINDS, plan
from graft.planning.sizes import sizes_of
from graft.registry import rates
from graft.registry.shapes import Shape
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.budget_model import BudgetModel
from graft.study.steps.calibrate import Calibrate
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.finetune_model import FinetuneModel
from graft.study.steps.merge_models import MergeModels
from graft.study.steps.models import DownloadModel, InitialiseModel, PretrainModel, batches_of_all_steps
from graft.training.unlabelled import length_batches
from tests.conftest import VOCABULARY, study_values, with_other_small

ROOT = Path(__file__).parents[3]
A100 = rates.of_gpu("a100")
WITHOUT_TORCH = """
import sys
sys.argv = ["graft", "plan", *sys.argv[1:]]
from graft.cli.main import main
try:
    main()
finally:
    print(*({"torch", "transformers", "datasets", "huggingface_hub"} & set(sys.modules)), file=sys.stderr)
"""


def test_texts_without_labels_are_planned_in_the_batches_that_they_are_learned_in():
    """As many as fill more than one window."""
    lengths = np.random.default_rng(0).integers(3, 60, 8 * 60)
    options = PretrainingOptions(batch_size=8, steps=60)
    planned = batches_of_all_steps(lengths, options, np.random.default_rng(1))
    order = np.random.default_rng(1).permutation(len(lengths)).tolist()
    learned = length_batches([([1] * n, [0] * n) for n in lengths], order, 8)
    assert sorted(int(lengths[rows].max()) for rows in planned) == sorted(b["input_ids"].shape[1] for b in learned)


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / "results" / "s")


@pytest.fixture
def values(pico_glue, pico_models):
    return study_values(pico_glue, pico_models)


def test_the_default_study_is_planned_without_torch(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, "\n")
    assert "glue: the whole study from scratch" in done.stdout and "unknown" not in done.stdout


def test_the_default_study_is_known_whole(paths):
    found = plan(Grid(load(ROOT / "config.yaml")), paths, A100)
    assert found.unknown == [] and all(total.unknown == 0 for total in found.kinds)
    assert [total.kind for total in found.kinds] == [kind for kind in KINDS if kind != "distillation"]
    by_kind = {total.kind: total for total in found.kinds}
    # Fine-tuned, by adapters, by the small model's answers; the small one twice, and two of its shape; five members of
    # soups per task; on all tasks together; and with six fractions of the steps from either head, at three rates first.
    budget = 12 * (36 + 3 * 3)
    # With 32, 128 and 512 labels, which RTE's select has not, and with the small model's answers alone.
    few = 12 * (3 + 3 + 2) + 36
    assert by_kind["fine-tuning large"].steps == 3 * 36 + 3 * 5 + 12 + budget + few
    assert by_kind["fine-tuning small"].steps == 4 * 36
    assert by_kind["pre-training"].steps == 1
    # Seeds of tasks, members and encoders of several tasks go out together; few jobs go alone.
    assert 36 < found.submissions < 80 < sum(found.jobs.values())


def test_a_budget_point_is_its_fraction_of_the_fine_tuning_and_one_pass_over_select(paths):
    grid = Grid(load(ROOT / "config.yaml"))
    sizes = sizes_of(grid, paths)
    for task in grid.study.tasks:
        train, select = (work.flops for work in FinetuneModel(task, "finetune.bert-base", 0).work(sizes))
        name = "budget.new.1-8.bert-base"
        point, trial = BudgetModel(task, name, 0), BudgetModel(task, f"trial.{name}.rate-4", TRIAL_SEEDS)
        own, scored = (work.flops for work in point.work(sizes))
        assert own == pytest.approx(train / 8, rel=0.01)
        assert scored * grid.study.models["bert-base"].finetune[task].epochs == select
        assert [work.flops for work in trial.work(sizes)] == [own, scored]
        assert point.bytes(sizes) > 0 == trial.bytes(sizes)


def test_the_default_study_fits_on_a_disk(paths):
    """36 fine-tunings of 438 MB stay, and so does one merge per task."""
    found = plan(Grid(load(ROOT / "config.yaml")), paths, A100).disk
    assert found.whole and 36 * 438e6 < sum(found.left.values()) < 30e9 < sum(found.peak.values()) < 60e9
    assert found.cache == pytest.approx(0.5e9, rel=0.02)


def test_time_is_of_the_rates_of_the_kind_of_work_and_the_width(values, paths):
    slow = {kind: {12: 1e6, 24: 4e6} for kind in ("training bf16", "inference", "closed form")}
    machine = rates.Rates("a machine", "cuda", "made up", slow, 1e30)
    whole = {}
    for faster in (1, 10):
        flops = {**slow, "training bf16": {12: faster * 1e6, 24: faster * 4e6}}
        found = plan(Grid(parse(values)), paths, replace(machine, flops=flops))
        whole[faster] = {total.kind: total for total in found.kinds}
    embedding, large = whole[1]["embedding"], whole[1]["fine-tuning large"]
    # Both models of a pair are embedded, at their own rates.
    beside = estimates._BESIDE * embedding.steps
    assert embedding.flops / 4e6 < embedding.seconds - beside < embedding.flops / 1e6
    assert large.seconds == pytest.approx(large.flops / 4e6 + estimates._BESIDE * large.steps, rel=1e-6)
    assert whole[10]["embedding"] == embedding
    assert whole[10]["fine-tuning large"].seconds < 0.2 * large.seconds


def test_many_machines_take_as_long_as_the_longest_chain(values, paths):
    one, two, many = (plan(Grid(parse(values)), paths, A100, machines).time for machines in (1, 2, 1000))
    # A job forked from one that has imported what it needs starts faster than one on a cluster's node.
    assert one.wall == one.work and two.wall == two.work / 2 and two.work == one.work
    assert many.wall == many.longest < two.wall
    here, there = (plan(Grid(parse(values)), paths, rates.CPU, machines, cores=4).time for machines in (1, 2))
    assert (here.at_once, there.at_once) == (4, 8) and here.start < there.start


def test_what_is_unknown_is_counted_and_told_and_the_rest_is_planned(values, paths):
    values["tasks"]["rte"]["source"] = {"kind": "hub", "repo": "someone/else", "revision": "0" * 40}
    found = plan(Grid(parse(values)), paths, A100)
    assert found.unknown == ["task rte: rows and lengths of someone/else; known after `snakemake data`"]
    by_kind = {total.kind: total for total in found.kinds}
    assert (by_kind["fine-tuning large"].steps, by_kind["fine-tuning large"].unknown) == (6, 2)
    assert by_kind["fine-tuning large"].flops > 0 and sorted(found.tasks) == ["sst2", "stsb"]


def test_a_step_of_unknown_size_is_not_counted_in_part(values, paths):
    for task in values["tasks"].values():
        task["source"] = {"kind": "hub", "repo": "someone/else", "revision": "0" * 40}
    found = {total.kind: total for total in plan(Grid(parse(values)), paths, A100).kinds}
    assert found["sweeps"].unknown == found["sweeps"].steps and found["sweeps"].flops == 0
    assert found["merging"].unknown == found["merging"].steps and found["merging"].flops == 0


def test_twice_the_seeds_and_epochs_are_four_times_the_fine_tuning(values, paths):
    def flops(values):
        found = plan(Grid(parse(values)), paths, A100)
        return {total.kind: total.flops for total in found.kinds}

    before = flops(values)
    values["seeds"] = 4
    for model in values["models"].values():
        for settings in model["finetune"].values():
            settings["epochs"] *= 2
    after = flops(values)
    assert after["fine-tuning small"] == 4 * before["fine-tuning small"]
    assert after["embedding"] == before["embedding"]


def test_distillation_counts_the_teacher_and_steps(values, paths):
    def flops(**options):
        shape = {"layers": 2, "width": 12, "heads": 4, "ffn": 24}
        source = {"kind": "distilled", "teacher": "large", "shape": shape, "options": options}
        values["models"]["small"] |= {"source": source}
        sizes = sizes_of(Grid(parse(values)), paths)
        (work,) = next(s for s in _steps(values) if s.rule == "distil_model").work(sizes)
        return work.flops

    one, two, four = (flops(steps=n, start="random") for n in (100, 200, 400))
    assert four - two == pytest.approx(2 * (two - one), rel=0.05)


def test_pre_training_counts_steps_and_guesses(values, paths):
    with_other_small(values)
    options = values["models"]["undistilled"]["source"]["options"]

    def flops(**changes):
        options.update(changes)
        sizes = sizes_of(Grid(parse(values)), paths)
        (work,) = PretrainModel("undistilled").work(sizes)
        return work.flops

    few, many = flops(steps=100), flops(steps=400)
    assert many == pytest.approx(4 * few, rel=0.05)
    # A text of pico GLUE has five to nine tokens to guess: 15% of them are one, 30% two or three.
    shape = Shape(2, 12, 2, 24, len(VOCABULARY), positions=64)
    more = (flops(masked=0.3) - many) / masked_lm_flops(shape, 0, 0, 1)
    assert 0.9 * 400 * 8 < more < 2 * 400 * 8


def test_making_models_for_controls_comes_before_what_is_made_of_them(values):
    found = _steps(with_other_small(values))
    at = {step: index for index, step in enumerate(found)}
    assert at[DownloadModel("small")] < at[InitialiseModel("untrained")]
    assert max(at[DownloadTask(task)] for task in values["tasks"]) < at[PretrainModel("undistilled")]
    for model in ("untrained", "undistilled"):
        pair = f"{model}-into-large"
        merging = MergeModels("rte", f"control.other-small.spacewise.labelled.{pair}", 0)
        assert at[Calibrate("rte", pair, "spread")] < at[merging]
        assert not any(step.rule in ("embed_task", "probe") and model in str(step) for step in found)
    assert sum(step.rule == "initialise_model" for step in found) == 1


def _steps(values):

    return graph.of_study(Grid(parse(values)))
