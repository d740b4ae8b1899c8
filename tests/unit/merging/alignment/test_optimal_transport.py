import pytest
import torch

from graft.merging.alignment.optimal_transport import plan, transported
from graft.merging.moments import Moments


def moments_of(small, large):
    return Moments.of(small, large, grams=True)


@pytest.fixture
def small():
    return torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1


@pytest.mark.parametrize("hard", [True, False])
def test_plans_have_equal_masses(small, hard):
    found = plan(moments_of(small, torch.cat([small, small[:, :2] ** 2], dim=1)), hard)
    torch.testing.assert_close(found.sum(0), torch.full((7,), 1 / 7).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.sum(1), torch.full((5,), 1 / 5).double(), atol=1e-6, rtol=0)


def test_a_permutation_is_found(small):
    order = torch.tensor([3, 0, 4, 1, 2])
    maps = transported(moments_of(small, small[:, order]), hard=True)
    torch.testing.assert_close(maps.forward, torch.eye(5).double()[:, order], atol=1e-9, rtol=0)
    torch.testing.assert_close(maps.backward, maps.forward.T)


def test_a_unit_that_was_copied_is_read_half_from_each_copy(small):
    maps = transported(moments_of(small, torch.cat([small, small], dim=1)), hard=True)
    both = torch.eye(5).double().repeat(1, 2)
    torch.testing.assert_close(maps.forward, both, atol=1e-9, rtol=0)
    torch.testing.assert_close(maps.backward, both.T / 2, atol=1e-9, rtol=0)


def test_scale_and_shift_do_not_matter_and_constant_units_do_no_harm(small):
    large = torch.cat([7 * small + 2, torch.ones(200, 1).double()], dim=1)
    soft = plan(moments_of(small, large), hard=False)
    assert torch.isfinite(soft).all()
    assert soft[:, :5].argmax(1).tolist() == [0, 1, 2, 3, 4]
