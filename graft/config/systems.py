"""The part of a study config that lists its systems. Imports no torch."""

import fractions
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from graft.config.section import (
    Factor,
    Few,
    FitRows,
    HeadName,
    Members,
    Multiple,
    Name,
    Positive,
    Quotient,
    Rate,
    RidgeSizes,
    Section,
    Share,
)
from graft.io.strict_yaml import typed
from graft.registry import standard


class WithOptions(Section):
    """A method and its options, which are all keys that the section does not define."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def options(self) -> dict[str, Any]:
        """The method's options; strings from `snakemake --config` are read as the values they spell."""
        return {name: typed(value) for name, value in (self.model_extra or {}).items()}


class ProbeSystems(Section):
    """`probe.<pooling>.<model>`: a closed-form linear head on the frozen model's states."""

    pooling: Annotated[tuple[Literal["cls", "mean", "layers"], ...], Field(min_length=1)] = ("cls", "mean", "layers")
    """The last layer's [CLS] state, or its mean over tokens; or what is best on `select` (`layers`): either of any
    layer's, both, or the means of the last four layers. It runs only the layers that it reads."""
    ridge: RidgeSizes = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Ridge sizes to try on `select`, as shares of the mean diagonal."""


class MajoritySystem(Section):
    """`majority`: the most frequent class of train, or its mean score."""


class MergeSystem(WithOptions):
    """`merge.<name>[.<head>].<small>-into-<large>`."""

    method: str | None = None
    """Merge method; by default the system's name. Set it to use one method under several names."""
    heads: Annotated[tuple[HeadName, ...], Field(min_length=1)] | None = None
    """How the classification head is made; by default all three, if the method has heads."""
    fit_rows: FitRows = 2048
    """Rows of train (a fixed draw) on which heads and maps are fitted."""
    ridge: RidgeSizes = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Ridge sizes of the head to try on `select`, as shares of the mean diagonal."""


class LoraSystem(Section):
    """`lora.<large>`: the large model fine-tuned through low-rank adapters, which are added to its weights at the end.

    Source: Hu et al. 2021, LoRA, arXiv 2106.09685. Pooler and classifier are trained in full.
    """

    rank: Positive = 8
    """Rank of the adapters."""
    alpha: Multiple = 16.0
    """Adapters are scaled by alpha / rank."""
    dropout: Share = 0.0
    """Dropout on the adapters' input."""
    targets: Annotated[tuple[Literal["query", "key", "value"], ...], Field(min_length=1)] = ("query", "value")
    """Linear layers of attention that get an adapter."""
    learning_rate: Rate = 5e-4
    """Peak learning rate; everything not set here is as in the model's fine-tuning."""
    epochs: Positive | None = None
    """Passes over train; by default as in the model's fine-tuning."""


class TrialSystem(Section):
    """`trial.<model>.…`: a fine-tuning with hyperparameters from a grid; only its score on `select` is kept."""

    learning_rate: Rate
    epochs: Positive


class DistilSystem(Section):
    """`distil.<small>-from-<large>`: the small model trained only on the fine-tuned large one's answers to train.

    Source: Hinton et al. 2015, arXiv 1503.02531, at temperature 1 as in TinyBERT (Jiao et al. 2020, arXiv 1909.10351).
    """


class WeakToStrongSystem(Section):
    """`weak-to-strong.<small>-to-<large>`: the large model trained only on the fine-tuned small one's answers to train.

    Source: Burns et al. 2023, Weak-to-Strong Generalization, arXiv 2312.09390, without its confidence loss. There the
    weak model answers texts that it was not trained on; here it answers those that it was trained on.
    """

    rows: Positive | None = None
    """Rows of train (a fixed draw) that the small model answers; by default all."""


