"""The part of a study config that says which systems it has. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from graft.config.sections import (
    Factor,
    FitRows,
    HeadName,
    Members,
    Multiple,
    Name,
    Positive,
    Rate,
    RidgeSizes,
    Section,
    Share,
)
from graft.io.strict_yaml import typed


class ProbeSystems(Section):
    """`probe.<pooling>.<model>`: a closed-form linear head on the frozen model's last states."""

    pooling: Annotated[tuple[Literal["cls", "mean"], ...], Field(min_length=1)] = ("cls", "mean")
    """The [CLS] state, or the mean over tokens."""
    ridge: RidgeSizes = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Ridge sizes tried on `select`, as shares of the mean diagonal."""


class MajoritySystem(Section):
    """`majority`: the most frequent class of train, or its mean score."""


class MergeSystem(Section):
    """`merge.<name>[.<head>].<small>-into-<large>`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    method: str | None = None
    """Method of the registry; the system's own name where left out, so that one method can stand here twice."""
    heads: Annotated[tuple[HeadName, ...], Field(min_length=1)] | None = None
    """How the classification head is made; all three where left out and the method has heads."""
    fit_rows: FitRows = 2048
    """Rows of train (a fixed draw) on which heads and maps are fitted."""
    ridge: RidgeSizes = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Ridge sizes of the head tried on `select`, as shares of the mean diagonal."""

    @property
    def options(self) -> dict[str, Any]:
        """The method's own options; what `snakemake --config` gives as strings is read as what it writes."""
        return {name: typed(value) for name, value in (self.model_extra or {}).items()}


class LoraSystem(Section):
    """`lora.<large>`: the large model fine-tuned through low-rank adapters, which are added to its weights at the end.

    Source: Hu et al. 2021, LoRA, arXiv 2106.09685. Pooler and classifier are trained as they are.
    """

    rank: Positive = 8
    """Width of an adapter."""
    alpha: Multiple = 16.0
    """An adapter counts alpha / rank times."""
    dropout: Share = 0.0
    """Of what adapters read."""
    targets: Annotated[tuple[Literal["query", "key", "value"], ...], Field(min_length=1)] = ("query", "value")
    """Linear layers of every attention that have an adapter."""
    learning_rate: Rate = 5e-4
    """Peak of the schedule; what is not said here is as in the model's fine-tuning."""
    epochs: Positive | None = None
    """As in the model's fine-tuning where left out."""


class TrialSystem(Section):
    """`trial.<model>.…`: a fine-tuning with hyperparameters of a grid, of which only the score on `select` is kept."""

    learning_rate: Rate
    epochs: Positive


class DistilSystem(Section):
    """`distil.<small>-from-<large>`: the small model taught by the fine-tuned large one's answers to train alone.

    Source: Hinton et al. 2015, arXiv 1503.02531, at temperature 1 as in TinyBERT (Jiao et al. 2020, arXiv 1909.10351).
    """


class WeakToStrongSystem(Section):
    """`weak-to-strong.<small>-to-<large>`: the large model taught by the fine-tuned small one's answers to train alone.

    Source: Burns et al. 2023, Weak-to-Strong Generalization, arXiv 2312.09390, without its confidence loss. There the
    weak model answers texts that it was not trained on; here these are the texts that taught it.
    """

    rows: Positive | None = None
    """Rows of train (a fixed draw) that the small model answers; all where left out."""


class FewShotSystem(Section):
    """`fewshot.<large>`: the large model fine-tuned on so many rows of train as take the training FLOPs of the merge
    into it, of the same seed, that is best on `select`."""

    epochs: Positive = 1
    """Passes over these rows (one over more rows is the stronger rival); more, where all of train takes less."""


class EnsembleSystem(Section):
    """`ensemble.<large>`: the mean of the logits of fine-tuned large models of different seeds.

    Each seed is in one ensemble only, so that ensembles are independent: n seeds make n / members of them.
    """

    members: Members = 2
    """Fine-tuned models in each."""


class WarmStartSystem(Section):
    """`warm-start.<arm>.<steps>.<merge>.<head>.<pair>`: a short fine-tuning, of so many steps, from four starts.

    random-head: the large model under a new head; closed-form-head: under the head of `control.head-only`; merged: the
    merge; shuffled: the merge's shuffled control. Each run tries every rate and keeps the best on `select`.
    """

    merge: Name
    """Name under systems.merge, of a method with heads."""
    head: HeadName = "labelled"
    """Of the merge, and of `control.head-only`."""
    steps: Annotated[tuple[Positive, ...], Field(min_length=1)] = (25, 50, 100, 200, 400)
    """Optimizer steps; each number is a fine-tuning of its own, whose learning rate falls to zero at its end."""
    rates: Annotated[tuple[Multiple, ...], Field(min_length=1)] = (0.3, 1.0, 3.0)
    """Learning rates tried, as multiples of the large model's own."""


