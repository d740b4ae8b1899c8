import evaluate
import numpy as np
import pytest

from graft.tasks import scores
from graft.tasks.metrics import MODULE


@pytest.mark.parametrize(
    ("kind", "told", "labels", "names"),
    [
        ("classes", [0, 1, 1, 1], [0, 1, 0, 1], ["accuracy", "f1", "f1_macro", "matthews_correlation"]),
        ("score", [0.5, 1.5, 4.0], [1.0, 2.0, 2.5], ["correlation", "pearson", "spearman"]),
    ],
)
def test_evaluate_finds_the_module_without_a_hub_and_gives_the_formulas_values(kind, told, labels, names):
    module = evaluate.load(str(MODULE), kind, keep_in_memory=True)
    found = module.compute(predictions=told, references=labels, metrics=names)
    assert found == scores.values(np.array(told), np.array(labels), names, kind) and list(found) == names
