import numpy as np
import pandas as pd
import pytest

from graft.tasks.splits import carve, carve_report, contained_phrases, draw, folds, normalised, seen, shared_components


def test_contained_phrases_are_runs_of_whole_words():
    inside = contained_phrases(["a very good film", "very good", "good", "ver", "film a"])
    assert inside["a very good film"] == {"very good", "good"}
    assert inside["very good"] == {"good"}
    assert "film a" not in inside


def test_components_join_rows_through_a_chain_of_shared_texts():
    assert sorted(map(sorted, shared_components([["a", "b", "d"], ["b", "c", "e"]]))) == [[0, 1], [2]]


def test_rows_are_seen_if_a_text_in_any_column_is_equal_but_for_case_and_spaces():
    train = pd.DataFrame({"text_a": ["One  film", "two"], "text_b": ["three", "four films"]}, index=[7, 9])
    report = pd.DataFrame({"text_a": ["new", "FOUR films ", "one", "two"], "text_b": ["one film", "x", "films", "y"]})
    assert seen(report, train).tolist() == [True, True, False, True]
    assert seen(report[["text_a"]], train[["text_a"]]).tolist() == [False, False, False, True]


@pytest.fixture
def phrases() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    sentences = [" ".join(str(w) for w in rng.integers(0, 50, 8)) for _ in range(60)]
    parts = [" ".join(s.split()[i : i + n]) for s in sentences for i, n in ((0, 3), (2, 4), (5, 1))]
    return pd.DataFrame({"text_a": [*sentences, *parts]})


def test_contained_select_holds_whole_sentences_and_none_of_their_phrases_stays_in_train(phrases):
    carving = carve(phrases, "contained", 20)
    texts = phrases["text_a"].map(normalised)
    select, train = set(texts[carving.select]), set(texts[carving.train])
    assert len(carving.select) == 20
    for sentence in select:
        assert not any(f" {phrase} " in f" {sentence} " for phrase in train)
        assert not any(f" {sentence} " in f" {other} " for other in set(texts) - {sentence})


def test_contained_carving_covers_every_row_once(phrases):
    carving = carve(phrases, "contained", 20)
    rows = np.concatenate([carving.train, carving.select, carving.dropped])
    assert sorted(rows) == list(range(len(phrases)))


def test_shared_select_shares_no_text_with_train():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {"text_a": rng.integers(0, 300, 400).astype(str), "text_b": rng.integers(0, 3000, 400).astype(str)}
    )
    carving = carve(table, "shared", 40)
    texts = [set(table.iloc[rows].to_numpy().ravel()) for rows in (carving.train, carving.select)]
    assert not texts[0] & texts[1]
    assert 30 <= len(carving.select) <= 40


def test_select_is_never_more_than_a_tenth():
    table = pd.DataFrame({"text_a": [f"row {i}" for i in range(200)]})
    assert len(carve(table, "shared", 1000).select) == 20


def test_rows_that_all_share_a_text_cannot_be_split():
    with pytest.raises(ValueError, match="share text"):
        carve(pd.DataFrame({"text_a": ["same"] * 50}), "shared", 5)


def test_a_limited_draw_takes_whole_sentences_first(phrases):
    carving = carve(phrases, "contained", 20)
    whole = len(carving.train) - len(carving.redundant)
    assert not set(draw(carving, whole - 5)) & set(carving.redundant)
    assert len(set(draw(carving, whole + 5)) & set(carving.redundant)) == 5
    assert draw(carving, None).tolist() == draw(carving, 10**6).tolist() == carving.train.tolist()
    assert draw(carving, 15).tolist() == draw(carving, 15).tolist() == sorted(draw(carving, 15))


def test_folds_keep_rows_that_share_a_text_together_and_hold_every_row_out_once():
    table = pd.DataFrame({"text_a": list("abcdefgh"), "text_b": list("bxcdyzgw")})
    found = folds(table, "shared", 3, seed=0)
    assert sorted(np.concatenate([held for held, _ in found])) == list(range(8))
    for held, train in found:
        assert sorted([*held, *train]) == list(range(8))
        texts = [set(table.loc[rows].to_numpy().ravel()) for rows in (held, train)]
        assert not texts[0] & texts[1]


def test_folds_of_phrases_train_on_nothing_inside_or_around_what_is_held_out():
    phrases = ["a good film", "good film", "a bad play", "bad play", "so long", "A good  film", "we laughed", "no"]
    found = folds(pd.DataFrame({"text_a": phrases}), "contained", 3, seed=1)
    assert sorted(np.concatenate([held for held, _ in found])) == list(range(8))
    for held, train in found:
        for i in held:
            assert {0, 5} <= set(held) or not {0, 5} & set(held)
            for j in train:
                one, other = (" ".join(phrases[k].lower().split()) for k in (i, j))
                assert one not in other and other not in one


def test_folds_that_leave_nothing_to_train_on_are_reported():
    with pytest.raises(ValueError, match="2 folds: in one of them, no text is left"):
        folds(pd.DataFrame({"text_a": ["x", "x"]}), "shared", 2, seed=0)


@pytest.mark.parametrize("groups", ["shared", "contained"])
def test_every_row_is_held_out_once_in_folds_of_like_size(groups):
    table = pd.DataFrame({"text_a": [f"word{i} and more" for i in range(40)]})
    found = folds(table, groups, 4, seed=0)
    assert sorted(row for held, _ in found for row in held) == list(range(40))
    assert [len(held) for held, _ in found] == [10] * 4
    assert all(sorted([*held, *train]) == list(range(40)) for held, train in found)
    assert [list(held) for held, _ in folds(table, groups, 4, seed=1)] != [list(held) for held, _ in found]


@pytest.mark.parametrize("groups", ["shared", "contained"])
def test_a_report_that_is_carved_out_shares_no_text_with_what_is_left(phrases, groups):
    table = phrases.reset_index(drop=True)
    report, carving = carve_report(table, groups, 20, None)
    texts = table["text_a"].map(normalised)
    parts = {"train": carving.train, "select": carving.select, "report": report}
    assert 0 < len(report) <= len(table) // 5 and all(len(rows) for rows in parts.values())
    assert sorted(np.concatenate([*parts.values(), carving.dropped])) == list(range(len(table)))
    for one, other in (("train", "report"), ("select", "report"), ("train", "select")):
        assert not set(texts[parts[one]]) & set(texts[parts[other]])
    if groups == "contained":
        inside = contained_phrases(texts[report].tolist() + texts[carving.train].tolist())
        assert not set(texts[carving.train]) & set().union(*(inside.get(text, set()) for text in texts[report]))
    assert len(carve_report(table, groups, 20, 3)[0]) <= 3
