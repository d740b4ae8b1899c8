import random

from graft.tasks.generated import lexicon
from graft.tasks.generated.lexicon import Words

GROUPS = [*lexicon.ACTORS.values(), *lexicon.THINGS.values(), *lexicon.PLACES.values(), lexicon.VERBS]
GROUPS += [lexicon.OF_ACTORS, lexicon.OF_THINGS]
JUDGEMENTS = [lexicon.PRAISE, lexicon.BLAME, lexicon.STRONGLY, lexicon.SLIGHTLY]


def test_held_words_are_drawn_for_dev_only():
    words, rng = Words(("a",), ("b",)), random.Random(0)
    assert {words.draw(rng, "train") for _ in range(50)} == {"a"}
    assert {words.draw(rng, "dev") for _ in range(50)} == {"a", "b"}


def test_no_held_word_is_met_in_train_by_another_way():
    for groups in (GROUPS, JUDGEMENTS, list(lexicon.JUDGED.values())):
        seen = {word for group in groups for word in group.seen}
        assert not seen & {word for group in groups for word in group.held}
    assert not {word for group in GROUPS for word in group.held} & {*lexicon.SYNONYMS, *lexicon.SYNONYMS.values()}


def test_every_action_has_a_passive():
    for verb in lexicon.VERBS.seen + lexicon.VERBS.held:
        assert {verb, lexicon.SYNONYMS.get(verb, verb)} <= set(lexicon.ACTIONS)


def test_synonyms_are_of_one_kind_and_no_word_of_another_group():
    words = [word for group in GROUPS for word in group.seen + group.held]
    assert len(words) == len(set(words))
    for word, synonym in lexicon.SYNONYMS.items():
        assert word in words and synonym not in words
        assert lexicon.KIND_OF.get(word) == lexicon.KIND_OF.get(synonym)
        assert lexicon.same(word, synonym) and lexicon.same(synonym, word)
    assert not lexicon.same("dog", "cat") and not lexicon.same("dog", None)


def test_articles_fit_the_next_word():
    assert (
        lexicon.articled("a old man has a orange , a dog and a idea") == "an old man has an orange , a dog and an idea"
    )