class BudgetSystem(Section):
    """`budget.<start>.<1-64>.<model>`: a model fine-tuned with a fraction of its steps (1/64), on its usual batches.

    Each has its own whole schedule, from warm-up to zero, and keeps its last weights: no epoch is chosen, so none
    is scored on the way. `closed-form` starts from the head of `control.head-only.labelled`, which its FLOPs include.
    """

    fractions: Annotated[tuple[Quotient, ...], Field(min_length=1)] = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
    """Shares of the fine-tuning's steps, as 1/64 or as a number; all of them are `finetune.<model>` itself."""
    starts: Annotated[tuple[Literal["new", "closed-form"], ...], Field(min_length=1)] = ("new", "closed-form")
    """Heads to start from; small models have only a new one."""
    rates: Annotated[tuple[Multiple, ...], Field(min_length=1)] = (1.0, 2.0, 4.0)
    """Peak learning rates, as multiples of the model's. Trials choose the best on `select`, and are counted in full."""
    seeds: Few = 1
    """Trials per rate. Their seeds differ from the study's."""
    models: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Models that appear in pairs; by default the large ones."""


class BudgetPoint(Section):
    """One of the systems `budget.…`, or a trial of one of its rates; it has its own fraction only."""

    fraction: Quotient
    rates: tuple[Multiple, ...]
    seeds: Few

    @property
    def part(self) -> str:
        """Its fraction as in its name: 1-64."""
        return "-".join(map(str, fractions.Fraction(self.fraction).limit_denominator(1_000_000).as_integer_ratio()))

    def steps(self, whole: int) -> int:
        """Return its number of steps, of `whole` in full: at least 2, as the first one has a learning rate of 0."""
        return max(2, round(self.fraction * whole))


class FewLabelsSystem(Section):
    """`….few-<n>.…`: systems that see n labels of the task, besides those that the small model was fine-tuned on.

    The merges of `of`, the head alone, probes of the large model, and its fine-tuning, `finetune.few-<n>.<large>`,
    which keeps its last weights. The n rows are drawn from `select`, which the small model did not train on, once for
    every seed; half of them are fitted on, the others are for choices. Source: Perez et al. 2021, True few-shot
    learning, arXiv 2105.11447.
    """

    rows: Annotated[tuple[Annotated[int, Field(ge=8, le=1_000_000)], ...], Field(min_length=1)] = (32, 128, 512)
    """Numbers of labels. A task has those that are not above its `limits.select`."""
    of: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Names under systems.merge; by default all that train nothing and use the fine-tuned small model."""
    heads: Annotated[tuple[HeadName, ...], Field(min_length=1)] = ("transplant", "labelled")
    """Heads of merges whose methods have them."""
    epochs: Positive = 20
    """Passes of the fine-tuning over its rows. Source: Mosbach et al. 2021, arXiv 2006.04884."""
    batch_size: Positive = 8
    """Rows per step of the fine-tuning."""


class FewLabelsTuning(Section):
    """How `finetune.few-<n>.<large>` differs from `finetune.<large>`."""

    epochs: Positive
    batch_size: Positive


class LabelFreeSystem(Section):
    """`….no-labels.…`: systems that see no label of the task but through the fine-tuned small model.

    The merges of `of`, and rivals that have the large model too: `weak-to-strong.no-labels.…`, and
    `probe.layers.no-labels.…`, a linear head on its best layer. Their labels are the small model's answers to the texts
    of `select`, which it did not train on: half of them are fitted on, and what agrees best with the others is chosen.
    """

    of: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Names under systems.merge; by default all that train nothing and use the fine-tuned small model."""
    heads: Annotated[tuple[Literal["transplant", "label-free"], ...], Field(min_length=1)] = (
        "transplant",
        "label-free",
    )
    """Heads of merges whose methods have them."""


class EnsembleSystem(Section):
    """`ensemble.<large>`: the mean of the logits of fine-tuned large models of different seeds.

    Each seed is in one ensemble only, so that ensembles are independent: n seeds make n / members ensembles.
    """

    members: Members = 2
    """Fine-tuned models per ensemble."""


class WarmStartSystem(Section):
    """`warm-start.<arm>.<steps>.<merge>.<head>.<pair>`: a short fine-tuning of `<steps>` steps from four starts.

    random-head: the large model under a new head; closed-form-head: under the head of `control.head-only`; merged: the
    merge; shuffled: the merge's shuffled control. Each run tries every rate and keeps the best on `select`.
    """

    merge: Name
    """Name under systems.merge whose method has heads."""
    head: HeadName = "labelled"
    """Head of the merge and of `control.head-only`."""
    steps: Annotated[tuple[Positive, ...], Field(min_length=1)] = (25, 50, 100, 200, 400)
    """Optimizer steps; each number is a separate fine-tuning, at whose end the learning rate reaches zero."""
    rates: Annotated[tuple[Multiple, ...], Field(min_length=1)] = (0.3, 1.0, 3.0)
    """Learning rates to try, as multiples of the large model's."""


