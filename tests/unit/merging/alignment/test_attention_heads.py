import pytest
import torch

from graft.merging.alignment import affine
from graft.merging.alignment.attention_heads import match, per_head
from graft.merging.moments import Moments

FIT = affine.fit("least_squares", 0.0)


@pytest.fixture
def small():
    """Three heads of two units."""
    return torch.randn(300, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def turned(head, seed):
    return head @ torch.randn(2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + seed


def test_heads_in_another_order_are_found_and_mapped_alone(small):
    order = [2, 0, 1]
    large = torch.cat([turned(small[:, 2 * i : 2 * i + 2], i + 1) for i in order], dim=1)
    moments = Moments.of(small, large, grams=True)
    matched = match(moments, 3, 3)
    assert matched == order
    maps = per_head(moments, FIT, matched, 3)
    torch.testing.assert_close((small - small.mean(0)) @ maps.forward + large.mean(0), large)
    for j, i in enumerate(matched):
        others = [k for k in range(6) if k // 2 != i]
        assert (maps.forward[others, 2 * j : 2 * j + 2] == 0).all()


def test_large_heads_left_over_take_the_small_head_most_like_them(small):
    heads = [small[:, 0:2], small[:, 2:4], small[:, 4:6]]
    large = torch.cat([turned(heads[i], n + 1) for n, i in enumerate([1, 1, 0, 2])], dim=1)
    moments = Moments.of(small, large, grams=True)
    matched = match(moments, 3, 4)
    assert matched == [1, 1, 0, 2]
    maps = per_head(moments, FIT, matched, 3)
    torch.testing.assert_close((large - large.mean(0)) @ maps.backward + small.mean(0), small)


def test_a_small_head_without_a_large_one_is_read_as_nothing(small):
    moments = Moments.of(small, small[:, :2], grams=True)
    maps = per_head(moments, FIT, match(moments, 3, 1), 3)
    torch.testing.assert_close(maps.forward[:2], torch.eye(2).double(), atol=1e-9, rtol=0)
    assert (maps.backward[:, 2:] == 0).all()
