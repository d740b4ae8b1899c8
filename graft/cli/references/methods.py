"""Generate docs/methods.md: every merge method, from the registries and the docstrings of its implementation."""

import importlib
import inspect
from typing import Any

from graft.flops.counts import classifier_flops
from graft.io import markdown
from graft.merging.facts import DIFFERENCES, TwoShapes
from graft.merging.homogeneous.arithmetic import TaskArithmetic
from graft.merging.homogeneous.protocol import Method
from graft.registry import methods
from graft.registry.options import FARTHEST, Option, Options
from graft.registry.shapes import Shape

TOKENS, OUTPUTS = 128, 2
# The default study's pair: BERT-base and TinyBERT-4L.
LARGE, SMALL = Shape(12, 768, 12, 3072, 30522), Shape(4, 312, 12, 1200, 30522)

NEEDS = {
    "small_finetuned": "the fine-tuned small model",
    "small_pretrained": "the pre-trained small model",
    "large": "the pre-trained large model",
    "moments": "both pre-trained models' activations on unlabelled text (none with `evidence: weights`)",
    "texts": "unlabelled text to run the models on",
    "layers": "the large model's states of all tokens of train and select",
    "probe.large": "a probe on the large model",
    "probe.small": "a probe on the small model",
}
LABEL_USE = {
    "none": "`none`",
    "select": "`select`, to choose the strength (with the head `labelled`: `train`)",
    "train": "`train`",
}
INTRODUCTION = f"""
# Merge methods

Generated from the code by `make docs`; `python -m graft methods` prints a summary.

How each departs from its paper is [listed at the end](#departures-from-papers). Three families: [weights of two
shapes](#weights-of-two-shapes) make one model of the large shape, [composites](#composites) run parts of both models,
and [merges of one shape](#models-of-one-shape) make one model out of several alike. Symbols: S small, L large; 0
pre-trained, ft fine-tuned; d a change, fine-tuned minus pre-trained; weights W are [out, in] as in torch. Inference is
for the default pair, BERT-base and TinyBERT-4L, at {TOKENS} tokens; × is relative to the fine-tuned large model.
"""
CROSSING = """
What each method does if the large model differs from the small one, a BERT, in one thing. **exact**: a large model that
computes what the small one did comes to compute, at strength 1, what fine-tuning made of the small one, but for
rounding; **works**: it runs, and changes the large model, without that promise; **refused**: in one sentence, before
anything is made. Each cell is tested. Models that differ in several things, such as a BERT and a ModernBERT, cross all
of them at once, and biases that the large one lacks are left behind.
"""
IN_A_STUDY = """
In a study each goes under [`systems.merge`](configuration.md#systemsmergename), with its options beside `heads`,
`fit_rows` and `ridge`. Without a workflow: `python -m graft merge --method NAME --large DIR --small-finetuned DIR
--small-pretrained DIR --text FILE --out DIR`.
"""
HEADS = """
Most are combined with a head, one system each: `transplant` (the small model's head, through a ridge map between the
models' states), `label-free` (fitted to the fine-tuned small model's logits), `labelled` (fitted in closed form to
labels of train). All strengths include 0, so that no merge at all can be chosen; how often it was is reported.
"""
VOCABULARIES = """
Where the models of a pair have one tokenizer (`models.*.tokenizer`; in `graft merge`, where both read alike), they read
the same tokens. Otherwise each reads its own tokens of the same texts, and tokens are aligned by their characters into
*spans*, the smallest stretches in which both have whole tokens; `[CLS]` or `<s>` is a span, and so is what ends a text.
A span's state is the mean of its tokens': maps and moments are between spans, `functional`, `stitch`, `ladder` and
`calm` bring to each token the mean of its span in the other model, and composites of logits let each model read its
own. Changes of word embeddings go to tokens with the same surface form, such as `##s`, `s` behind no `Ġ` and `s` behind
no `▁`; all other words' embeddings stay, and `evidence: weights` compares shared tokens alone. Both models cut texts to
the large one's `max_tokens`. FLOPs of calibrations and maps, and those of a plan, are counted as if the small model had
the large one's tokens.
"""
COMPOSITES = """
Each is a folder with `composite.json`, which names its parts and their sha256; [`graft.load`](python.md#use-a-system)
makes a function of texts of it. `merge` with `--labelled FILE.tsv` makes those that are not trained without a study
too, in a folder that stands alone; what it varies is chosen on every fifth labelled row, and the head is then fitted to
all.
"""
SAME_SHAPE = """
`python -m graft merge --method NAME --base DIR --models DIR DIR … --out DIR`, in blocks from disk to disk. theta_i: the
models, w_i their weights, theta_0 the base. The merged model has the shape of one, and so its inference cost (×1). No
labels are read; `--option NAME=VALUE` sets an option.
"""
DEPARTURES = """
How each method here departs from its paper, as far as we know. Common to all: models are encoders under heads of
ours, and a strength may be searched on `select`.
"""
# Systems that are trained, which have no room: source, and how they depart from it.
TRAINED = {
    "lora": (
        "Hu et al. 2021, LoRA, arXiv 2106.09685",
        "learning rate and epochs are one choice for all tasks; pooler and classifier are trained in full",
    ),
    "distil": (
        "Hinton et al. 2015, arXiv 1503.02531; Jiao et al. 2020, TinyBERT, arXiv 1909.10351",
        "the teacher's answers alone, at temperature 1: no true labels as in the former; no states, attention or "
        "augmented data as in the latter",
    ),
    "weak-to-strong": (
        "Burns et al. 2023, Weak-to-Strong Generalization, arXiv 2312.09390",
        "no confidence loss; the small model answers texts that it was trained on, in the paper others",
    ),
    "models.*.distil": (
        "Jiao et al. 2020, TinyBERT, arXiv 1909.10351, general distillation",
        "each term is divided by the teacher's variance; keys are centred over a text's tokens; the student starts "
        "from a fit in closed form",
    ),
}


