import numpy as np
import pytest
import torch

from graft.merging.homogeneous.products import solve, svd

# torch computes on a GPU; by the name of its CPU with a number it does so here.
DEVICES = ["cpu", torch.device("cpu", 0)]
MATRIX = np.random.default_rng(0).normal(size=(5, 3))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("matrix", [MATRIX, MATRIX.T])
def test_factors_are_thin_in_descending_order_and_give_the_matrix(matrix, device):
    u, s, v = svd(matrix, device)
    assert u.shape == (len(matrix), 3) and s.shape == (3,) and v.shape == (3, matrix.shape[1])
    assert list(s) == sorted(s, reverse=True) and u * s @ v == pytest.approx(matrix)


@pytest.mark.parametrize("device", DEVICES)
def test_a_solution_solves_it_in_double_precision(device):
    left, right = MATRIX.T @ MATRIX, np.arange(6.0).reshape(3, 2)
    found = solve(left, right, device)
    assert found.dtype == np.float64 and left @ found == pytest.approx(right, abs=1e-12)
