"""The rule for hyperparameters; that it fits is tested on a generated task (tests/unit/training/test_rule.py)."""

import pytest

from graft.registry.hyperparameters import MOST_RATE, finetuning, masked_steps


def test_bert_base_has_what_is_usual_for_it():
    # Devlin et al. 2019, A.3: 2e-5 to 5e-5, batches of 16 or 32; sets as large as SST-2 take three epochs.
    for rows in (600, 2490, 67_349):
        rule = finetuning(768, rows)
        assert 2e-5 <= rule["learning_rate"] <= 5e-5 and rule["batch_size"] in (16, 32) and 3 <= rule["epochs"] <= 10
    assert finetuning(768, 67_349) == {"learning_rate": 2.5e-5, "batch_size": 32, "epochs": 3}


def test_narrower_models_learn_faster_within_a_bound():
    rates = [finetuning(width, 1000)["learning_rate"] for width in (1024, 768, 384, 312, 192, 12)]
    assert rates == sorted(rates) and rates[-1] == MOST_RATE and rates[2] == pytest.approx(1e-4)


def test_fewer_rows_take_more_epochs_within_bounds():
    epochs = [finetuning(384, rows)["epochs"] for rows in (10, 600, 4000, 8551, 400_000)]
    assert epochs == sorted(epochs, reverse=True) and (epochs[0], epochs[-1]) == (10, 3)


def test_pre_training_reads_the_texts_some_times_within_bounds():
    assert [masked_steps(rows) for rows in (10, 640, 10_000_000)] == [100, 200, 20_000]