class MemberSystem(Section):
    """`member.<model>`: a fine-tuning used only in soups; all start from the same head. It does not count as a run."""


class OneShapeMerge(WithOptions):
    """One way to merge fine-tuned models of one shape, with the method's options."""

    method: str | None = None
    """Method for models of one shape; by default the key. Set it to use one method under several keys."""
    strengths: Annotated[tuple[Factor, ...], Field(min_length=1)] | None = None
    """Factors of the change to try on `select`; by default only the method's published one."""
    weights: tuple[Factor, ...] | None = None
    """One weight per model, for methods that take weights; by default all are equal."""


class SoupMerge(OneShapeMerge):
    """`soup.<name>.<model>`."""

    members: Members | None = None
    """How many of the first members to use; by default all."""


class SoupSystem(Section):
    """`soup.<name>.<model>`: fine-tunings of one task, whole classifiers, merged into one.

    Members are fine-tuned only for soups, from one new head and with separate seeds, so that the reference's runs stay
    independent. Source: Wortsman et al. 2022, Model soups, arXiv 2203.05482.
    """

    members: Members = 5
    """Fine-tunings per task and model."""
    models: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Models that appear in pairs; by default the large ones."""
    methods: Annotated[dict[Name, SoupMerge], Field(min_length=1)]


class MultitaskSystem(Section):
    """`multitask.<name>.<model>`: one encoder merged from the fine-tunings of all tasks, seed by seed.

    It merges the runs of `finetune.<model>`. Every task keeps its own pooler and classifier, which are not merged.
    Strengths are chosen for all tasks together, by the mean over tasks of the score on `select` relative to the
    fine-tuned model's.
    """

    models: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Models that appear in pairs; by default the large ones."""
    methods: Annotated[dict[Name, OneShapeMerge], Field(min_length=1)]


class JointSystem(Section):
    """`joint.<large>`: the large model fine-tuned on all tasks together, seed by seed, with an output layer for each.

    Batches mix the rows of all tasks in proportion to their numbers. The learning rate is the mean of those of the
    model's fine-tunings, the batch size their largest. The best epoch has the highest mean over tasks on `select`. It
    trains in one process. Source: Liu et al. 2019, Multi-task deep neural networks, arXiv 1901.11504.
    """

    epochs: Positive = 5
    """Passes over the rows of all tasks (in the paper 5)."""


class HeadOnlyControl(Section):
    """`control.head-only.<head>.<pair>`: the same heads on the untouched large body.

    Merges that fit their heads on other rows, or with other ridge sizes, have their own, fitted in the same way:
    `control.head-only.<head>.rows-<n>.<pair>`, `control.head-only.<head>.ridge-<size>-<size>.<pair>`.
    """

    heads: Annotated[tuple[HeadName, ...], Field(min_length=1)] = ("transplant", "label-free", "labelled")
    """Heads to fit."""
    fit_rows: FitRows = 2048
    """Rows of train (a fixed draw) on which heads are fitted."""
    ridge: RidgeSizes = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Ridge sizes to try on `select`, as shares of the mean diagonal."""


class MergeControl(Section):
    """Merges of this study that carry over something else than what the small model learnt."""

    of: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names under systems.merge whose methods have heads."""
    heads: Annotated[tuple[HeadName, ...], Field(min_length=1)] | None = None
    """Heads to make; by default the merge's."""


