import pytest
import torch

from graft.merging.classifier_heads.fitting import fit_heads
from graft.merging.classifier_heads.head import head_logits
from tests.unit.merging.classifier_heads.making import HIDDEN, POOLER, random


@pytest.mark.parametrize("classes", [2, 3])
def test_labelled_head_learns_classes(classes):
    labels = (HIDDEN @ random(6, classes, seed=14)).argmax(1)
    head = fit_heads("labelled", HIDDEN, POOLER, [0.01], labels=labels, classes=classes)[0.01]
    logits = head_logits(head, HIDDEN)
    assert logits.shape == (80, classes)
    assert (logits.argmax(1) == labels).double().mean() > 0.75


def test_labelled_head_learns_a_score():
    scores = 5 * torch.tanh(HIDDEN @ POOLER[0].T + POOLER[1])[:, 2] + 1
    head = fit_heads("labelled", HIDDEN, POOLER, [1e-12], labels=scores)[1e-12]
    torch.testing.assert_close(head_logits(head, HIDDEN)[:, 0], scores, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_outside_the_classes_are_refused(label):
    labels = torch.zeros(80, dtype=torch.long)
    labels[3] = label
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        fit_heads("labelled", HIDDEN, POOLER, [0.1], labels=labels, classes=2)
