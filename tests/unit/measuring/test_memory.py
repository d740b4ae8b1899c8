import ctypes
import os

import pytest
import torch

from graft.measuring.memory import peak_bytes

MIB = 1 << 20
# Numbers of mallopt's settings in glibc's malloc.h, and what they are at first.
TRIM_THRESHOLD, MMAP_THRESHOLD, AT_FIRST = -1, -3, 128 * 1024


@pytest.fixture(autouse=True)
def freed_memory_is_given_back():
    """It is not where this process has fine-tuned before, as no program does that measures memory."""
    libc = ctypes.CDLL(None)
    libc.mallopt(MMAP_THRESHOLD, AT_FIRST)
    libc.mallopt(TRIM_THRESHOLD, AT_FIRST)


def weights(mib):
    """Loads a system with so many MiB of weights, which takes as much again for a moment, and answers in `n` MiB."""

    def load():
        kept = torch.ones(mib * MIB, dtype=torch.uint8)
        torch.ones(mib * MIB, dtype=torch.uint8)

        def answer(batch):
            return torch.ones(batch["n"] * MIB, dtype=torch.uint8)[:1] + kept[:1]

        return answer

    return load


def test_the_peak_is_that_of_weights_and_the_largest_batch_not_of_loading():
    found = peak_bytes(weights(200), [{"n": 10}, {"n": 50}, {"n": 20}], "cpu")
    assert found == pytest.approx(250 * MIB, abs=10 * MIB)


def test_what_this_process_holds_already_is_not_counted_and_nothing_stays_behind():
    held = torch.ones(100 * MIB, dtype=torch.uint8)
    assert peak_bytes(weights(40), [{"n": 1}], "cpu") == pytest.approx(41 * MIB, abs=10 * MIB)
    assert len(held) == 100 * MIB


def test_a_process_that_dies_is_an_error():
    with pytest.raises(RuntimeError, match="measures memory ended with status 9"):
        peak_bytes(lambda: os._exit(9), [], "cpu")


def test_a_system_that_does_not_tell_leaves_it_empty(monkeypatch, tmp_path):
    monkeypatch.setattr("graft.measuring.memory._STATUS", tmp_path / "none")
    assert peak_bytes(weights(1), [{"n": 1}], "cpu") is None