class MemberSystem(Section):
    """`member.<model>`: a fine-tuning that goes into soups; all start from the same head. It is no run of its own."""


class SameShapeMerge(Section):
    """One way to merge fine-tuned models of one shape, with the method's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    method: str | None = None
    """Method for models of one shape; the key itself where left out, so that one method can stand here twice."""
    strengths: Annotated[tuple[Factor, ...], Field(min_length=1)] | None = None
    """Factors of the change tried on `select`; the method's published default alone where left out."""
    weights: tuple[Factor, ...] | None = None
    """One for each model, of methods that weigh them; all alike where left out."""

    @property
    def options(self) -> dict[str, Any]:
        """The method's own options; what `snakemake --config` gives as strings is read as what it writes."""
        return {name: typed(value) for name, value in (self.model_extra or {}).items()}


class SoupMerge(SameShapeMerge):
    """`soup.<name>.<model>`."""

    members: Members | None = None
    """Only the first so many members; all where left out."""


class SoupSystem(Section):
    """`soup.<name>.<model>`: fine-tunings of one task, whole classifiers, merged into one.

    Members are fine-tuned for this alone, from one new head and with seeds of their own, so that the reference's runs
    stay independent. Source: Wortsman et al. 2022, Model soups, arXiv 2203.05482.
    """

    members: Members = 5
    """Fine-tunings per task and model."""
    models: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Models of pairs; the large ones where left out."""
    methods: Annotated[dict[Name, SoupMerge], Field(min_length=1)]


class MultitaskSystem(Section):
    """`multitask.<name>.<model>`: one encoder merged from the fine-tunings of all tasks, seed by seed.

    These are the runs of `finetune.<model>`. Every task goes on with the pooler and the classifier of its own, which
    are not merged. Strengths are chosen for all tasks together, by the mean over tasks of the score on `select` as a
    share of the fine-tuned model's own.
    """

    models: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Models of pairs; the large ones where left out."""
    methods: Annotated[dict[Name, SameShapeMerge], Field(min_length=1)]


class HeadOnlyControl(Section):
    """`control.head-only.<head>.<pair>`: the same heads on the untouched large body."""

    heads: Annotated[tuple[HeadName, ...], Field(min_length=1)] = ("transplant", "label-free", "labelled")
    """Which of them."""
    fit_rows: FitRows = 2048
    """Rows of train (a fixed draw) on which they are fitted."""
    ridge: RidgeSizes = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Ridge sizes tried on `select`, as shares of the mean diagonal."""


class MergeControl(Section):
    """Merges of this study, made with something else in the place of what they should carry over."""

    of: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names under systems.merge, of methods with heads."""
    heads: Annotated[tuple[HeadName, ...], Field(min_length=1)] | None = None
    """The merge's own where left out."""


class ChangeControl(MergeControl):
    """`control.<control>.<merge>.<head>.<pair>`: merges that are given a change that says nothing of the task."""


class OtherSmallControl(MergeControl):
    """`control.other-small.<merge>.<head>.<model>-into-<large>`: another small model in the place of the pair's own.

    With it comes `finetune.<model>` as a control.
    """

    models: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Small models, usually of the kinds random and masked_lm; in no pair."""


class ControlSystems(Section):
    """Systems that must not win."""

    head_only: HeadOnlyControl | None = Field(default=None, alias="head-only")
    shuffled: ChangeControl | None = None
    """The entries of every tensor's change in another order."""
    random: ChangeControl | None = None
    """Noise with the norm of every tensor's change."""
    other_small: OtherSmallControl | None = Field(default=None, alias="other-small")
    """Small models that were never distilled from the large one."""


class Systems(Section):
    """Everything that gets a row in the tables beside `finetune.<model>`, which is always there."""

    probe: ProbeSystems | None = None
    majority: MajoritySystem | None = None
    lora: LoraSystem | None = None
    distil: DistilSystem | None = None
    weak_to_strong: WeakToStrongSystem | None = Field(default=None, alias="weak-to-strong")
    fewshot: FewShotSystem | None = None
    ensemble: EnsembleSystem | None = None
    soup: SoupSystem | None = None
    multitask: MultitaskSystem | None = None
    merge: dict[Name, MergeSystem] = {}
    control: ControlSystems = ControlSystems()
    warm_start: WarmStartSystem | None = Field(default=None, alias="warm-start")
