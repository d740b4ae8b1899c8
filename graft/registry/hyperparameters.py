"""A rule for hyperparameters that fit a model's shape and a task's number of rows, for studies that begin. No torch.

It gives BERT-base the values that are usual for it, and smaller models higher rates; docs/results.md says what it gives
on generated tasks. It is where a search (`grid` in the config) would start, not where it would end.
"""

import math

# Peak learning rate of BERT-base, which is 768 wide. Narrower models want more: with the square of the ratio of widths,
# the rule meets what suited MiniLM (384) and a student of it (192).
BASE_RATE, BASE_WIDTH, MOST_RATE = 2.5e-5, 768, 1e-3
# Tasks with fewer rows than this are trained in smaller batches, to take more steps.
SMALL_TASK, SMALL_BATCH, BATCH = 5000, 16, 32
# Epochs that make about this many optimizer steps, within bounds: three are usual, ten for sets of a few thousand rows.
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 1000, 3, 10
# Masked language modelling reads the texts this often, in batches of 32.
PASSES, PASS_BATCH, LEAST_PASS_STEPS, MOST_PASS_STEPS = 10, 32, 100, 20_000


def finetuning(width: int, rows: int) -> dict[str, float]:
    """Return learning_rate, batch_size and epochs for a model this wide and a train split of this many rows."""
    rate = min(BASE_RATE * (BASE_WIDTH / width) ** 2, MOST_RATE)
    batch = SMALL_BATCH if rows < SMALL_TASK else BATCH
    epochs = min(max(math.ceil(STEPS * batch / rows), LEAST_EPOCHS), MOST_EPOCHS)
    return {"learning_rate": float(f"{rate:.1e}"), "batch_size": batch, "epochs": epochs}


def masked_steps(rows: int) -> int:
    """Return the optimizer steps of masked language modelling on this many texts."""
    return min(max(PASSES * rows // PASS_BATCH, LEAST_PASS_STEPS), MOST_PASS_STEPS)
