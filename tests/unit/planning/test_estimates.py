from dataclasses import replace

import pytest

from graft.config.launch import Launch
from graft.config.study import parse
from graft.planning import estimates
from graft.planning.estimates import Estimates, minutes, rates_of
from graft.planning.sizes import sizes_of
from graft.registry.rates import CPU, Rates, of_gpu
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.finetune_model import FinetuneModel
from graft.study.steps.merge_models import MergeModels
from tests.conftest import study_values


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / "results" / "s")


@pytest.fixture
def values(pico_glue, pico_models):
    return study_values(pico_glue, pico_models)


def test_rates_are_those_of_a_name_or_as_measured_or_of_this_machine(paths, monkeypatch):
    monkeypatch.setattr(estimates.machine, "gpu", lambda: "l4")
    assert rates_of(Launch(device="cpu"), paths) == CPU
    assert rates_of(Launch(), paths) == of_gpu("l4") and rates_of(Launch(), paths, "cpu") == CPU
    monkeypatch.setattr(estimates.machine, "gpu", lambda: None)
    assert rates_of(Launch(threads=2), paths) == CPU.of_threads(2)
    assert rates_of(Launch(device="cuda"), paths) == of_gpu("a100")
    measured = Rates("mine", "cpu", "measured", {"inference": {8: 1.0}}, 1.0)
    measured.write(estimates.measured_rates(paths))
    assert rates_of(Launch(), paths) == measured and rates_of(Launch(), paths, "h200") == of_gpu("h200")


def test_training_is_in_the_precision_of_the_study_or_the_machine(values, paths, monkeypatch):
    monkeypatch.setattr(estimates.machine, "cpu_precision", lambda: "fp32")

    def training(precision, rates):
        values["launch"] = {"precision": precision}
        return Estimates(sizes_of(Grid(parse(values)), paths), rates).training

    assert [training("auto", rates) for rates in (CPU, of_gpu("l4"))] == ["training fp32", "training bf16"]
    assert training("bf16", CPU) == "training bf16"


def test_every_seed_takes_as_long_and_saving_takes_its_time(values, paths):
    sizes = sizes_of(Grid(parse(values)), paths)
    one, slow = Estimates(sizes, CPU), Estimates(sizes, replace(CPU, saving=1.0))
    first, second = (FinetuneModel("rte", "finetune.large", seed) for seed in (0, 1))
    assert one.of(first) == one.of(second)
    flops, seconds = slow.of(first)
    assert flops == one.of(first)[0] and seconds > first.bytes(sizes)


def test_what_is_trained_beside_a_large_model_is_small(values, paths):
    values["systems"] = {"probe": {"pooling": ["mean"]}, "merge": {"side_tuning": {}}}
    grid = Grid(parse(values))
    step = next(step for step in graph.of_study(grid) if isinstance(step, MergeModels) and step.spec(grid).merge)
    assert [estimates._model(step, grid, mode) for mode in ("training", "inference")] == ["small", "large"]
    assert estimates._model(FinetuneModel("rte", "finetune.small", 0), grid, "inference") == "small"


def test_a_job_is_given_more_minutes_than_it_should_take(values, paths):
    values["launch"] = {"device": "cpu"}
    grid = Grid(parse(values))
    Rates("slow", "cpu", "", {"inference": {12: 1e6}, "training": {12: 1e6}, "closed form": {12: 1e6}}, 1.0).write(
        estimates.measured_rates(paths)
    )
    made = Estimates(sizes_of(grid, paths), rates_of(grid.study.launch, paths))
    for job, steps in graph.jobs_of(grid).items():
        assert minutes(grid, paths, job) >= 10 + 3 * made.seconds(steps) / 60
    step = next(step for step in graph.of_study(grid) if step.rule == "embed_task")
    assert minutes(grid, paths, step) > 10


def test_a_job_of_unknown_size_has_no_minutes(values, paths):
    values["tasks"]["rte"]["source"] = {"kind": "hub", "repo": "someone/else", "revision": "0" * 40}
    grid = Grid(parse(values))
    found = {job.values[0]: minutes(grid, paths, job) for job in graph.jobs_of(grid) if job.rule == "make_systems"}
    assert found["rte"] is None and found["sst2"] >= 10


def test_jobs_at_the_same_time_are_the_cores_by_their_threads():
    assert [estimates.cores(threads, cores) for threads, cores in ((1, 8), (3, 8), (16, 8))] == [8, 2, 1]
    assert estimates.cores(1, None) >= 1


def test_what_is_left_of_a_job_takes_the_seconds_of_its_steps_once_sizes_are_known(values, paths):
    values["launch"] = {"device": "cpu"}
    grid = Grid(parse(values))
    one, two, *_ = graph.jobs_of(grid).values()
    made = Estimates(sizes_of(grid, paths), rates_of(grid.study.launch, paths))
    found = estimates.seconds(grid, paths, {1: one, 2: two, 3: []}, False)
    assert found == {1: made.seconds(one), 2: made.seconds(two), 3: 0}
    # A cluster's jobs compute on its GPUs, whatever this machine has.
    values["launch"] = {"device": "cuda"}
    on_a_cluster = estimates.seconds(Grid(parse(values)), paths, {1: one}, True)
    assert on_a_cluster and on_a_cluster[1] < found[1]
    values["tasks"]["rte"]["source"] = {"kind": "hub", "repo": "a/b", "revision": "a" * 40}
    hidden = Grid(parse(values))
    assert estimates.seconds(hidden, paths, {1: [FinetuneModel("rte", "finetune.large", 0)]}, False) is None
