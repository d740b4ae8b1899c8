import numpy as np
import pytest

from graft.encoders.batches import (
    guessed_tokens,
    inference_batches,
    padding_waste,
    passes,
    training_batches,
    unlabelled_window,
)


@pytest.fixture
def lengths() -> np.ndarray:
    return np.random.default_rng(0).integers(3, 60, 1001)


def test_an_epoch_holds_every_row_once_in_batches_of_the_given_size(lengths):
    batches = training_batches(lengths, 32, np.random.default_rng(1))
    assert sorted(np.concatenate(batches)) == list(range(1001))
    assert sorted(len(b) for b in batches)[1:] == [32] * (len(batches) - 1)


def test_buckets_waste_far_less_than_random_batches(lengths):
    rng = np.random.default_rng(1)
    order = rng.permutation(1001)
    plain = [order[i : i + 32] for i in range(0, 1001, 32)]
    assert padding_waste(lengths, training_batches(lengths, 32, rng)) < 0.35 * padding_waste(lengths, plain)


def test_a_window_of_unlabelled_texts_is_a_quarter_of_them_within_bounds():
    assert [unlabelled_window(rows, 32) for rows in (10, 32 * 40, 32 * 80, 32 * 1000)] == [8, 10, 20, 50]


def test_epochs_differ_and_seeds_repeat(lengths):
    rng = np.random.default_rng(1)
    first, second = training_batches(lengths, 32, rng), training_batches(lengths, 32, rng)
    again = training_batches(lengths, 32, np.random.default_rng(1))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    assert np.array_equal(np.concatenate(first), np.concatenate(again))


def test_inference_goes_through_every_row_longest_first(lengths):
    batches = inference_batches(lengths, 32)
    assert sorted(np.concatenate(batches)) == list(range(1001))
    assert lengths[batches[0][0]] == lengths.max()


def test_a_share_of_the_tokens_is_guessed_and_one_at_least():
    assert guessed_tokens(np.array([1, 3, 10, 20, 100]), 0.15).tolist() == [1, 1, 2, 3, 15]


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("most", [None, 500, 120, 1])
def test_processes_share_a_batch_within_their_budget(lengths, processes, most):
    rows = np.random.default_rng(2).permutation(1001)[:32]
    shared = passes(rows, lengths, processes, most)
    assert sorted(np.concatenate([own for part in shared for own in part])) == sorted(rows)
    assert all(len(part) == processes for part in shared)
    for own in (own for part in shared for own in part if len(own) > 1):
        assert most is None or len(own) * lengths[own].max() <= most
    if most is None:
        assert len(shared) == 1 and np.ptp([len(own) for own in shared[0]]) <= 1
    if most == 1:
        assert max(len(own) for part in shared for own in part) == 1


def test_one_process_takes_a_batch_as_it_comes(lengths):
    rows = np.random.default_rng(2).permutation(1001)[:32]
    assert np.array_equal(passes(rows, lengths, 1, None)[0][0], rows)


def test_a_process_may_get_nothing_of_a_short_batch(lengths):
    assert [len(own) for own in passes(np.array([5]), lengths, 3, None)[0]] == [1, 0, 0]
