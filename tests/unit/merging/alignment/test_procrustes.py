import pytest
import torch

from graft.merging.alignment.procrustes import procrustes

torch.manual_seed(0)


def _rotation(n):
    return torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0]


def test_a_rotation_is_found_whatever_the_scale():
    small = torch.randn(50, 5, dtype=torch.float64)
    rotation = _rotation(5)
    torch.testing.assert_close(procrustes(small.T @ (3 * small @ rotation)), rotation)


def test_a_model_with_itself_gives_the_identity():
    x = torch.randn(50, 6, dtype=torch.float64)
    torch.testing.assert_close(procrustes(x.T @ x), torch.eye(6, dtype=torch.float64))


def test_rows_are_orthonormal_and_no_other_such_map_is_closer():
    small, large = torch.randn(40, 3, dtype=torch.float64), torch.randn(40, 7, dtype=torch.float64)
    best = procrustes(small.T @ large)
    torch.testing.assert_close(best @ best.T, torch.eye(3, dtype=torch.float64))
    for _ in range(50):
        other = _rotation(7)[:3]
        assert (small @ best - large).norm() <= (small @ other - large).norm()


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        procrustes(torch.full((2, 3), float("nan")))
