"""The table of merge methods, for plans, configs and reports. Imports no torch."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from graft.io.names import meant, shown
from graft.registry.depth import DEPTHS

HEADS = ("transplant", "label-free", "labelled")
KINDS = ("weights", "composite")
# The small model's change that is merged, or its control (graft.merging.changes).
CHANGES = ("finetuned", "shuffled", "random")
# Inputs of methods; "layers": the large model's hidden states at the mapped layers, for all tokens of train and select.
NEEDS = ("small_finetuned", "small_pretrained", "large", "statistics", "texts", "layers", "probe.large", "probe.small")
POOLINGS = ("cls", "mean")
# Of a stitch: the model that reads the text, and the one that continues.
DIRECTIONS = ("small_to_large", "large_to_small")
# Transport plans between units: soft, or one to one.
PLANS = ("optimal_transport", "assignment")
RESIDUALS = ("pooled", "per_site", "fit_dense")
# Numeric option types: whether they are whole, their bounds, and the lower bound in words.
_NUMBERS = {
    "integer": (True, 1, 1_000_000_000, "a whole number from 1 on"),
    "size": (False, 0, 1_000_000, "a number from 0 on"),
    "share": (False, 0, 1, "a number above 0"),
    "seed": (True, 0, 2**32 - 1, "a whole number from 0 on"),
}
_FARTHEST = 1000  # largest absolute strength
# From this ridge on, least squares are solved by Cholesky, and null directions come out as zero by themselves. Below
# it, null directions are sought out.
EASY_RIDGE = 1e-4
ALIGNMENTS = ("least_squares", "procrustes", "scaled_procrustes", "whitened", *PLANS)
# Data that maps are fitted to: activations on text, or products of the models' weights (no text).
EVIDENCE = ("activations", "weights")


@dataclass(frozen=True)
class Option:
    """One option of a method.

    type: strengths (a list of numbers that includes 0), integer (from 1 on), size (a number >= 0), share (a number > 0
    and <= 1), seed (an integer >= 0), boolean or choice.
    most: the largest number allowed, if less than the type's.
    """

    type: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    most: int | None = None


@dataclass(frozen=True)
class MethodFacts:
    """Properties of a merge method.

    kind: "weights" (one model of the large shape) or "composite" (runs parts of both models).
    needs: inputs that `prepare` reads, from NEEDS.
    label_use: labels that the merge uses, apart from its head: "none", "select" or "train".
    heads: the heads to choose from; () if the method has no such option.
    inference: the models that run for each example.
    implementation: "module:name", imported only when used.
    """

    name: str
    kind: str
    needs: tuple[str, ...]
    label_use: str
    heads: tuple[str, ...]
    inference: tuple[str, ...]
    citation: str
    implementation: str
    options: Mapping[str, Option] = field(default_factory=dict)


def _table(*methods: MethodFacts) -> Mapping[str, MethodFacts]:
    """Index methods by name; raises ValueError for a duplicate name or an unknown kind, need or head."""
    table: dict[str, MethodFacts] = {}
    for method in methods:
        if method.name in table:
            raise ValueError(f"method {method.name!r} is registered twice; give the second another name")
        for given, known in (((method.kind,), KINDS), (method.needs, NEEDS), (method.heads, HEADS)):
            if unknown := set(given) - set(known):
                raise ValueError(f"method {method.name!r}: {sorted(unknown)[0]!r} is not one of {', '.join(known)}")
        table[method.name] = method
    return MappingProxyType(table)


DEPTH = Option(
    "choice",
    "uniform",
    "large layers that change: one for each small layer, evenly spread or by similarity (cka), or all: each small "
    "layer's change divided among its large ones (spread), or the small model first made as deep (extend)",
    DEPTHS,
)

EVIDENCE_OPTION = Option(
    "choice", "activations", "what maps are fitted to: activations on text, or (without data) weights", EVIDENCE
)

# Options of trained composites.
TRAINING = {
    "epochs": Option("integer", 3, "passes over train; the best one, or none at all, is kept by select", most=1000),
    "rate": Option("size", 1.0, "peak of the learning rate, as a multiple of the small model's own"),
}

METHODS = _table(
    MethodFacts(
        name="theseus",
        kind="weights",
        needs=("small_finetuned", "small_pretrained", "large", "statistics"),
        label_use="select",
        heads=HEADS,
        inference=("large",),
        citation="Rinaldi et al. 2026, Transporting Task Vectors across Different Architectures without Training, "
        "arXiv 2602.12952",
        implementation="graft.merging.heterogeneous.theseus:Theseus",
        options={
            "strengths": Option(
                "strengths", [0, 0.5, 1, 2, 3, 4], "factors of the transported change, tried on select"
            ),
            "embedding_delta": Option("boolean", False, "also transport the change of the word embeddings"),
            "depth": DEPTH,
            "evidence": EVIDENCE_OPTION,
        },
    ),
    MethodFacts(
        name="spacewise",
        kind="weights",
        needs=("small_finetuned", "small_pretrained", "large", "statistics"),
        label_use="select",
        heads=HEADS,
        inference=("large",),
        citation="ours: Theseus (arXiv 2602.12952) with one affine map per space, shared by all that read or write it",
        implementation="graft.merging.heterogeneous.spacewise:Spacewise",
        options={
            "strengths": Option(
                "strengths", [0, 0.5, 1, 2, 3, 4], "factors of the transported change, tried on select"
            ),
            "alignment": Option("choice", "least_squares", "how maps are fitted", ALIGNMENTS),
            "map_ridge": Option(
                "size", 1e-5, "ridge of least squares and of whitening, as a share of the mean diagonal"
            ),
            "depth": DEPTH,
            "evidence": EVIDENCE_OPTION,
            "residual": Option(
                "choice",
                "pooled",
                "map of the residual stream: one for all, one each, or the distillation's",
                RESIDUALS,
            ),
            "per_head": Option("boolean", False, "map queries, keys and values head by head, heads matched by CKA"),
            "layernorm": Option(
                "choice", "fit", "changes of LayerNorms: fitted unit by unit, mapped, or none", ("fit", "map", "leave")
            ),
            "embedding_delta": Option("boolean", True, "also transport the changes of the embeddings"),
        },
    ),
    MethodFacts(
        name="functional",
        kind="weights",
        needs=("small_finetuned", "small_pretrained", "large", "statistics", "texts"),
        label_use="select",
        heads=HEADS,
        inference=("large",),
        citation="ours: linear layers refitted, one after another, to the small model's change in function",
        implementation="graft.merging.heterogeneous.functional:Functional",
        options={
            "strengths": Option("strengths", [0, 0.5, 1, 2], "factors of the change in function, tried on select"),
            "fit_ridge": Option("size", 0.01, "ridge of the fitted changes, as a share of the mean diagonal"),
            "map_ridge": Option("size", 1e-5, "ridge of the maps between spaces, as a share of the mean diagonal"),
            # Not spread: this method fits what layers compute, which cannot be divided among several.
            "depth": Option("choice", "uniform", "as for spacewise", ("uniform", "cka", "extend")),
            "layernorm": Option("choice", "fit", "LayerNorms: refitted unit by unit, or left", ("fit", "leave")),
            "embedding_delta": Option("boolean", True, "also transport the changes of the embeddings"),
            "text_tokens": Option("integer", 10_000, "tokens of train on which changes are fitted"),
        },
    ),
    MethodFacts(
        name="ot_fusion",
        kind="weights",
        needs=("small_finetuned", "small_pretrained", "large", "statistics"),
        label_use="select",
        heads=HEADS,
        inference=("large",),
        citation="Singh & Jaggi 2020, Model Fusion via Optimal Transport, arXiv 1910.05653; Imfeld et al. 2023, "
        "Transformer Fusion with Optimal Transport, arXiv 2310.05719",
        implementation="graft.merging.heterogeneous.ot_fusion:OTFusion",
        options={
            "strengths": Option(
                "strengths", [0, 0.1, 0.25, 0.5, 0.75, 1], "weights of the small model, tried on select"
            ),
            "alignment": Option("choice", "optimal_transport", "soft plan (optimal_transport) or hard", PLANS),
            "depth": DEPTH,
        },
    ),
    MethodFacts(
        name="grow",
        kind="weights",
        needs=("small_finetuned", "large", "texts"),
        label_use="select",
        heads=HEADS,
        inference=("large",),
        citation="Chen et al. 2015, Net2Net, arXiv 1511.05641; Chen et al. 2021, bert2BERT, arXiv 2110.07143; "
        "Wang et al. 2023, LEMON, arXiv 2310.07999",
        implementation="graft.merging.heterogeneous.grow:Grow",
        options={
            "strengths": Option(
                "strengths", [0, 0.1, 0.25, 0.5, 0.75, 1], "weights of the grown model tried on select"
            ),
            "text_tokens": Option("integer", 2_000, "tokens of train on which the error of growing is measured"),
        },
    ),
    MethodFacts(
        name="interpolate",
        kind="weights",
        needs=("small_finetuned", "large"),
        label_use="select",
        heads=(),
        inference=("large",),
        citation="none: tensors paired by name and padded with zeros, a floor that other methods must pass",
        implementation="graft.merging.heterogeneous.interpolate:Interpolate",
        options={
            "trials": Option("integer", 20, "random weights of the small model in [0, 1] tried on select", most=1000)
        },
    ),
    MethodFacts(
        name="logit_ensemble",
        kind="composite",
        needs=("small_finetuned", "probe.large"),
        label_use="train",
        heads=(),
        inference=("small", "large"),
        citation="none: the weighted mean of two models' logits",
        implementation="graft.merging.composite.logit_ensemble:combine",
        options={
            "strengths": Option(
                "strengths", [i / 10 for i in range(11)], "weights of the small model's logits, tried on select"
            ),
            "probe": Option("choice", "mean", "pooling of the large model's probe", POOLINGS),
        },
    ),
    MethodFacts(
        name="proxy_tuning",
        kind="composite",
        needs=("small_finetuned", "probe.large", "probe.small"),
        label_use="train",
        heads=(),
        # The small model runs twice: fine-tuned, and untuned under its probe.
        inference=("small", "small", "large"),
        citation="Liu et al. 2024, Tuning Language Models by Proxy, arXiv 2401.08565",
        implementation="graft.merging.composite.proxy_tuning:combine",
        options={
            "strengths": Option(
                "strengths", [0, 0.25, 0.5, 1, 1.5, 2, 3], "factors of the small model's change, tried on select"
            ),
            "probe": Option("choice", "mean", "pooling of both models' probes", POOLINGS),
        },
    ),
    MethodFacts(
        name="concat_probe",
        kind="composite",
        needs=("small_finetuned", "small_pretrained", "large"),
        label_use="train",
        heads=(),
        inference=("small", "large"),
        citation="none: a linear head on both models' states side by side",
        implementation="graft.merging.composite.concat_probe:fit",
        options={
            "small": Option("choice", "finetuned", "which small model's states", ("finetuned", "pretrained")),
            "folds": Option(
                "integer",
                1,
                "from 2 on: so many more fine-tunings, each without one part of train, make the small model's states "
                "of that part, on which the head is fitted",
                most=100,
            ),
            "pooling": Option("choice", "mean", "the [CLS] state, or the mean over tokens", POOLINGS),
        },
    ),
    MethodFacts(
        name="stitch",
        kind="composite",
        needs=("small_finetuned", "large", "texts"),
        label_use="train",
        heads=(),
        # Parts of both, chosen on select.
        inference=("small", "large"),
        citation="Pan et al. 2023, Stitchable Neural Networks, arXiv 2302.06586",
        implementation="graft.merging.composite.stitch:Stitched",
        options={
            "direction": Option(
                "choice", "both", "which model reads the text; both are tried on select", ("both", *DIRECTIONS)
            ),
            "map_ridge": Option("size", 0.01, "ridge of the map between the two, as a share of the mean diagonal"),
            "pooling": Option("choice", "mean", "the [CLS] state, or the mean over tokens", POOLINGS),
            "text_tokens": Option("integer", 10_000, "tokens of train on which the map is fitted"),
        },
    ),
    MethodFacts(
        name="side_tuning",
        kind="composite",
        needs=("small_finetuned", "large", "probe.large"),
        label_use="train",
        heads=(),
        inference=("small", "large"),
        citation="Zhang et al. 2020, Side-Tuning, arXiv 1912.13503",
        implementation="graft.merging.composite.side_tuning:SideTuned",
        options={"probe": Option("choice", "mean", "pooling of both models, and of the large one's probe", POOLINGS)}
        | TRAINING,
    ),
    MethodFacts(
        name="ladder",
        kind="composite",
        needs=("small_finetuned", "large", "layers"),
        label_use="train",
        heads=(),
        inference=("small", "large"),
        citation="Sung et al. 2022, LST: Ladder Side-Tuning, arXiv 2206.06522",
        implementation="graft.merging.composite.ladder:Ladder",
        options=TRAINING,
    ),
    MethodFacts(
        name="calm",
        kind="composite",
        needs=("small_finetuned", "large", "layers", "probe.large"),
        label_use="train",
        heads=(),
        inference=("small", "large"),
        citation="Bansal et al. 2024, LLM Augmented LLMs: CALM, arXiv 2401.02412",
        implementation="graft.merging.composite.calm:Calm",
        options={
            "probe": Option("choice", "mean", "pooling of the large model, and of the probe to start from", POOLINGS)
        }
        | TRAINING,
    ),
)


def facts(name: str) -> MethodFacts:
    """Return the method called `name`; raises ValueError with the known names."""
    if name not in METHODS:
        known = ", ".join(sorted(METHODS)) + meant(name, METHODS)
        raise ValueError(f"no merge method is called {name!r}; available: {known}")
    return METHODS[name]


def implementation(name: str) -> Any:
    """Import and return the class or function that implements the method called `name`."""
    module, attribute = facts(name).implementation.split(":")
    return getattr(importlib.import_module(module), attribute)


def checked_options(name: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return all options of the method called `name`: the given values, and defaults for the rest.

    Raises ValueError for an unknown option or a value of the wrong type, in one sentence.
    """
    checked = checked_values(f"method {name!r}", facts(name).options, given)
    if checked.get("small") == "pretrained" and checked["folds"] > 1:
        raise ValueError(f"method {name!r}: folds are of fine-tunings, which small pretrained has none of")
    if checked.get("evidence") == "weights" and checked["depth"] == "cka":
        raise ValueError(f"method {name!r}: depth cka compares activations, which evidence weights has none of")
    return checked


