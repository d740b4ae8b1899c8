"""Run a merged body at every strength over the fit rows and `select`, once for all of its heads."""

from collections.abc import Iterator
from dataclasses import dataclass

from graft.merging.facts import Weights
from graft.registry import methods
from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.calibrate import Calibrate, some_texts
from graft.study.steps.embed_task import EmbedTask
from graft.study.steps.finetune_model import FinetuneModel, plain
from graft.study.steps.job import Job
from graft.study.steps.locate_tokens import pair_tokens
from graft.study.steps.models import weights
from graft.study.steps.passes import encoder_flops, encoder_pass, fit_lengths
from graft.study.steps.step import NUMBER, STATES, Step, Work, hash_of

_RECIPE = 4


@dataclass(frozen=True)
class Sweep(Step):
    task: str
    merge: str
    pair: str
    seed: int | str

    rule = "sweep"
    made = "sweeps/{task}/{merge}/{pair}/seed-{seed}/manifest.json"
    place = "{task}/{merge}.{pair}/seed-{seed}"
    files = STATES
    temporary = True
    work_kind = "sweeps"

    def job(self, grid: Grid) -> Job:
        return job_of(grid, self.task, self.merge, self.seed)

    @property
    def name(self) -> str:
        """Prefix of the names of its parts of work."""
        return f"sweep.{self.merge}.{self.pair}/{self.task}/seed-{self.seed}"

    def shares(self, grid: Grid) -> object:
        return maps_of(grid, self.merge, self.pair)

    def inputs(self, grid: Grid) -> list[Step]:
        tuned = grid.tuned_on(self.task, self.merge), f"finetune.{grid.pair(self.pair).small}", self.seed
        return [
            FinetuneModel(*tuned),
            *parts(grid, self.task, self.pair),
            *moments(grid, self.task, self.pair, self.merge),
        ]

    def hashed(self, grid: Grid) -> str:
        merge, pair = grid.merges[self.merge], grid.pair(self.pair)
        inputs = [plain(grid, grid.tuned_on(self.task, self.merge), pair.small, self.seed)]
        inputs += [EmbedTask(self.task, pair.large).fingerprint(grid)]
        inputs += [step.fingerprint(grid) for step in moments(grid, self.task, self.pair, self.merge)]
        if "texts" in methods.facts(merge.method).needs:
            inputs += grid.calibration_text().values()
        settings = [merge.method, merge.options.values(), merge.change, merge.settings.fit_rows]
        settings += [merge.options.recipe] if merge.options.recipe else []
        return hash_of("sweep", *settings, *inputs, recipe=_RECIPE)

    def depends_on(self, grid: Grid) -> str:
        return f"systems.merge.{self.merge}: method, its options, fit_rows"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        (small, large), tried = sizes.shapes(self.pair), moved(sizes, self.merge, self.seed)
        merge, name = sizes.grid.merges[self.merge], self.name
        assert isinstance(merge.options, Weights)
        wanted = merge.options.text_tokens
        read = int(some_texts(sizes, self.task, self.pair, wanted).sum()) if wanted else 0
        cost = merge.options.flops(small, large, read)
        yield Work(f"{name}/prepare", cost.prepare, "closed form")
        yield Work(f"{name}/apply", tried * cost.apply, "closed form")
        fit = fit_lengths(sizes, self.task, self.pair, sizes.grid.merges[self.merge].settings.fit_rows)
        reader = sizes.grid.pair(self.pair).large
        yield Work(f"{name}/fit", tried * encoder_flops(large, fit))
        yield Work(f"{name}/select", tried * encoder_pass(sizes, self.task, large, reader, "select"))

    def bytes(self, sizes: Sizes) -> int:
        fit = fit_lengths(sizes, self.task, self.pair, sizes.grid.merges[self.merge].settings.fit_rows)
        rows = len(fit) + len(sizes.task(self.task).tokens["select"])
        width = sizes.shape(sizes.grid.pair(self.pair).large).width
        return NUMBER * rows * moved(sizes, self.merge, self.seed) * width


def job_of(grid: Grid, task: str, merge: str, seed: int | str) -> Job:
    """The job of a merge's steps; with a model of another task, that of systems made of several tasks' fine-tunings.

    In the group of its task and seed it would wait for the other task's group, which may wait for it.
    """
    rule = "make_systems" if grid.tuned_on(task, merge) == task else "make_multitask"
    return Job.of(rule, {"task": task, "seed": seed})


def parts(grid: Grid, task: str, pair: str) -> list[Step]:
    """The steps that every merge of a pair reads, apart from the fine-tuned small model."""
    spec = grid.pair(pair)
    models = [weights(grid, spec.large), weights(grid, spec.small)]
    return [*models, *pair_tokens(grid, task, spec), EmbedTask(task, spec.large)]


def maps_of(grid: Grid, merge: str, pair: str) -> object:
    """Key of the maps between a pair's models, which a merge shares with its shuffled and random control."""
    return merge.removeprefix(f"{grid.merges[merge].change}."), pair


def moments(grid: Grid, task: str, pair: str, merge: str) -> list[Step]:
    """The calibration that a merge reads, if its method needs one."""
    depth = grid.merges[merge].depth
    return [Calibrate(task, pair, depth)] if depth else []


def moved(sizes: Sizes, merge: str, seed: int | str) -> int:
    """Number of strengths other than 0."""
    return sum(strength != 0 for strength in sizes.grid.merges[merge].options.grid(seed))
