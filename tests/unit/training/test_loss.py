import pytest
import torch
from torch.nn import functional

from graft.training.loss import loss_of


@pytest.mark.parametrize("classes", [2, 3])
def test_the_loss_of_classes_is_cross_entropy_and_that_of_certain_probabilities_is_the_same(classes):
    logits, labels = torch.randn(6, classes), torch.arange(6) % classes
    assert torch.equal(loss_of(logits, labels), functional.cross_entropy(logits, labels))
    certain = functional.one_hot(labels, classes).float()
    torch.testing.assert_close(loss_of(logits, certain), loss_of(logits, labels))
    soft = torch.randn(6, classes).softmax(1)
    assert torch.equal(loss_of(logits, soft), functional.cross_entropy(logits, soft))
    torch.testing.assert_close(loss_of(logits, soft), -(soft * logits.log_softmax(1)).sum(1).mean())


def test_the_loss_of_scores_is_the_squared_error():
    logits, scores = torch.randn(6, 1), torch.randn(6)
    torch.testing.assert_close(loss_of(logits, scores), (logits[:, 0] - scores).square().mean())


@pytest.mark.parametrize(("logits", "labels"), [((6, 2), (6,)), ((6, 1), (6, 1)), ((6, 3), (6, 2)), ((6, 1), (5,))])
def test_labels_that_do_not_fit_are_refused(logits, labels):
    with pytest.raises(ValueError, match=r"do not fit logits"):
        loss_of(torch.randn(logits), torch.randn(labels))
