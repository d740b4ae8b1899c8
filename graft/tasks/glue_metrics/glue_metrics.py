"""GLUE's metrics as an `evaluate` module that needs no hub."""

import datasets
import evaluate
import numpy as np

from graft.tasks import scores

_CITATION = """@inproceedings{wang2019glue, title={{GLUE}: A Multi-Task Benchmark and Analysis Platform for Natural
Language Understanding}, author={Wang, Alex and Singh, Amanpreet and Michael, Julian and Hill, Felix and Levy, Omer and
Bowman, Samuel R.}, note={ICLR 2019}}"""
_DESCRIPTION = "Accuracy, F1 and Matthews correlation for classes; Pearson, Spearman and their mean for a score."
_INPUTS = "predictions, references: class ids (config classes) or numbers (config score); metrics: names to compute."


class GlueMetrics(evaluate.Metric):  # type: ignore[misc]
    """Metrics by name; config `classes` or `score`."""

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("float64" if self.config_name == "score" else "int64")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": value, "references": value}),
        )

    def _compute(self, predictions: list[float], references: list[float], metrics: list[str]) -> dict[str, float]:
        return scores.values(np.asarray(predictions), np.asarray(references), metrics, self.config_name)
