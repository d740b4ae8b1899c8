import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch

from graft.measuring.memory import peak_bytes

MIB = 1 << 20


def fresh(function, *arguments):
    """Call it in a new process, as the programs that measure memory are: what this one freed and kept would be taken
    first, and not be seen."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def weights(mib):
    """Load a system with this many MiB of weights, which briefly takes as much again, and answer in `n` MiB."""

    def load():
        kept = torch.ones(mib * MIB, dtype=torch.uint8)
        torch.ones(mib * MIB, dtype=torch.uint8)

        def answer(batch):
            return torch.ones(batch["n"] * MIB, dtype=torch.uint8)[:1] + kept[:1]

        return answer

    return load


def peak(mib, batches):
    return peak_bytes(weights(mib), [{"n": n} for n in batches], "cpu")


def peak_beside(held, mib, batches):
    """The same in a process that already holds this many MiB, and still does afterwards."""
    kept = torch.ones(held * MIB, dtype=torch.uint8)
    found = peak(mib, batches)
    return found, int(kept.sum())


def test_the_peak_is_that_of_weights_and_the_largest_batch_not_of_loading():
    assert fresh(peak, 200, (10, 50, 20)) == pytest.approx(250 * MIB, abs=10 * MIB)


def test_what_this_process_holds_already_is_not_counted_and_nothing_stays_behind():
    found, held = fresh(peak_beside, 100, 40, (1,))
    assert found == pytest.approx(41 * MIB, abs=10 * MIB) and held == 100 * MIB


def test_a_process_that_dies_is_an_error():
    with pytest.raises(RuntimeError, match="measures memory ended with status 9"):
        peak_bytes(lambda: os._exit(9), [], "cpu")


def test_a_system_that_does_not_tell_leaves_it_empty(monkeypatch, tmp_path):
    monkeypatch.setattr("graft.measuring.memory._STATUS", tmp_path / "none")
    assert peak_bytes(weights(1), [{"n": 1}], "cpu") is None
