import numpy as np
import pytest

from graft.merging.homogeneous.magnitudes import digits, kth_largest


def found(values, ranks):
    return kth_largest(lambda shift, prefix: digits(values, shift, prefix), ranks, values.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_every_rank_is_that_of_sorting(dtype, scale):
    values = (np.random.default_rng(0).standard_normal(500) * scale).astype(dtype)
    values[:100] = 0
    values[100:150] = -values[200]
    ranks = [1, 2, 77, 399, 400, 401, 500]
    expected = np.sort(np.abs(values))[::-1]
    assert found(values, ranks) == [float(expected[rank - 1]) for rank in ranks]


def test_counts_of_blocks_add_up():
    values = np.random.default_rng(1).standard_normal(300).astype(np.float32)

    def count(shift, prefix):
        return sum(digits(part, shift, prefix) for part in np.split(values, 3))

    assert kth_largest(count, [30], np.float32) == found(values, [30])