def checked_values(who: str, known: Mapping[str, Option], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return all known options: the given values, and defaults for the rest; `who` is their owner in errors.

    Raises ValueError for an unknown option or a value of the wrong type, in one sentence.
    """
    given = dict(given or {})
    for option in given:
        if option not in known:
            told = (", ".join(sorted(known)) or "none") + meant(option, known)
            raise ValueError(f"{who} has no option {option!r}; available: {told}")
    return {
        name: _checked(f"option {name!r} of {who}", option, given.get(name, option.default))
        for name, option in known.items()
    }


def needs_calibration(name: str, options: Mapping[str, Any]) -> bool:
    """Whether a method with these options (complete) reads a calibration's statistics."""
    return "statistics" in facts(name).needs and options.get("evidence") != "weights"


def needs_many_tokens(name: str, options: Mapping[str, Any]) -> bool:
    """Whether maps with these options (complete) are underdetermined if a calibration has fewer tokens than units.

    That is so for least squares with next to no ridge.
    """
    solved = options.get("alignment", "least_squares") in ("least_squares", "whitened")
    return needs_calibration(name, options) and solved and options.get("map_ridge", 1.0) < EASY_RIDGE


def depends_on_finetuning(name: str, options: Mapping[str, Any]) -> bool:
    """Whether a method with these options (complete) reads the fine-tuned small model, and so has seeds."""
    return options.get("small") != "pretrained"


def _checked(what: str, option: Option, value: Any) -> Any:
    if option.type == "boolean" and not isinstance(value, bool):
        raise ValueError(f"{what} is {shown(value)}; it must be true or false")
    if option.type in _NUMBERS:
        whole, least, most, words = _NUMBERS[option.type]
        most = option.most or most
        if not _is_number(value, whole) or not least <= value <= most or value == 0 and option.type == "share":
            raise ValueError(f"{what} is {shown(value)}; it must be {words}, {most:,} at most")
    if option.type == "choice" and value not in option.choices:
        raise ValueError(f"{what} is {shown(value)}; it must be one of {', '.join(option.choices)}")
    if option.type == "strengths":
        return _checked_strengths(what, value)
    return value


def _checked_strengths(what: str, value: Any) -> list[float]:
    if not isinstance(value, list | tuple) or not all(_is_number(v) and abs(v) <= _FARTHEST for v in value):
        raise ValueError(f"{what} is {shown(value)}; it must be a list of numbers from -{_FARTHEST} to {_FARTHEST}")
    if 0 not in value:
        raise ValueError(f"{what} is {list(value)!r}; 0 must be among them, so that no merge at all can be chosen")
    return sorted({float(v) for v in value})


def _is_number(value: Any, whole: bool = False) -> bool:
    """Whether `value` is a number; the check of its bounds rejects NaN and infinity."""
    return isinstance(value, int if whole else int | float) and not isinstance(value, bool)
