import json

import pytest
import torch
from torch import nn

from graft.config.models import PretrainingOptions
from graft.training.unlabelled import Running, autocast_for, encode, epochs, length_batches, train

OPTIONS = PretrainingOptions(steps=7, batch_size=4, learning_rate=0.5, warmup=0.3, weight_decay=0.0, log_every=3)
TEXTS = [(list(range(1, 2 + number % 9)), [0] * (1 + number % 9)) for number in range(50)]


def rows(batch):
    """The texts of a batch without their padding."""
    return [ids[mask == 1].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]


def test_every_text_is_in_one_batch_of_texts_as_long_as_it(pico_models):
    batches = list(length_batches(TEXTS, range(50), 4))
    assert sorted(row for batch in batches for row in rows(batch)) == sorted(ids for ids, _ in TEXTS)
    assert [len(batch["input_ids"]) for batch in batches] == [4] * 12 + [2]
    padding = sum(int((batch["attention_mask"] == 0).sum()) for batch in batches)
    assert padding < 0.1 * sum(len(ids) for ids, _ in TEXTS)
    assert all(not batch["input_ids"][batch["attention_mask"] == 0].any() for batch in batches)


def test_epochs_never_end_and_each_has_all_texts_in_another_order():
    stream = epochs(TEXTS, 4, torch.Generator().manual_seed(0))
    first, second = ([rows(next(stream)) for _ in range(13)] for _ in range(2))
    assert first != second
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == sorted(ids for ids, _ in TEXTS)


def test_texts_are_cut_and_not_padded_whatever_the_tokenizers_file_says(pico_models):
    short, pair = encode(pico_models / "large", ["the good", ("the good", "the bad")], 6)
    assert len(short[0]) == 4 and short[1] == [0] * 4
    assert len(pair[0]) == 6 and pair[1][0] == 0 and pair[1][-1] == 1


def trained(options=OPTIONS, factor=1.0, **more):
    """Train a number towards the mean of what is drawn, 1; returns it, the outcome and what was told."""
    number, told = nn.Parameter(torch.zeros(1, 1)), []
    one = {"input_ids": torch.ones(2, 3, dtype=torch.long), "attention_mask": torch.tensor([[1, 1, 1], [1, 0, 0]])}

    def losses(batch):
        return {"loss": factor * (number - 1).square().mean(), "other": number[0, 0], "one": torch.ones(())}

    outcome = train(
        [number], iter([one] * 100), losses,
        lambda batch: batch["input_ids"].numel(), options, "a test", Running(progress=told.append, **more),
    )  # fmt: skip
    return number.item(), outcome, told


def test_a_loop_counts_its_steps_and_logs_means_since_the_last_line(tmp_path):
    number, outcome, told = trained(log_path=tmp_path / "logs" / "log.jsonl")
    assert 0 < number and outcome.flops == 42
    assert [line["step"] for line in told] == [3, 6, 7] and [line["step"] for line in outcome.curve] == [3, 6, 7]
    assert [json.loads(line) for line in (tmp_path / "logs" / "log.jsonl").read_text().splitlines()] == told
    assert all(line["padding"] == pytest.approx(1 / 3) for line in told)
    # Two steps of warm-up; the last line tells the rate that would come next.
    assert told[0]["learning_rate"] == pytest.approx(0.5 * (7 - 3) / (7 - 2)) and told[-1]["learning_rate"] == 0.0
    # Means over the steps of each line, of which the last has one: not their sum, and not the last of them.
    assert [line["one"] for line in told] == [1.0, 1.0, 1.0]
    assert 0 < told[0]["other"] < number and told[0]["loss"] < 1.0


def test_a_loss_that_is_not_finite_is_told_with_its_step():
    with pytest.raises(ValueError, match="^a test: the loss is not finite at step 3; lower learning_rate$"):
        trained(factor=float("nan"))


def test_bf16_is_of_forward_passes_only():
    with autocast_for("cpu", "bf16")():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with autocast_for("cpu", "fp32")():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
