import random
from collections import Counter

from graft.tasks.generated import sentiment
from graft.tasks.generated.lexicon import BLAME, PRAISE


def test_polarity_is_in_the_words_not_in_the_frame():
    """The same draw gives the same sentence for both labels, praise in place of blame."""
    frames = {}
    for label in "01":
        rng = random.Random(5)
        (sentence,) = sentiment.row(rng, "train", label)
        frames[label] = ["*" if word in PRAISE.seen + BLAME.seen else word for word in sentence.split()]
    assert frames["0"] == frames["1"] and "*" in frames["0"]


def test_no_word_alone_tells_the_label():
    rng, counts = random.Random(0), {"0": Counter(), "1": Counter()}
    for number in range(4000):
        label = str(number % 2)
        counts[label].update(set(sentiment.row(rng, "train", label)[0].split()))
    for word in PRAISE.seen + BLAME.seen:
        share = counts["1"][word] / (counts["0"][word] + counts["1"][word])
        assert 0.15 < share < 0.85, word
    for word in ("not", "although", "but", "despite", "hardly"):
        assert 0.4 < counts["1"][word] / (counts["0"][word] + counts["1"][word]) < 0.6, word


def test_every_frame_is_filled():
    rng = random.Random(1)
    for number in range(500):
        (sentence,) = sentiment.row(rng, "dev", str(number % 2))
        assert "{" not in sentence and "  " not in sentence
