"""FLOPs of each step of a study, from shapes and lengths. Imports no torch."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from graft.config.models import DistilledModel, MaskedModel, PretrainingOptions
from graft.config.systems import (
    DistilSystem,
    FewShotSystem,
    LoraSystem,
    TrialSystem,
    WarmStartSystem,
    WeakToStrongSystem,
)
from graft.encoders.batches import guessed_tokens, padded_lengths, training_batches, unlabelled_window
from graft.flops import counts as count
from graft.flops import same_shape
from graft.merging.composite.facts import Making
from graft.planning.sizes import TaskSizes, Unknown, model_shape, task_sizes
from graft.registry import methods
from graft.registry.depth import SIMILARITY_TOKENS, as_deep, pairs
from graft.registry.shapes import Shape
from graft.study.families import families
from graft.study.grid import Grid
from graft.study.grid_systems import System, same_shape_settings
from graft.study.paths import Paths
from graft.study.steps import TUNING, Step

KINDS = (
    "fine-tuning large",
    "fine-tuning small",
    "distillation",
    "pre-training",
    "embedding",
    "probes",
    "calibration",
    "sweeps",
    "merging",
    "evaluation",
    "measuring",
)
_KIND_OF_RULE = {
    "distil_model": "distillation",
    "pretrain_model": "pre-training",
    "embed_task": "embedding",
    "embed_layers": "embedding",
    "probe": "probes",
    "calibrate": "calibration",
    "sweep": "sweeps",
    "merge_models": "merging",
    "ensemble_models": "evaluation",
    "model_statistics": "calibration",
    "soup_models": "merging",
    "merge_encoders": "merging",
    "multitask_models": "merging",
    "evaluate": "evaluation",
    "measure_cost": "measuring",
}


@dataclass(frozen=True)
class Work:
    """FLOPs of one part of a step, named as in run.json's `train_flops_parts`.

    `mode`: "training" (in `launch.precision`), "inference" (always fp32), or "closed form" (on the CPU, in fp64).
    """

    name: str
    flops: int
    mode: str = "inference"


class Costs:
    """FLOPs of single steps. Unknown sizes raise Unknown, and their messages are collected in `unknown`."""

    def __init__(self, grid: Grid, paths: Paths) -> None:
        self.grid, self.paths = grid, paths
        self.unknown: dict[str, None] = {}

    def kind(self, step: Step) -> str | None:
        """Kind of a step, one of KINDS; None if it does no compute."""
        if step.rule in TUNING:
            return f"fine-tuning {self.grid.study.models[self.grid.systems[step.wildcards[1]].model].role}"
        return _KIND_OF_RULE.get(step.rule)

    @functools.cache  # noqa: B019 - one per plan
    def sizes(self, task: str) -> TaskSizes:
        return self._remembered(task_sizes, task)

    @functools.cache  # noqa: B019
    def shape_and_source(self, model: str) -> tuple[Shape, str]:
        return self._remembered(model_shape, model)

    def _remembered(self, ask: Callable, name: str) -> Any:
        try:
            return ask(self.grid, self.paths, name)
        except Unknown as error:
            self.unknown[str(error)] = None
            raise

    def shape(self, model: str) -> Shape:
        return self.shape_and_source(model)[0]

    def work(self, step: Step) -> list[Work]:
        """FLOPs of a step, in parts."""
        match step.rule, step.wildcards:
            case "distil_model", (model,):
                return [Work(f"distil.{model}", self._distillation(model), "training")]
            case "pretrain_model", (model,):
                return [Work(f"pretrain.{model}", self._pretraining(model), "training")]
            case rule, (task, system, seed) if rule in TUNING:
                name = f"{system}/{task}/seed-{seed}"
                train, select, *teacher = self._tuning(task, self.grid.systems[system])
                parts = [Work(f"{name}/train", train, "training"), Work(f"{name}/select", select)]
                return parts + [Work(f"{name}/teacher", flops) for flops in teacher]
            case "ensemble_models", (task, system, seed):
                spec = self.grid.systems[system]
                passes = len(self.grid.members(spec, seed)) * self._classifier_pass(task, "select", spec.model)
                return [Work(f"{system}/{task}/seed-{seed}/select", passes)]
            case "model_statistics", (task, system, seed, statistic):
                flops = self._statistics(task, self.grid.systems[system].model, statistic)
                return [Work(f"{statistic}.{system}/{task}/seed-{seed}", flops)]
            case "soup_models", (task, system, seed):
                return self._soup(task, self.grid.systems[system], f"{system}/{task}/seed-{seed}")
            case "merge_encoders", (system, seed):
                return self._encoder(self.grid.systems[system], f"{system}/seed-{seed}")
            case "embed_task", (task, model):
                shape, tokens = self.shape(model), self.grid.max_tokens(task, model)
                passes = sum(self._pass(shape, task, split, tokens) for split in ("train", "select"))
                return [Work(f"embed.{model}/{task}", passes)]
            case "embed_layers", (task, pair):
                large = self.grid.pair(pair).large
                shape, tokens = self.shape(large), self.grid.max_tokens(task, large)
                passes = sum(self._pass(shape, task, split, tokens) for split in ("train", "select"))
                return [Work(f"embed_layers.{pair}/{task}", passes)]
            case "probe", (task, system, _):
                return [Work(f"{system}/{task}/head", self._probe(task, self.grid.systems[system]), "closed form")]
            case "calibrate", (task, pair, depth):
                name, parts = f"calibrate.{pair}/{task}/{depth}", self._calibration(task, pair, depth)
                return [Work(f"{name}/{part}", flops) for part, flops in parts.items()]
            case "sweep", (task, merge, pair, seed):
                return list(self._sweep(task, merge, pair, seed))
            case "merge_models", (task, system, seed):
                spec, swept = self.grid.systems[system], []
                if spec.head and spec.merge and not self.grid.has_sweep(spec.merge):
                    swept = list(self._sweep(task, spec.merge, spec.pair.name, seed))
                return [*swept, *self._merge(task, spec, seed)]
            case "evaluate", (task, system, seed):
                return [Work(f"evaluate/{task}/{system}/seed-{seed}", self._evaluation(task, system))]
            case "measure_cost", (task,):
                return [Work(f"measure_cost/{task}", self._measuring(task))]
        return []

    def shapes(self, pair: str) -> tuple[Shape, Shape]:
        spec = self.grid.pair(pair)
        return self.shape(spec.small), self.shape(spec.large)

    def _pass(self, shape: Shape, task: str, split: str, max_tokens: int) -> int:
        """FLOPs of one pass of an encoder over a split."""
        lengths = self.sizes(task).lengths(split, max_tokens)
        return count.summed_flops(lambda t: count.encoder_flops(shape, t), padded_lengths(lengths))

    def _finetuning(self, task: str, model: str) -> tuple[int, int]:
        """FLOPs of a fine-tuning, and of choosing its epoch on `select`."""
        epochs = self._epochs(task, model)
        return epochs * self._epoch(task, model)[0], epochs * self._classifier_pass(task, "select", model)

    def _epochs(self, task: str, model: str) -> int:
        """Epochs of a fine-tuning; with a grid, the largest number in it."""
        settings = self.grid.study.models[model].finetune[task]
        return max((tried.epochs for tried in settings.tried()), default=settings.epochs)

    @functools.cache  # noqa: B019 - every seed trains on as many tokens
    def _epoch(self, task: str, model: str, adapters: LoraSystem | None = None) -> tuple[int, int]:
        """FLOPs of one epoch of training, and its number of optimizer steps."""
        settings = self.grid.study.models[model].finetune[task]
        lengths = self.sizes(task).lengths("train", settings.max_tokens)
        batches = training_batches(lengths, settings.batch_size, np.random.default_rng(0))
        forward = self._classifier(task, model, adapters)
        return count.summed_flops(lambda t: forward(t)[1], padded_lengths(lengths, batches)), len(batches)

    def _classifier(
        self, task: str, model: str, adapters: LoraSystem | None = None
    ) -> Callable[[int], tuple[int, int]]:
        """Function from tokens to FLOPs of one example's forward pass, and of its share of a training step."""
        shape, outputs = self.shape(model), self.grid.row(task).outputs
        if adapters:
            return lambda t: count.lora_flops(shape, t, outputs, adapters.rank, adapters.targets)
        forward = functools.partial(count.classifier_flops, shape, outputs=outputs)
        return lambda t: (forward(t), count.training_flops(forward(t)))

    def _classifier_pass(
        self, task: str, split: str, model: str, adapters: LoraSystem | None = None, reads_as: str | None = None
    ) -> int:
        """FLOPs of one pass of a classifier over a split; texts are truncated for it, or for the model `reads_as`."""
        lengths = self.sizes(task).lengths(split, self.grid.max_tokens(task, reads_as or model))
        forward = self._classifier(task, model, adapters)
        return count.summed_flops(lambda t: forward(t)[0], padded_lengths(lengths))

    def _tuning(self, task: str, system: System) -> list[int]:
        """FLOPs of training, of the choice on `select`, and, if there is a teacher, of its forward passes."""
        model, spec = system.model, system.settings
        epochs = self._epochs(task, model)
        adapters = spec if isinstance(spec, LoraSystem) else None
        train, steps = self._epoch(task, model, adapters)
        select = self._classifier_pass(task, "select", model, adapters)
        if isinstance(spec, LoraSystem | FewShotSystem | TrialSystem):
            # The best merge, and so the few-shot budget, is not known yet: count as if all of train were used.
            epochs = spec.epochs or epochs
        if isinstance(spec, WarmStartSystem):
            times = len(spec.rates)
            return [times * train * system.steps // steps, times * select]
        if not isinstance(spec, DistilSystem | WeakToStrongSystem):
            return [epochs * train, epochs * select]
        rows = len(self.sizes(task).tokens["train"])
        shown = min(getattr(spec, "rows", None) or rows, rows)
        teacher = self._classifier_pass(task, "train", self.grid.systems[system.parent].model, reads_as=model)
        return [epochs * train * shown // rows, epochs * select, teacher * shown // rows]

    def _statistics(self, task: str, model: str, statistic: str) -> int:
        shape, outputs = self.shape(model), self.grid.row(task).outputs
        lengths = self.sizes(task).lengths("train", self.grid.max_tokens(task, model))
        rows = min(self.grid.study.calibration.examples, len(lengths))
        lengths = np.random.default_rng(0).choice(lengths, rows, replace=False)
        one = functools.partial(same_shape.statistic_flops, statistic, shape, outputs)
        return count.summed_flops(one, padded_lengths(lengths))

    def _soup(self, task: str, system: System, name: str) -> list[Work]:
        shape, outputs, members = self.shape(system.model), self.grid.row(task).outputs, system.settings.members
        merge = functools.partial(same_shape.merge_flops, system.method, shape, outputs)
        # A greedy soup tries every member but the best; count as if all of them were added.
        greedy = system.method == methods.GREEDY
        tried = range(2, members + 1) if greedy else [members] * len(same_shape_settings(system)["strengths"])
        select = len(tried) * self._classifier_pass(task, "select", system.model)
        return [Work(f"{name}/merge", sum(map(merge, tried)), "closed form"), Work(f"{name}/select", select)]

    def _encoder(self, system: System, name: str) -> list[Work]:
        tasks, tried = self.grid.study.tasks, len(same_shape_settings(system)["strengths"])
        merge = same_shape.merge_flops(system.method, self.shape(system.model), None, len(tasks))
        select = sum(self._classifier_pass(task, "select", system.model) for task in tasks)
        return [Work(f"{name}/merge", tried * merge, "closed form"), Work(f"{name}/select", tried * select)]

    def _distillation(self, model: str) -> int:
        source = self.grid.study.models[model].source
        assert isinstance(source, DistilledModel)
        options, teacher, student = source.options, self.shape(source.teacher), self.shape(model)
        lengths = self._text_lengths(options, teacher)
        rng = np.random.default_rng(source.seed)
        some = rng.permutation(lengths)[: options.start_texts]
        window = unlabelled_window(len(some), options.batch_size)
        start = [(len(rows), int(some[rows].max())) for rows in training_batches(some, options.batch_size, rng, window)]
        trained = sum(
            len(rows) * count.distil_step_flops(teacher, student, int(lengths[rows].max()))
            for rows in _batches_of_all_steps(lengths, options, rng)
        )
        return trained + count.distil_start_flops(student, teacher, start, options.start)

    def _pretraining(self, model: str) -> int:
        source, shape = self.grid.study.models[model].source, self.shape(model)
        assert isinstance(source, MaskedModel)
        options, lengths = source.options, self._text_lengths(source.options, shape)
        tasks = self.grid.study.tasks
        special = [np.full(len(self.sizes(t).tokens["train"]), 1 + len(self.grid.row(t).text)) for t in tasks]
        guessed = guessed_tokens(lengths - np.concatenate(special), options.masked)
        return sum(
            count.masked_lm_flops(shape, len(rows), int(lengths[rows].max()), int(guessed[rows].sum()))
            for rows in _batches_of_all_steps(lengths, options, np.random.default_rng(source.seed))
        )

    def _text_lengths(self, options: PretrainingOptions, shape: Shape) -> np.ndarray:
        """Tokens of all unlabelled texts after truncation for pre-training. [rows]"""
        longest = min(options.max_tokens, shape.positions)
        return np.concatenate([self.sizes(task).lengths("train", longest) for task in self.grid.study.tasks])

    def _probe(self, task: str, system: System) -> int:
        width, outputs = self.shape(system.model).width, self.grid.row(task).outputs
        train, select = (len(self.sizes(task).tokens[split]) for split in ("train", "select"))
        ridge = len(self.grid.study.systems.probe.ridge)
        return count.ridge_flops(train, width, outputs, ridge) + ridge * select * count.linear_flops(width, outputs)

    @functools.cache  # noqa: B019
    def _calibration(self, task: str, pair: str, depth: str) -> dict[str, int]:
        """FLOPs of the moments of all sites, and of the similarity of all layer pairs, on fewer texts."""
        small, large = self.shapes(pair)
        mapped = pairs(depth, small.layers, large.layers)
        read, few = (
            self._texts(task, pair, tokens) for tokens in (self.grid.study.calibration.tokens, SIMILARITY_TOKENS)
        )
        deep = as_deep(depth, small, large)
        sites = count.summed_flops(lambda t: count.calibration_flops(deep, large, mapped, 1, t), padded_lengths(read))
        passes = count.summed_flops(
            lambda t: count.encoder_flops(small, t) + count.encoder_flops(large, t), padded_lengths(few)
        )
        return {"sites": sites, "similarity": passes + count.similarity_flops(small, large, int(few.sum()))}

    def _texts(self, task: str, pair: str, tokens: int) -> np.ndarray:
        """Lengths of just enough random texts of train to hold `tokens` tokens."""
        lengths = self.sizes(task).lengths("train", self.grid.max_tokens(task, self.grid.pair(pair).large))
        lengths = np.random.default_rng(0).permutation(lengths)
        return lengths[: int(np.searchsorted(np.cumsum(lengths), tokens)) + 1]

    @functools.cache  # noqa: B019
    def fit(self, task: str, pair: str, merge: str | None) -> np.ndarray:
        """Tokens of the train rows on which the heads of a merge, or of the head-only control, are fitted."""
        study = self.grid.study
        settings = self.grid.merges[merge].settings if merge else study.systems.control.head_only
        lengths = self.sizes(task).lengths("train", self.grid.max_tokens(task, self.grid.pair(pair).large))
        rows = min(settings.fit_rows, len(lengths))
        return np.random.default_rng(0).choice(lengths, rows, replace=False)

    def moved(self, merge: str, seed: int) -> int:
        """Number of strengths other than 0."""
        return sum(strength != 0 for strength in self.grid.merges[merge].options.grid(seed))

    def _sweep(self, task: str, merge: str, pair: str, seed: int) -> Iterator[Work]:
        (small, large), moved = self.shapes(pair), self.moved(merge, seed)
        options = self.grid.merges[merge].options
        name = f"sweep.{merge}.{pair}/{task}/seed-{seed}"
        fit = padded_lengths(self.fit(task, pair, merge))
        tokens = self.grid.max_tokens(task, self.grid.pair(pair).large)
        cost = options.flops(small, large, options.text_tokens)
        yield Work(f"{name}/prepare", cost.prepare, "closed form")
        yield Work(f"{name}/apply", moved * cost.apply, "closed form")
        yield Work(f"{name}/fit", moved * count.summed_flops(lambda t: count.encoder_flops(large, t), fit))
        yield Work(f"{name}/select", moved * self._pass(large, task, "select", tokens))

    def _merge(self, task: str, system: System, seed: int | str) -> Iterator[Work]:
        small, large = self.shapes(system.pair.name)
        name, row = f"{system.name}/{task}/seed-{seed}", self.grid.row(task)
        tokens = self.grid.max_tokens(task, system.pair.large)
        if not system.head:
            if methods.facts(system.method).kind == "weights":
                tried = len(self.grid.merges[system.merge].options.grid(seed))
                padded = padded_lengths(self.sizes(task).lengths("select", tokens))
                one = count.summed_flops(lambda t: count.classifier_flops(large, t, row.outputs), padded)
                yield Work(f"{name}/select", tried * one)
            else:
                for part, flops, mode in self.grid.merges[system.merge].options.making(self._making(task, system)):
                    yield Work(f"{name}/{part}", flops, mode)
            return
        fit = self.fit(task, system.pair.name, system.merge)
        if system.head != "labelled":
            passes = count.summed_flops(lambda t: count.encoder_flops(small, t), padded_lengths(fit))
            yield Work(f"{name}/small-on-fit", passes)
        ridge, select = len(system.settings.ridge), len(self.sizes(task).tokens["select"])
        one = count.head_flops(system.head, small, large, row.outputs, len(fit), ridge, scored=select)
        bodies = 1 + (self.moved(system.merge, seed) if system.merge else 0)
        yield Work(f"{name}/head", bodies * one, "closed form")

    def _making(self, task: str, system: System) -> Making:
        """What the FLOPs of making a composite depend on."""
        small, large = self.shapes(system.pair.name)
        longest = self.grid.max_tokens(task, system.pair.large)
        train, select = (self.sizes(task).lengths(split, longest) for split in ("train", "select"))
        batch = self.grid.study.models[system.pair.small].finetune[task].batch_size

        def texts(tokens: int) -> tuple[int, np.ndarray]:
            read = self._texts(task, system.pair.name, tokens)
            return int(read.sum()), padded_lengths(read)

        return Making(
            small=small,
            large=large,
            outputs=self.grid.row(task).outputs,
            ridges=len(system.settings.ridge),
            train=padded_lengths(train),
            trained=padded_lengths(train, training_batches(train, batch, np.random.default_rng(0))),
            select=padded_lengths(select),
            fit=padded_lengths(self.fit(task, system.pair.name, system.merge)),
            texts=texts,
            finetuning=self._finetuning(task, system.pair.small),
        )

    def _measuring(self, task: str) -> int:
        """FLOPs of `measure_cost`: each round runs the texts four times (singly and in batches, as warm-up and timed),
        and the memory measurement runs them once."""
        settings, rows = self.grid.study.cost, len(self.sizes(task).tokens["report"])
        once = sum(self._evaluation(task, family.run.system.name) for family in families(self.grid, task))
        return (4 * settings.rounds + 1) * once * min(settings.texts, rows) // rows

    @functools.cache  # noqa: B019
    def _evaluation(self, task: str, system: str) -> int:
        spec, outputs = self.grid.systems[system], self.grid.row(task).outputs
        lengths = self.sizes(task).lengths("report", self.grid.max_tokens(task, self.grid.reads_as(spec)))
        padded = padded_lengths(lengths)
        if spec.program == "ensemble":
            return spec.settings.members * self._classifier_pass(task, "report", spec.model)
        if not spec.merge:
            models = [spec.model] if spec.model else [spec.pair.large] if spec.pair else []
            whole = [functools.partial(count.classifier_flops, self.shape(model), outputs=outputs) for model in models]
            return sum(count.summed_flops(one, padded) for one in whole)
        small, large = self.shapes(spec.pair.name)
        answers = functools.partial(self.grid.merges[spec.merge].options.answers, small, large, outputs=outputs)
        # The form that is chosen is not known yet: take the mean over all.
        forms = len(answers(tokens=1))
        return count.summed_flops(lambda t: sum(answers(tokens=t)), padded) // forms


def _batches_of_all_steps(
    lengths: np.ndarray, options: PretrainingOptions, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Row numbers of each step's batch, over as many epochs as needed."""
    window = unlabelled_window(len(lengths), options.batch_size)
    epochs = (training_batches(lengths, options.batch_size, rng, window) for _ in itertools.count())
    return itertools.islice(itertools.chain.from_iterable(epochs), options.steps)
