"""Pico GLUE and pico BERTs: real files in the real layouts, small enough for seconds."""

import csv
import os
from pathlib import Path

# Pico models compute faster on one thread; programs started by tests inherit it. Before anything imports torch.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest

GOOD = "good great lovely fine superb bright clever warm".split()
BAD = "bad awful dull poor dreadful bleak clumsy cold".split()
THINGS = "film story plot actor scene ending music camera city man woman dog".split()
VERBS = "sees likes follows paints calls meets".split()
FILLER = "the a is was and with of in very quite".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *THINGS, *VERBS, *FILLER]


def write_tsv(path: Path, header: list[str], rows: list[list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def sentiment_rows(rng: np.random.Generator, count: int) -> list[list]:
    rows = []
    for _ in range(count):
        label = int(rng.integers(2))
        words = [str(w) for w in rng.choice(FILLER + THINGS, 4)]
        words.insert(int(rng.integers(5)), str(rng.choice(GOOD if label else BAD)))
        rows.append([" ".join(words), label])
    return rows


def pair_rows(rng: np.random.Generator, count: int) -> list[tuple[str, str, float]]:
    """Two sentences and the share of their words that is equal."""
    rows = []
    for _ in range(count):
        first = [str(w) for w in rng.choice(THINGS + VERBS + GOOD + BAD, 4)]
        same = int(rng.integers(5))
        second = first[:same] + [str(w) for w in rng.choice(THINGS + VERBS + GOOD + BAD, 4 - same)]
        rows.append((" ".join(first), " ".join(second), same / 4))
    return rows


def write_glue(folder: Path, train: int = 240, dev: int = 60) -> Path:
    """SST-2, STS-B and RTE in the official TSV layout, from a seed."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("dev", dev)):
        write_tsv(folder / "SST-2" / f"{split}.tsv", ["sentence", "label"], sentiment_rows(rng, count))
        stsb = [[i, a, b, f"{5 * s:.3f}"] for i, (a, b, s) in enumerate(pair_rows(rng, count))]
        write_tsv(folder / "STS-B" / f"{split}.tsv", ["index", "sentence1", "sentence2", "score"], stsb)
        rte = [
            [i, a, b, "entailment" if s >= 0.5 else "not_entailment"]
            for i, (a, b, s) in enumerate(pair_rows(rng, count))
        ]
        write_tsv(folder / "RTE" / f"{split}.tsv", ["index", "sentence1", "sentence2", "label"], rte)
    return folder


def write_others(folder: Path, rows: int = 50) -> Path:
    """Test splits of IMDb (also as TSV) and SNLI in the hub's parquet layouts, from a seed; some of SNLI unlabelled."""
    import pandas as pd

    rng = np.random.default_rng(1)
    reviews = [(" ".join(text for text, _ in sentiment_rows(rng, 8)), int(rng.integers(2))) for _ in range(rows)]
    # 0 entailment, 1 neutral, 2 contradiction, -1 where annotators did not agree.
    pairs = [(a, b, int(rng.choice([0, 1, 2, -1]))) for a, b, _ in pair_rows(rng, rows)]
    tables = {"imdb": (("text", "label"), reviews), "snli": (("premise", "hypothesis", "label"), pairs)}
    for name, (columns, values) in tables.items():
        (folder / name).mkdir(parents=True)
        pd.DataFrame(values, columns=list(columns)).to_parquet(folder / name / "test.parquet")
    write_tsv(folder / "imdb" / "test.tsv", ["text", "label"], [list(row) for row in reviews])
    return folder


def write_bert(
    folder: Path,
    layers: int,
    width: int,
    heads: int,
    seed: int,
    vocabulary: list[str] = VOCABULARY,
    positions: int = 64,
) -> Path:
    """A randomly initialised BERT with its tokenizer, as a plain Hugging Face folder."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * width,
        max_position_embeddings=positions,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


# Tests of a module share what they made. Long ones start first, so that none is left to run alone at the end.
ONE_CLUSTER = "tests.slurm"
LONGEST = (
    ONE_CLUSTER,
    "tests.workflow.test_study",
    "tests.workflow.test_tutorial",
    "tests.unit.training.test_worlds",
    "tests.workflow",
)
# Folders that only `make test-all` runs, and the one module of them that `make test` runs too.
SLOW = ("tests.slurm", "tests.browser", "tests.workflow")
SMALL = "tests.workflow.test_small_study"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((i for i, name in enumerate(LONGEST) if item.module.__name__.startswith(name)), len(LONGEST))

    items.sort(key=place)
    for item in items:
        name = item.module.__name__
        item.add_marker(pytest.mark.xdist_group(ONE_CLUSTER if name.startswith(ONE_CLUSTER) else name))
        if name.startswith(SLOW) and name != SMALL:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def pico_glue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_glue(tmp_path_factory.mktemp("glue"))


@pytest.fixture(scope="session")
def pico_others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_others(tmp_path_factory.mktemp("others"))


@pytest.fixture(scope="session")
def pico_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bert(folder / "large", layers=4, width=24, heads=4, seed=1)
    write_bert(folder / "small", layers=2, width=12, heads=2, seed=2)
    return folder


def study_values(glue: Path, models: Path, **changes) -> dict:
    """A whole study config over pico GLUE and pico BERTs."""
    settings = {"learning_rate": 1e-3, "batch_size": 16, "epochs": 2, "max_tokens": 32}
    folders = {"sst2": "SST-2", "stsb": "STS-B", "rte": "RTE"}
    return {
        "name": "pico",
        "seeds": 2,
        "tasks": {
            task: {"source": {"kind": "tsv", "folder": str(glue / folder)}, "limits": {"select": 40}}
            for task, folder in folders.items()
        },
        "models": {
            name: {
                "role": name,
                "source": {"kind": "path", "folder": str(models / name)},
                **({"tokenizer": "large"} if name == "small" else {}),
                "finetune": {task: dict(settings) for task in folders},
            }
            for name in ("large", "small")
        },
        "pairs": [{"large": "large", "small": "small"}],
        "systems": {
            "majority": {},
            "probe": {},
            "merge": {
                "logit_ensemble": {},
                "interpolate": {"trials": 3},
                "theseus": {"strengths": [0, 1, 2], "fit_rows": 64},
                "spacewise": {
                    "strengths": [0, 1],
                    "heads": ["labelled"],
                    "map_ridge": 0.1,
                    "depth": "spread",
                    "fit_rows": 64,
                },
            },
            "control": {"head-only": {"fit_rows": 64}, "shuffled": {"of": ["spacewise"]}},
        },
        "calibration": {"tokens": 500},
        **changes,
    }


def with_transfers(values: dict, others: Path) -> dict:
    """The study with its sst2 systems evaluated on IMDb, and some of its rte systems on SNLI."""
    values["transfer"] = {
        "imdb": {
            "from": "sst2",
            "source": {"kind": "parquet", "folder": str(others / "imdb")},
            "split": "test",
            "text": ["text"],
            "label": "label",
            "labels": {"0": "negative", "1": "positive"},
            "max_tokens": 48,
        },
        "snli": {
            "from": "rte",
            "source": {"kind": "parquet", "folder": str(others / "snli")},
            "split": "test",
            "text": ["premise", "hypothesis"],
            "label": "label",
            "labels": {"0": "entailment", "1": "not_entailment", "2": "not_entailment"},
            "systems": ["finetune.large", "finetune.small", "majority", "merge.spacewise.*", "merge.logit_ensemble.*"],
        },
    }
    return values


def with_other_small(values: dict, merge: str = "spacewise", head: str = "labelled") -> dict:
    """The study with two more small models, one never trained and one trained alone, merged as controls."""
    options = {"steps": 20, "batch_size": 8, "max_tokens": 32, "log_every": 5}
    sources = {
        "untrained": {"kind": "random", "like": "small"},
        "undistilled": {"kind": "masked_lm", "like": "small", "options": options},
    }
    values["models"] |= {name: {"role": "small", "source": source} for name, source in sources.items()}
    values["systems"]["control"]["other-small"] = {"models": list(sources), "of": [merge], "heads": [head]}
    return values


@pytest.fixture
def study_config(pico_glue: Path, pico_models: Path) -> dict:
    return study_values(pico_glue, pico_models)
