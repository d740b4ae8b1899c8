"""Captions of figures and tables, in full sentences, for Graft's report and Snakemake's. Imports nothing."""

_COST = (
    "Bars are intervals for new seeds and new examples, the grey steps the Pareto front, the dashed line the "
    "reference, a dotted line a system that costs nothing. Of many systems these are numbered: on the front (bold), "
    "fine-tuned, the merge that is best on select, the best control."
)
# Heading and caption by figure, in the order of the report.
FIGURES = {
    "metric-vs-training-flops": (
        "Metric against training FLOPs",
        f"The primary metric against all compute from the published models to each system. {_COST}",
    ),
    "metric-vs-inference-flops": (
        "Metric against inference FLOPs",
        f"The primary metric against the compute of one example of 128 tokens. {_COST}",
    ),
    "differences": (
        "Differences to the reference",
        "Mean difference to the fine-tuned large model, paired by seed, with its interval for new seeds and new "
        "examples. The grey band, if any, is what counts as equivalent; a star marks the merge that is best on select.",
    ),
    "seeds": (
        "Every seed",
        "Hollow dots are single runs, the marker below them is their mean with its interval; a cross is a run that "
        "predicts the same for every example. The dashed line is the reference.",
    ),
    "strengths": (
        "Strength of the merge",
        "The metric on select, by which the strength is chosen, at every strength that was tried; 0 is no merge at "
        "all. Thin lines are seeds, thick ones their mean, circles the strengths chosen.",
    ),
    "warm-start": (
        "Warm starts",
        "The metric after short fine-tunings of the large model from several starts: by steps, and by all FLOPs spent. "
        "The dashed line is the large model fine-tuned to the end.",
    ),
    "layer-similarity": (
        "Similarity of layers",
        "Linear CKA of the activations of every small and large layer on the task's train texts, before fine-tuning. "
        "Marks are the layers that the study's depth maps join.",
    ),
    "training": (
        "Training",
        "Left: training loss by optimizer step. Right: the metric on select after every epoch; the dot is the best "
        "one, which is kept. A line per seed.",
    ),
}
