import hashlib
from collections import Counter

import pytest

from graft.registry.layouts import LAYOUTS
from graft.tasks import generated
from graft.tasks.generated import lexicon
from graft.tasks.generated.lexicon import Words

GRAMMARS = pytest.mark.parametrize("grammar", generated.GRAMMARS)
# The known task whose official layout each grammar has.
KNOWN = {"sentiment": "sst2", "similarity": "stsb", "entailment": "rte"}


@pytest.fixture
def written(tmp_path):
    """Rows of both splits, as cells with the header first."""

    def write(grammar, seed=0, train=300, dev=100):
        folder = tmp_path / f"{grammar}-{seed}-{train}-{dev}"
        folder.mkdir(exist_ok=True)
        generated.write(grammar, seed, train, dev, folder)
        return {
            split: [line.split("\t") for line in (folder / f"{split}.tsv").read_text().splitlines()]
            for split in ("train", "dev")
        }

    return write


def texts(grammar, rows):
    columns = [rows[0].index(name) for name in LAYOUTS[grammar].text]
    return [row[column] for row in rows[1:] for column in columns]


@GRAMMARS
def test_a_seed_gives_the_same_bytes_and_another_seed_others(grammar, written):
    assert written(grammar) == written(grammar)
    assert written(grammar)["dev"] != written(grammar, seed=1)["dev"]


@pytest.mark.parametrize(
    ("grammar", "digest"),
    [("sentiment", "a430dbf3bf3ae66a"), ("similarity", "e9dc11ec94901857"), ("entailment", "977ab5a37add62b4")],
)
def test_other_rows_from_the_same_seed_need_another_version(grammar, digest, tmp_path):
    """Where this fails the grammar changed: raise generated.VERSION, then write the new digests here."""
    generated.write(grammar, 0, 200, 100, tmp_path)
    found = hashlib.sha256(b"".join((tmp_path / f"{split}.tsv").read_bytes() for split in ("train", "dev")))
    assert (generated.VERSION, found.hexdigest()[:16]) == (1, digest)


def test_similarity_has_all_columns_of_stsb(written):
    header, first, *_ = written("similarity")["dev"]
    assert header == "index genre filename year old_index source1 source2 sentence1 sentence2 score".split()
    assert len(first) == len(header)
    scores = [float(row[-1]) for row in written("similarity")["dev"][1:]]
    assert 0 <= min(scores) < 1 and 4 < max(scores) <= 5


@pytest.mark.parametrize("grammar", ["sentiment", "entailment"])
def test_classes_are_equally_frequent_in_both_splits(grammar, written):
    for split, size in (("train", 300), ("dev", 100)):
        counts = Counter(row[-1] for row in written(grammar)[split][1:])
        assert counts == dict.fromkeys(LAYOUTS[grammar].labels, size / 2)


@pytest.mark.parametrize("grammar", ["sentiment", "entailment"])
def test_the_stated_share_of_labels_is_wrong_as_many_of_each_class(grammar, written, monkeypatch):
    noisy = written(grammar)["train"]
    monkeypatch.setattr(generated, "WRONG_LABELS", 0)
    clean = written(grammar)["train"]
    assert texts(grammar, noisy) == texts(grammar, clean)
    changed = Counter(a[-1] for a, b in zip(noisy, clean, strict=True) if a != b)
    assert changed == dict.fromkeys(LAYOUTS[grammar].labels, round(0.03 * 300 / 2))


@GRAMMARS
def test_no_text_stands_twice(grammar, written):
    rows = written(grammar, train=1000, dev=500)
    everything = texts(grammar, rows["train"]) + texts(grammar, rows["dev"])
    assert len(everything) == len(set(everything)) == 1500 * len(LAYOUTS[grammar].text)


@GRAMMARS
def test_some_words_are_met_in_dev_only(grammar, written):
    rows = written(grammar, train=1000, dev=500)
    train, dev = ({word for text in texts(grammar, rows[split]) for word in text.split()} for split in ("train", "dev"))
    held = set()
    for group in (lexicon.PRAISE, lexicon.BLAME, lexicon.VERBS, *lexicon.ACTORS.values(), *lexicon.THINGS.values()):
        held.update(group.held)
    assert not held & train
    assert len(held & dev) > 5


@GRAMMARS
def test_more_rows_of_train_leave_dev_as_it_is(grammar, written):
    assert written(grammar, train=300)["dev"] == written(grammar, train=500)["dev"]


@GRAMMARS
def test_more_rows_than_there_are_texts_are_refused(grammar, tmp_path, monkeypatch):
    small = Words(("good", "bad"))
    for name in ("PRAISE", "BLAME", "STRONGLY", "SLIGHTLY"):
        monkeypatch.setattr(generated.sentiment, name, small)
    monkeypatch.setattr(generated.sentiment, "JUDGED", {"film": small})
    monkeypatch.setattr(generated.scenes, "_noun", lambda rng, split, table: "dog")
    monkeypatch.setattr(generated.scenes, "VERBS", Words(("holding",)))
    monkeypatch.setattr(generated.scenes, "PLACES", {"outside": Words(("in the park",))})
    with pytest.raises(ValueError, match="dev: the grammar has no more than [0-9]+ rows of different texts"):
        generated.write(grammar, 0, 20, 4000, tmp_path)
