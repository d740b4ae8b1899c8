"""Sentiment: judgements whose polarity depends on negation, contrast and degree, not on the words alone."""

import random

from graft.tasks.generated.lexicon import BLAME, JUDGED, PRAISE, SLIGHTLY, STRONGLY, Words, articled

# Sentences by what makes them hard, with the percentage of rows of each kind. {own} and {own2} are words of the
# sentence's polarity, {anti} and {anti2} of the opposite one; {part} and {other} are parts of {whole}.
KINDS: tuple[tuple[int, *tuple[str, ...]], ...] = (
    # The words decide.
    (
        36,
        "the {part} of this {whole} is {strongly} {own}",
        "a {own} {whole} with {own2} {part}",
        "i found the {part} of the {whole} {own}",
        "the {part} was {own} and the {other} was {own2}",
        "what a {own} {whole} , i thought , and what {own2} {part}",
        "we left the {own} {whole} talking about its {own2} {part}",
    ),
    # Negation reverses the words.
    (
        20,
        "the {part} of this {whole} was not {anti} at all",
        "there is nothing {anti} about the {part} or the {other}",
        "the {part} was anything but {anti}",
        "nobody could call the {part} of this {whole} {anti}",
        "i would never say that the {part} or the {other} was {anti}",
        "for a {whole} the {part} was far from {anti}",
        "the {whole} was hardly {anti} , and its {part} was never {anti2}",
    ),
    # Negation that reverses nothing.
    (
        8,
        "the {part} was not only {own} but also {own2}",
        "there is no doubt that this {whole} has {own} {part}",
        "no other {whole} has {part} that is so {own}",
        "i can not deny that the {part} of the {whole} was {own}",
        "nobody was surprised that the {part} was {own}",
    ),
    # Both polarities; the main clause, or what comes last, decides.
    (
        24,
        "although the {part} was {anti} , the {whole} as a whole was {own}",
        "the {whole} was {own} , although the {part} was {anti}",
        "the {part} was {anti} , but the {other} of this {whole} was {own}",
        "despite its {anti} {part} this {whole} is {own}",
        "this {whole} is {own} in spite of its {anti} {part}",
        "i expected {anti} {part} from the {whole} and found it {own}",
        "my friends found the {part} {anti} , yet i thought it was {own}",
        "once the {part} of this {whole} was {anti} , now it is {own}",
        "the {whole} would be {anti} if the {part} were not so {own}",
        "the {part} was not {anti} , although the {other} was {anti2}",
        "the {part} was not {own} , but the {other} was {own2}",
    ),
    # Both polarities; the degree decides.
    (
        12,
        "the {part} was {slightly} {anti} and the {other} was {strongly} {own}",
        "the {part} was {strongly} {own} and the {other} was {slightly} {anti}",
        "a {whole} with {slightly} {anti} {part} and {strongly} {own} {other}",
        "a {whole} with {strongly} {own} {part} and {slightly} {anti} {other}",
    ),
)


def row(rng: random.Random, split: str, label: str) -> tuple[str, ...]:
    """Draw a sentence of polarity `label`: "0" (negative) or "1" (positive)."""
    own, anti = (PRAISE, BLAME) if label == "1" else (BLAME, PRAISE)
    templates = rng.choices([kind for _, *kind in KINDS], [share for share, *_ in KINDS])[0]
    whole = rng.choice(list(JUDGED))
    part, other = _two(JUDGED[whole], rng, split)
    own1, own2 = _two(own, rng, split)
    anti1, anti2 = _two(anti, rng, split)
    sentence = rng.choice(templates).format(
        whole=whole,
        part=part,
        other=other,
        own=own1,
        own2=own2,
        anti=anti1,
        anti2=anti2,
        strongly=STRONGLY.draw(rng, split),
        slightly=SLIGHTLY.draw(rng, split),
    )
    return (articled(sentence),)


def _two(group: Words, rng: random.Random, split: str) -> tuple[str, str]:
    first = second = group.draw(rng, split)
    while second == first:
        second = group.draw(rng, split)
    return first, second
