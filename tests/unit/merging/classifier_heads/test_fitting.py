import pytest
import torch

from graft.merging.classifier_heads.fitting import fit_heads
from graft.registry.methods import HEADS
from tests.unit.merging.classifier_heads.making import HIDDEN, POOLER, head_of, random

SIZES = (1e-12, 0.1)


@pytest.mark.parametrize("kind", HEADS)
def test_every_kind_gives_one_head_per_ridge_size_and_says_what_it_needs(kind):
    given = {"small_head": head_of(4, 2), "small_hidden": random(80, 4), "labels": torch.arange(80) % 2, "classes": 2}
    assert tuple(fit_heads(kind, HIDDEN, POOLER, SIZES, **given)) == SIZES
    with pytest.raises(ValueError, match=f"head '{kind}' needs"):
        fit_heads(kind, HIDDEN, POOLER, SIZES)


def test_an_unknown_kind_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="no head is called 'free'; available: transplant"):
        fit_heads("free", HIDDEN, POOLER, SIZES)