def reference() -> str:
    """Render the whole page."""
    two_shapes, composites = (map(_two_shapes, methods.table(kind).values()) for kind in methods.KINDS)
    one_shape = map(_one_shape, methods.table(methods.ONE_SHAPE, methods.GREEDY).values())
    parts = [INTRODUCTION, "## What crosses", CROSSING, _crossings()]
    parts += ["## Weights of two shapes", IN_A_STUDY, HEADS, *two_shapes]
    parts += ["## Composites", COMPOSITES, *composites, "## Two vocabularies", VOCABULARIES]
    parts += ["## Models of one shape", SAME_SHAPE, *one_shape]
    parts += ["## Departures from papers", DEPARTURES, markdown.table(("method", "source", "departure"), _departures())]
    return markdown.page(*parts)


def inference(facts: type[TwoShapes]) -> str:
    """The inference cost of one example, in GFLOPs and as a multiple of the large model's."""
    costs = facts().answers(SMALL, LARGE, TOKENS, OUTPUTS)
    whole = classifier_flops(LARGE, TOKENS, OUTPUTS)
    paragraphs = [f"{cost / 1e9:.1f} GFLOPs (×{cost / whole:.2f})" for cost in sorted({min(costs), max(costs)})]
    return f"{'parts of ' * (len(costs) > 1)}{' + '.join(facts.inference)}: {' to '.join(paragraphs)}"


def _crossings() -> str:
    rows = [
        (f"`{name}`", *(f"**{cell.verdict}**: {cell.why}" for cell in map(method.crosses.__getitem__, DIFFERENCES)))
        for name, method in methods.table(*methods.KINDS).items()
    ]
    return markdown.table(("method", *DIFFERENCES.values()), rows)


