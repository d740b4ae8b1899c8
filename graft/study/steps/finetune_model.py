"""Fine-tune a model on a task with one seed.

Fine-tunings that start from a merge or a head (`budget_model`, `warm_start`) are separate steps, so that changing a
merge's grid re-runs no other fine-tuning.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from graft.config.models import FineTuning
from graft.config.systems import DistilSystem, LoraSystem, MemberSystem, TrialSystem, WeakToStrongSystem
from graft.flops.one_shape import parameters
from graft.study.grid import Grid
from graft.study.grid_systems import TRIAL
from graft.study.sizes import Sizes
from graft.study.steps.job import Job
from graft.study.steps.models import TOKENIZER, weights
from graft.study.steps.passes import classifier_pass, epoch, epochs
from graft.study.steps.step import NUMBER, RECIPE, Making, Step, Work, hash_of
from graft.study.steps.tokenize_task import tokens, tokens_for

_RECIPE = 4
# The draw of the adapters no longer comes after a draw of all weights.
_LORA_RECIPE = 4


@dataclass(frozen=True)
class Tuning(Making):
    """A fine-tuning of the system's model."""

    recipe: ClassVar[int] = RECIPE

    def job(self, grid: Grid) -> Job:
        return Job.of(self.rule, vars(self))

    def loads(self, grid: Grid) -> list[Making]:
        return self.others(grid)

    def others(self, grid: Grid) -> list[Making]:
        """The systems that it starts from, or learns from."""
        return [FinetuneModel(self.task, *other) for other in grid.built_on(self.task, self.spec(grid), self.seed)]

    def inputs(self, grid: Grid) -> list[Step]:
        spec = self.spec(grid)
        trials = [] if isinstance(spec.settings, TrialSystem) else grid.trials(self.task, spec.model)
        own = [weights(grid, spec.model), tokens(grid, self.task, spec.model)]
        return [*own, *(FinetuneModel(self.task, *trial) for trial in trials), *self.others(grid)]

    def hashed(self, grid: Grid) -> str:
        spec = self.spec(grid)
        if isinstance(spec.settings, TrialSystem):
            tried = grid.study.models[spec.model].finetune[self.task].with_choice(**spec.settings.model_dump())
            return _hashed(grid, self.task, spec.model, tried, self.seed)
        own = plain(grid, self.task, spec.model, self.seed)
        if spec.settings is None:
            return own
        inputs = [other.fingerprint(grid) for other in self.others(grid)]
        # What it starts from is among `others`; each number of optimizer steps is a separate system.
        settings = spec.settings.model_dump(exclude={"merge", "head", "steps"})
        recipe = _LORA_RECIPE if isinstance(spec.settings, LoraSystem) else self.recipe
        seen = [] if spec.labels is None else [spec.labels]
        return hash_of(type(spec.settings).__name__, settings, spec.steps or None, own, *inputs, *seen, recipe=recipe)

    def depends_on(self, grid: Grid) -> str:
        spec = self.spec(grid)
        shared = isinstance(spec.settings, None | TrialSystem | MemberSystem)
        own = "" if shared else f"systems.{self.system.removeprefix(f'{TRIAL}.').split('.')[0]}, "
        return f"{own}models.{spec.model}.finetune.{self.task}, tasks.{self.task}.metrics (the first), launch, the seed"

    def kind(self, grid: Grid) -> str:
        return f"fine-tuning {grid.study.models[self.spec(grid).model].role}"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        train, select, *teacher = self.flops(sizes)
        yield Work(f"{self.name}/train", train, "training")
        yield Work(f"{self.name}/select", select)
        yield from (Work(f"{self.name}/teacher", flops) for flops in teacher)

    def flops(self, sizes: Sizes) -> list[int]:
        """FLOPs of training, of the choice on `select`, and, if there is a teacher, of its forward passes."""
        grid, spec = sizes.grid, self.spec(sizes.grid)
        sizes = sizes.seeing(spec.labels)
        passes, settings = epochs(sizes, self.task, spec.model), spec.settings
        adapters = settings if isinstance(settings, LoraSystem) else None
        train, _ = epoch(sizes, self.task, spec.model, adapters)
        select = classifier_pass(sizes, self.task, "select", spec.model, adapters)
        if isinstance(settings, LoraSystem | TrialSystem):
            passes = settings.epochs or passes
        if not isinstance(settings, DistilSystem | WeakToStrongSystem):
            return [passes * train, passes * select]
        rows = len(sizes.task(self.task).tokens["train"])
        shown = min(getattr(settings, "rows", None) or rows, rows)
        answers = classifier_pass(sizes, self.task, "train", grid.systems[spec.parent].model, reads_as=spec.model)
        return [passes * train * shown // rows, passes * select, answers * shown // rows]

    def bytes(self, sizes: Sizes) -> int:
        spec = self.spec(sizes.grid)
        return 0 if spec.kind == TRIAL else classifier_bytes(sizes, self.task, spec.model)


class FinetuneModel(Tuning):
    rule = "finetune_model"


def plain(grid: Grid, task: str, model: str, seed: int | str) -> str:
    """Fingerprint of a model's plain fine-tuning."""
    settings = grid.study.models[model].finetune[task]
    own = _hashed(grid, task, model, settings, seed)
    return hash_of("finetune", own, settings.grid.model_dump(), recipe=_RECIPE) if settings.grid else own


def classifier_bytes(sizes: Sizes, task: str, model: str) -> int:
    """Bytes of a saved classifier of a model's shape, tokenizer included."""
    return NUMBER * parameters(sizes.shape(model), sizes.grid.row(task).outputs) + TOKENIZER


def _hashed(grid: Grid, task: str, model: str, settings: FineTuning, seed: int | str) -> str:
    primary = grid.row(task).primary_metric
    inputs = [tokens_for(grid, task, model), weights(grid, model).fingerprint(grid), grid.study.launch.of_finetuning()]
    return hash_of("finetune", settings.model_dump(exclude={"grid"}), primary, seed, *inputs, recipe=_RECIPE)