class ChangeControl(MergeControl):
    """`control.<control>.<merge>.<head>.<pair>`: merges of a change that carries no information about the task.

    At the strength that the merge chose: `control.<control>.<merge>.<head>.same-strength.<pair>`.
    """

    strength: Annotated[tuple[Literal["chosen", "merge"], ...], Field(min_length=1)] = ("chosen", "merge")
    """Strengths of the change: `chosen` by the control itself on `select`, which may be 0, where it is the head alone;
    that of the `merge`, for heads that it has, too."""


class WrongTaskControl(Section):
    """`control.wrong-task.<merge>.labelled.<pair>`: merges of a small model that was fine-tuned on another task.

    That is the next task of the config (for the last one, the first), with the same seed; all else is the task's own.
    """

    of: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names under systems.merge whose methods have heads."""
    heads: ClassVar[tuple[HeadName, ...]] = ("labelled",)
    strength: ClassVar[tuple[str, ...]] = ("chosen",)


class OtherSmallControl(MergeControl):
    """`control.other-small.<merge>.<head>.<model>-into-<large>`: another small model instead of the pair's.

    `finetune.<model>` is added as a control too.
    """

    models: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Small models that are in no pair, usually of the kinds random and masked_lm."""


class ControlSystems(Section):
    """Systems that must not win."""

    head_only: HeadOnlyControl | None = Field(default=None, alias="head-only")
    shuffled: ChangeControl | None = None
    """Every tensor's change with its entries in random order."""
    random: ChangeControl | None = None
    """Noise with the same norm as every tensor's change."""
    wrong_task: WrongTaskControl | None = Field(default=None, alias="wrong-task")
    """The change that the small model learnt on another task."""
    other_small: OtherSmallControl | None = Field(default=None, alias="other-small")
    """Small models that were never distilled from the large one."""


class OracleSystem(Section):
    """`oracle.<merge>.labelled.<large>`: merges of the fine-tuned large model itself into the pre-trained one.

    What the merge would make of a small model that had learnt as much, through the same maps, strengths and head. It
    costs more than the reference, so it is compared with nothing: it has no verdict and is never the best.
    """

    of: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names under systems.merge whose methods have heads."""
    heads: ClassVar[tuple[HeadName, ...]] = ("labelled",)


class Systems(Section):
    """Everything that gets a row in the tables, besides `finetune.<model>`, which is always there."""

    @model_validator(mode="before")
    @classmethod
    def _with_standard(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        given = typed(values.get("standard"))
        # Older configs and records say true or false.
        name = "full" if given is True else given
        others = {key: value for key, value in values.items() if key != "standard"}
        if given is False:
            return others
        return standard.changed(standard.SETS[name], others) if name in [*standard.SETS] else values

    @model_validator(mode="before")
    @classmethod
    def _without_fewshot(cls, values: Any) -> Any:
        # The record of an older study may say that it had none.
        if isinstance(values, dict) and "fewshot" in values:
            if values["fewshot"] is not None:
                raise ValueError("fewshot is no more; use budget, fine-tunings with fractions of the steps")
            return {key: value for key, value in values.items() if key != "fewshot"}
        return values

    probe: ProbeSystems | None = None
    majority: MajoritySystem | None = None
    lora: LoraSystem | None = None
    distil: DistilSystem | None = None
    weak_to_strong: WeakToStrongSystem | None = Field(default=None, alias="weak-to-strong")
    budget: BudgetSystem | None = None
    few_labels: FewLabelsSystem | None = Field(default=None, alias="few-labels")
    label_free: LabelFreeSystem | None = Field(default=None, alias="label-free")
    ensemble: EnsembleSystem | None = None
    soup: SoupSystem | None = None
    multitask: MultitaskSystem | None = None
    joint: JointSystem | None = None
    merge: dict[Name, MergeSystem] = {}
    control: ControlSystems = ControlSystems()
    oracle: OracleSystem | None = None
    warm_start: WarmStartSystem | None = Field(default=None, alias="warm-start")
    standard: Literal["first", "full"] | None = None
    """Systems to begin with: `first`, few, for a first answer; `full`, those of the default study (config.yaml). The
    other keys then change these; null leaves one out."""