def _departures() -> list[tuple[str, str, str]]:
    rows = [(name, method.citation, method.departs) for name, method in methods.table().items()]
    rows += [(name, *row) for name, row in TRAINED.items()]
    without = {True: "no paper to depart from", False: "none known"}
    return [(f"`{row[0]}`", row[1], row[2] or without[row[1].startswith(("none:", "ours:"))]) for row in rows]


def _two_shapes(facts: type[TwoShapes]) -> str:
    rows = [
        ("kind", f"`{facts.kind}`"),
        ("needs", "; ".join(NEEDS[need] for need in facts.needs)),
        ("labels seen", LABEL_USE[facts.label_use] if facts.heads else f"`{facts.label_use}`"),
        ("heads", ", ".join(f"`{head}`" for head in facts.heads) or "its own"),
        ("inference", inference(facts)),
        ("source", facts.citation),
    ]
    return _section(facts, _told(facts.implementation), rows)


def _one_shape(facts: type[Method]) -> str:
    least, most = facts.models
    count = (
        ("one model" if least == 1 else f"{least} models") + " or more"
        if most is None
        else "two models, or a base and one"
    )
    needs = [count, *(["their base (`--base`)"] if facts.base else [])]
    if facts.statistics:
        needs.append(f"`{facts.statistics}` for each (`--statistics`)")
    rows = [
        ("needs", ", ".join(needs)),
        ("strength", f"{facts.strength:g} by default"),
        ("weights of models", "yes (`--weights`)" if facts.weighted else "no: all count alike"),
        ("source", facts.citation),
    ]
    paragraphs = _told(facts.implementation)
    if issubclass(facts, TaskArithmetic):
        paragraphs = _family(facts, paragraphs)
    return _section(facts, paragraphs, rows)


def _family(facts: type[TaskArithmetic], paragraphs: list[str]) -> list[str]:
    """Describe a method of the family of task arithmetic by what it is made of."""
    if facts.sparse is TaskArithmetic.sparse:
        return paragraphs
    sparse, consensus = _paragraphs(facts.sparse), _paragraphs(facts.consensus)
    scale = "the mean, the first over the second" if facts.mean else "the sum as it is"
    return [
        "theta = theta_0 + strength * consensus(sparse(tau_1), ..., sparse(tau_n)), with tau_i = theta_i - theta_0.",
        f"Sparse: {sparse[0]}",
        *sparse[1:],
        f"Consensus ({scale}): {consensus[0]}",
        *consensus[1:],
    ]


def _section(facts: type[Options], paragraphs: list[str], rows: list[tuple[str, str]]) -> str:
    listed = [(f"`{option}`", _values(o), f"`{_written(o.default)}`", o.help) for option, o in facts.known().items()]
    shown = markdown.table(("option", "values", "default", "what"), listed) if listed else "No options."
    return markdown.page(f"### {facts.name}", *paragraphs, markdown.table(("fact", "value"), rows), shown)


def _told(implementation: str) -> list[str]:
    """Paragraphs of the docstrings of a method's module and implementation, with sources last."""
    module_name, attribute = implementation.split(":")
    module = importlib.import_module(module_name)
    paragraphs = [*_paragraphs(module), *_paragraphs(getattr(module, attribute))]
    return sorted(paragraphs, key=lambda text: text.startswith("Source: "))


def _paragraphs(thing: Any) -> list[str]:
    """Paragraphs of a docstring, without those about errors, which do not concern users."""
    paragraphs = inspect.getdoc(thing) or ""
    return [markdown.prose(text) for text in paragraphs.split("\n\n") if not text.startswith("Raises ")]


def _values(option: Option) -> str:
    if option.choices:
        return ", ".join(f"`{choice}`" for choice in option.choices)
    if option.bounds:
        most = option.bounds.most
        return option.bounds.words.removeprefix("a ") + (f", at most {most:,}" if most <= FARTHEST else "")
    return "true or false" if option.type is bool else "list of numbers, 0 among them"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value) if isinstance(value, tuple) else value)
