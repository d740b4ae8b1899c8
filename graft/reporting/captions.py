"""Captions of figures and tables, in full sentences, for Graft's report and Snakemake's. Imports nothing of Graft."""

from collections.abc import Iterable

TRAINING = (
    "Training FLOPs are all compute from the published checkpoints to this one model, as if it were built alone, what "
    "distilled or pre-trained a model in this study included; whatever was tried on select to make it is part of them, "
    "whole. They are what was multiplied: packed batches leave out padding."
)
_COST = (
    "Bars are intervals for new seeds and new examples; with seeds too few for one, hollow dots are the single seeds. "
    "The grey steps are the Pareto front of these two axes, on which no oracle is; the dashed line is the reference, a "
    "dotted line a system that costs nothing. "
    "Of many systems only these are numbered: those on the front (bold), the fine-tuned ones, the merge that is best "
    "on select, all that was computed to find it (search.merges), and the best control."
)
_FRONTIER = (
    "The line is the highest mean of the classical systems up to a cost, the band its interval, if there are seeds "
    "enough. Bars are intervals for new seeds and new examples; with seeds too few for one, hollow dots are the single "
    "seeds. Named are the merge that is best on select, its matched rival (the classical system that is best on select "
    "among those that cost no more to train and to run){named}. Marks that would hide one another stand side by side; "
    "arrows at the edge point to what is beyond it."
)
# Replaces the task in the name of a figure that is over all of them.
ALL_TASKS = "all-tasks"
# Heading and caption by figure, in the order of the report.
FIGURES = {
    "frontier-training-flops": (
        "What a training budget buys",
        "The metric against training FLOPs, in the scenario's accounting; what costs nothing is in the shaded place. "
        + _FRONTIER.format(named=", the best classical system, and merges and controls that are ahead of their rivals"),
    ),
    "frontier-inference-flops": (
        "What an inference budget buys",
        "The metric against the compute of one example of 128 tokens, whatever it cost to train. "
        + _FRONTIER.format(named=", within each limit on what it may cost to run"),
    ),
    "metric-vs-training-flops": (
        "What every system scores for its training",
        f"The primary metric against training FLOPs. {TRAINING} {_COST}",
    ),
    "metric-vs-inference-flops": (
        "What every system scores for its inference",
        f"The primary metric against the compute of one example of 128 tokens. {_COST}",
    ),
    "differences": (
        "How far every system is from the fine-tuned large model",
        "Difference of typical runs to the fine-tuned large model (paired by seed, without the fifth of the seeds at "
        "either end), with its interval for new seeds and new "
        "examples or, with seeds too few for one, hollow dots for the single seeds. Merges that get a verdict have it "
        "beside them. Differences within the grey band count as equivalent; a star marks the merge best on select.",
    ),
    "seeds": (
        "How much single runs vary",
        "Hollow dots are single runs, the marker below them is their mean, with its interval if there is one; a cross "
        "is a run that predicts the same for every example. The dashed line is the reference.",
    ),
    "strengths": (
        "What more of the merge does to the score on select",
        "The metric on select, by which the strength is chosen, at every strength tried; 0 means no merge at "
        "all. Thin lines are seeds, thick lines their means, circles the chosen strengths.",
    ),
    "warm-start": (
        "Whether a merge is a better start for fine-tuning",
        "The metric after short fine-tunings of the large model from several starts: by steps, and by all FLOPs spent. "
        "The dashed line is the large model fine-tuned to the end. Bars are intervals; with seeds too few for one, "
        "dots are the single seeds.",
    ),
    "layer-similarity": (
        "Which layers of the two models are alike",
        "Linear CKA of the activations of every small and large layer on the task's train texts, before fine-tuning. "
        "Marks show the layers that the study's depth maps pair.",
    ),
    "training": (
        "How each fine-tuning went",
        "Left: training loss by optimizer step. Right: the metric on select after every epoch; the dot marks the best "
        "one, which is kept. There is one line per seed.",
    ),
    "profiles": (
        "How often each system passes a score",
        "The share of a system's runs above each score, over all tasks that the table of all tasks counts, of the best "
        "systems in it. A score of 0 is one answer for all examples, 1 the reference. A line above another "
        "everywhere is better at every quantile. Bands are pointwise 95% intervals for new seeds, if there are enough.",
    ),
}
COSTS = ("metric-vs-training-flops", "metric-vs-inference-flops")
# These are drawn for each scenario.
FRONTIERS = ("frontier-training-flops", "frontier-inference-flops")


def by_name(scenarios: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Heading and caption by the name that a figure has in its file: with a scenario, if there is one for each."""
    found: dict[str, tuple[str, str]] = {}
    for name, (heading, caption) in FIGURES.items():
        if name in FRONTIERS:
            found |= {f"{name}-{scenario}": (f"{heading}, {scenario}", caption) for scenario in scenarios}
        else:
            found[name] = (heading, caption)
    return found
