import os
import shutil

import pytest
import torch

from graft.compute.stopping import Stopped
from graft.study import working
from graft.study.steps import graph
from graft.study.steps.finetune_model import FinetuneModel
from graft.study.steps.job import Job
from graft.study.steps.merge_models import MergeModels

PAIR = "small-into-large"
LABELLED, TRANSPLANT = (f"merge.theseus.{head}.{PAIR}" for head in ("labelled", "transplant"))


@pytest.fixture
def done(grid_of, paths, before, scribe, job):
    """A finished job of the grid."""
    grid = grid_of()
    before(grid)
    working.work(job, grid, paths, scribe)
    return grid


def test_every_step_is_done_once_and_the_marker_says_so(done, paths, scribe, job):
    assert len(scribe.made) == len(set(scribe.made)) == 7  # a sweep, and three systems with their evaluations
    assert job.marker(paths).is_file()
    scribe.made.clear()
    working.work(job, done, paths, scribe)
    assert scribe.made == []


def test_a_changed_option_does_again_what_depends_on_it_alone(done, grid_of, paths, scribe, job):
    scribe.made.clear()
    working.work(job, grid_of(strengths=[0, 2]), paths, scribe)
    made = but_states(scribe.made)
    assert {one.split()[0] for one in made} == {"sweep", "merge_models", "evaluate"}
    assert all("theseus" in one for one in made) and len(made) == 5


def test_a_fine_tuning_that_was_made_again_is_merged_again(done, paths, scribe, job):
    for path in paths.root.glob("runs/*/*/*/*.json"):
        os.utime(path, (0, 0))
    os.utime(FinetuneModel("rte", "finetune.small", 0).output(paths))
    scribe.made.clear()
    working.work(job, done, paths, scribe)
    assert len(but_states(scribe.made)) == 7


def but_states(made):
    """Without those that did not stay, which snakemake would have made before."""
    return [one for one in made if not one.startswith(("embed_task", "calibrate"))]


def test_a_step_that_fails_fails_alone_and_is_tried_again(grid_of, paths, before, scribe, job, capfd):
    grid = grid_of()
    before(grid)
    failing = f"merge_models rte {LABELLED} 0"
    scribe.faults[failing] = ValueError("moments: not finite")
    with (
        capfd.disabled(),
        pytest.raises(ValueError, match=f"2 of 7 steps failed, first {failing}: moments: not finite"),
    ):
        working.work(job, grid, paths, scribe)
    assert not job.marker(paths).exists() and len(scribe.made) == 6
    log = MergeModels("rte", LABELLED, 0).log(paths).read_text()
    assert log == f"doing {failing}\nmerge_models: moments: not finite\n"
    scribe.faults.clear()
    scribe.made.clear()
    working.work(job, grid, paths, scribe)
    assert scribe.made == [failing, failing.replace("merge_models", "evaluate")]


def test_a_job_that_is_asked_to_stop_tries_no_other_step(grid_of, paths, before, scribe, job, capfd):
    grid = grid_of()
    before(grid)
    stopping = f"merge_models rte {LABELLED} 0"
    scribe.faults[stopping] = Stopped("stopped on request (SIGTERM) at step 3 of 9")
    with capfd.disabled(), pytest.raises(Stopped, match="SIGTERM"):
        working.work(job, grid, paths, scribe)
    assert scribe.made[-1] == stopping and not job.marker(paths).exists()


def test_a_fault_of_our_own_keeps_its_traceback_in_the_steps_log(grid_of, paths, before, scribe, job, capfd):
    grid = grid_of()
    before(grid)
    scribe.faults[f"merge_models rte {LABELLED} 0"] = KeyError("x")
    with capfd.disabled(), pytest.raises(ValueError, match="KeyError: 'x'"):
        working.work(job, grid, paths, scribe)
    assert "Traceback" in MergeModels("rte", LABELLED, 0).log(paths).read_text()


def test_a_kill_loses_one_step(grid_of, paths, before, scribe, job):
    grid = grid_of()
    before(grid)
    scribe.faults[f"evaluate rte {LABELLED} 0"] = SystemExit(143)
    with pytest.raises(SystemExit):
        working.work(job, grid, paths, scribe)
    done = set(scribe.made) - {f"evaluate rte {LABELLED} 0"}
    scribe.faults.clear()
    scribe.made.clear()
    working.work(job, grid, paths, scribe)
    # What a sweep left is deleted once nothing reads it; here its heads still do.
    assert not done & set(scribe.made) and f"evaluate rte {LABELLED} 0" in scribe.made


def test_states_are_inputs_of_a_job_only_while_it_must_read_them(done, grid_of, paths, job):
    def states(grid):
        left = graph.left(graph.of_study(grid), grid, paths)
        return {path.relative_to(paths.root).parts[0] for path in graph.job_reads(grid, paths, job, left)}

    assert states(done) & {"embeddings", "statistics"} == set()
    assert states(grid_of(strengths=[0, 2])) > {"embeddings", "statistics"}
    # What is made again is merged again.
    FinetuneModel("rte", "finetune.small", 0).output(paths).unlink()
    assert states(done) > {"embeddings", "statistics"}


def test_random_numbers_are_those_of_a_new_process(grid_of, paths, before, scribe, job):
    grid, drawn = grid_of(), []
    before(grid)

    def make(step, grid, paths):
        drawn.append(torch.rand(1).item())
        scribe(step, grid, paths)

    working.work(job, grid, paths, make)
    fresh = torch.rand(1, generator=torch.Generator()).item()
    assert len(drawn) == 7 and set(drawn) == {fresh}


def test_a_model_that_was_not_kept_is_made_again_and_its_record_stays(done, paths, scribe):
    step = MergeModels("rte", TRANSPLANT, 0)
    build, text = step.output(paths), step.output(paths).read_bytes()
    made_at = build.stat().st_mtime_ns
    shutil.rmtree(step.model(paths))
    scribe.made.clear()
    working.provide(step, done, paths, scribe, model=True)
    assert (step.model(paths) / "m").is_file()
    assert build.read_bytes() == text and build.stat().st_mtime_ns == made_at
    # The states that it is made of were not kept either.
    assert [made.split()[0] for made in scribe.made] == ["calibrate", "sweep", "merge_models"]


def test_a_model_that_comes_out_differently_is_refused(done, paths, scribe):
    step = FinetuneModel("rte", "lora.large", 0)
    shutil.rmtree(step.model(paths))
    scribe.salt = "other hardware"
    with pytest.raises(ValueError, match="made again on a, it is not the model that was recorded .made on a.; its rec"):
        working.provide(step, done, paths, scribe, model=True)
    assert not step.output(paths).exists()


def test_a_fine_tuning_of_several_processes_is_not_made_again_by_one(grid_of, paths, before, scribe):
    grid = grid_of(launch={"gpus": 2})
    before(grid)
    step = FinetuneModel("rte", "lora.large", 0)
    shutil.rmtree(step.model(paths))
    with pytest.raises(
        ValueError, match="made by 2 process.es., not by 1; make it again by `python -m graft build pico rte lora"
    ):
        working.provide(step, grid, paths, scribe, model=True)


def test_of_several_processes_the_first_alone_evaluates(grid_of, paths, before, scribe, monkeypatch):
    grid = grid_of(launch={"gpus": 2})
    monkeypatch.setenv("RANK", "1")
    working.work(Job.of("finetune_model", {"task": "rte", "system": "lora.large", "seed": 0}), grid, paths, scribe)
    assert scribe.made == ["finetune_model rte lora.large 0"]
    assert not paths.jobs.exists()
