import pytest
import torch

from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.fitting import fit_heads
from graft.merging.classifier_heads.head import Head, head_logits
from graft.registry.methods import HEADS
from tests.unit.merging.classifier_heads.making import HIDDEN, OWN, POOLER, head_of, random

SIZES = (1e-12, 0.1)


@pytest.mark.parametrize("kind", HEADS)
def test_every_kind_gives_one_head_per_ridge_size_and_says_what_it_needs(kind):
    given = {"small_head": head_of(4, 2), "small_hidden": random(80, 4), "labels": torch.arange(80) % 2, "classes": 2}
    assert tuple(fit_heads(kind, HIDDEN, OWN, SIZES, **given)) == SIZES
    with pytest.raises(ValueError, match=f"head '{kind}' needs"):
        fit_heads(kind, HIDDEN, OWN, SIZES)


def test_an_unknown_kind_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="no head is called 'free'; available: transplant"):
        fit_heads("free", HIDDEN, OWN, SIZES)


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_transplant_is_exact_where_the_small_state_is_a_linear_function_of_the_large_one(outputs):
    small_head = head_of(4, outputs)
    small_hidden = HIDDEN @ random(6, 4, seed=12) + 0.5
    heads = fit_heads("transplant", HIDDEN, OWN, [1e-12], small_head=small_head, small_hidden=small_hidden)
    head = heads[1e-12]
    assert head.pooler_weight.shape == (6, 6) and head.classifier_weight.shape == (outputs, 6)
    expected = head_logits(small_head, small_hidden)
    torch.testing.assert_close(head_logits(head, HIDDEN), expected, rtol=1e-8, atol=1e-8)


def test_transplant_computes_the_small_head_of_the_mapped_state_at_any_ridge():
    small_head, small_hidden = head_of(4, 2), random(80, 4, seed=13)
    mapped = ridge.fit(HIDDEN, small_hidden, [0.5])[0.5](HIDDEN)
    head = fit_heads("transplant", HIDDEN, OWN, [0.5], small_head=small_head, small_hidden=small_hidden)[0.5]
    torch.testing.assert_close(head_logits(head, HIDDEN), head_logits(small_head, mapped))


def test_transplant_refuses_a_wider_small_model():
    with pytest.raises(ValueError, match="8 wide does not fit into a model 6 wide"):
        fit_heads("transplant", HIDDEN, OWN, [0.1], small_head=head_of(8, 2), small_hidden=random(80, 8))


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_label_free_recovers_logits_that_are_linear_in_the_bodys_pooled_output(outputs):
    small_head = head_of(6, outputs)
    own = Head(*POOLER, small_head.classifier_weight, small_head.classifier_bias)
    head = fit_heads("label-free", HIDDEN, OWN, [1e-12], small_head=own, small_hidden=HIDDEN)[1e-12]
    torch.testing.assert_close(head_logits(head, HIDDEN), head_logits(own, HIDDEN), rtol=1e-6, atol=1e-6)
    assert torch.equal(head.pooler_weight, POOLER[0]) and torch.equal(head.pooler_bias, POOLER[1])


@pytest.mark.parametrize("classes", [2, 3])
def test_labelled_head_learns_classes(classes):
    labels = (HIDDEN @ random(6, classes, seed=14)).argmax(1)
    head = fit_heads("labelled", HIDDEN, OWN, [0.01], labels=labels, classes=classes)[0.01]
    logits = head_logits(head, HIDDEN)
    assert logits.shape == (80, classes)
    assert (logits.argmax(1) == labels).double().mean() > 0.75


def test_labelled_head_learns_a_score():
    scores = 5 * torch.tanh(HIDDEN @ POOLER[0].T + POOLER[1])[:, 2] + 1
    head = fit_heads("labelled", HIDDEN, OWN, [1e-12], labels=scores)[1e-12]
    torch.testing.assert_close(head_logits(head, HIDDEN)[:, 0], scores, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_outside_the_classes_are_refused(label):
    labels = torch.zeros(80, dtype=torch.long)
    labels[3] = label
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        fit_heads("labelled", HIDDEN, OWN, [0.1], labels=labels, classes=2)
