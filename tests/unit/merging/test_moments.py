import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from graft.merging.moments import Filed, Moments, total


@pytest.fixture
def activations():
    generator = torch.Generator().manual_seed(3)
    small = torch.randn(50, 4, generator=generator, dtype=torch.float64) + 2
    return small, small @ torch.randn(4, 6, generator=generator, dtype=torch.float64) - 1


def _same(found, expected):
    for name, value in vars(expected).items():
        torch.testing.assert_close(torch.as_tensor(getattr(found, name)), torch.as_tensor(value), rtol=1e-12, atol=1e-9)


def test_adding_in_place_is_the_sum_of_the_parts(activations):
    small, large = activations
    parts = [Moments.of(small[rows], large[rows], grams=True) for rows in (slice(0, 20), slice(20, 50))]
    expected = total(parts)
    _same(Moments.of(small[:20], large[:20], grams=True).added(small[20:], large[20:]), expected)
    _same(expected, Moments.of(small, large, grams=True))


@pytest.mark.parametrize("grams", [True, False])
def test_what_linear_layers_make_of_activations_follows_without_them(activations, grams):
    generator = torch.Generator().manual_seed(4)
    layers = [
        (torch.randn(3, width, generator=generator).double(), torch.randn(3, generator=generator).double())
        for width in (4, 6)
    ]
    made = [x @ weight.T + bias for x, (weight, bias) in zip(activations, layers, strict=True)]
    found = Moments.of(*activations, grams).through(*layers)
    expected = Moments.of(*made, grams)
    assert (found.gram_small is None) == (not grams)
    for name in ("small", "large", "cross") + (("gram_small", "gram_large") if grams else ()):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-10, atol=1e-9)


def test_moments_in_a_file_are_read_as_they_are_asked_for(tmp_path):
    kept = {"a.count": torch.tensor(3), "a.small": torch.arange(4.0), "b.cross": torch.eye(2)}
    save_file(kept, tmp_path / "moments.safetensors")
    found = Filed(tmp_path / "moments.safetensors")
    assert sorted(found) == sorted(kept) and len(found) == 3 and "a.small" in found and "a.large" not in found
    assert all(found[name].equal(tensor) for name, tensor in kept.items())
    with pytest.raises(KeyError):
        found["a.large"]


def test_moments_in_a_file_take_no_memory_once_they_were_read(tmp_path):
    # In a separate process, which has nothing else to free.
    save_file(
        {f"site.{i}": torch.ones(1024, 1024, dtype=torch.float64) for i in range(12)}, tmp_path / "moments.safetensors"
    )
    program = """
import sys
from pathlib import Path
from graft.merging.moments import Filed
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
found = Filed(Path(sys.argv[1]))
found["site.0"].sum()
before, most = resident(), 0
for name in found:
    tensor = found[name]
    assert tensor.sum() == 1024**2
    most = max(most, resident() - before)
print(most)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "moments.safetensors"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    # Two tensors of 8 MB: the last one, and the one before while it is replaced; together they are 96 MB.
    assert int(done.stdout) < 24_000
