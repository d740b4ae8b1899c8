import numpy as np
import pytest
import torch

from graft.merging.homogeneous.formats import finite, narrowed, widened


def test_bfloat16_is_read_and_rounded_as_torch_does():
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(0)) * torch.logspace(-38, 38, 10_000)
    # Halfway between two numbers, to the even one.
    values = torch.cat([values, torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, -0.0, 0.0])])
    expected = values.bfloat16()
    stored = narrowed(values.numpy(), "BF16")
    assert np.array_equal(stored.view(np.int16), expected.view(torch.int16).numpy())
    assert np.array_equal(widened(stored, "BF16", np.dtype(np.float32)), expected.float().numpy())


@pytest.mark.parametrize(("dtype", "value"), [("F16", 70_000), ("BF16", 3.4e38)])
def test_a_number_that_does_not_fit_is_an_error(dtype, value):
    with pytest.raises(OverflowError, match=f"not finite in {dtype}"):
        narrowed(np.float32([1, value]), dtype)


def test_finite_numbers_are_told_from_others():
    assert finite(np.full(10, 3e38, np.float32)) and finite(np.zeros(0, np.float32))
    for bad in (np.nan, np.inf, -np.inf):
        assert not finite(np.float32([1, bad, 2]))
    assert not finite(np.float32([np.inf, -np.inf]))
