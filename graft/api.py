"""Graft in Python: merge, load, compare and tables, which `import graft` has as its own."""

from __future__ import annotations

import csv
import functools
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from graft.encoders import adapters
from graft.io.model_folders import CONFIG
from graft.io.names import check_known
from graft.io.progress import silent
from graft.registry.tasks import METRICS
from graft.statistics import verdicts
from graft.statistics.crossed import ALL, SEEDS_FOR_INTERVAL, SEEDS_FOR_TEST, Crossed
from graft.study.paths import RESULTS, Paths

if TYPE_CHECKING:
    # They import torch, which comparisons and tables do without.
    from transformers import PreTrainedModel

    from graft.study.answering import System

Predictions = Mapping[Any, Sequence[Any] | np.ndarray] | Sequence[Any] | np.ndarray


def merge(
    large: str | Path,
    small_finetuned: str | Path,
    small_pretrained: str | Path | None = None,
    *,
    method: str,
    texts: str | Path | Sequence[str | tuple[str, str]],
    out: str | Path | None = None,
    head: str = "transplant",
    labelled: str | Path | Sequence[tuple[Any, ...]] | None = None,
    strength: float = 1.0,
    tokens: int = 50_000,
    max_tokens: int = 128,
    device: str = "cpu",
    **options: Any,
) -> PreTrainedModel | System:
    """Merge a fine-tuned small model into a pre-trained large one, as `graft merge` does.

    large, small_finetuned, small_pretrained: folders, also of adapters, or `owner/repo[@revision]` on the hub; the last
    is the small model before its fine-tuning. method: a name in docs/methods.md, with its source; **options: its
    options. texts: unlabelled ones, or pairs of them, or a file of them; `tokens` of them, each cut to `max_tokens`,
    are read.
    head: transplant, label-free or labelled. labelled: rows of a text, or two, and a label, or a TSV, for the last of
    these and for methods that run parts of both models, which choose what they vary on every fifth row.
    out: a new folder to keep it in, with its card and tokenizer.

    Returns transformers' model of the large shape, in float32 and eval mode, or, of a method that runs parts of both
    models, a `System` like `load`. Raises ValueError in one sentence for an input that does not fit.

    >>> model = merge("large", "small-finetuned", "small", method="spacewise", texts=texts)
    >>> model.config.num_hidden_layers, model.config.id2label
    (4, {0: 'negative', 1: 'positive'})
    >>> model.save_pretrained("merged")
    """
    from graft.cli import merge_folders
    from graft.cli.merge_orders import Order

    with tempfile.TemporaryDirectory(prefix="graft-") as scratch:
        folder = functools.partial(adapters.local, scratch=Path(scratch))
        order = Order(
            method=method,
            large=folder(large, "large"),
            small_finetuned=folder(small_finetuned, "small_finetuned"),
            small_pretrained=None if small_pretrained is None else folder(small_pretrained, "small_pretrained"),
            text=_file(texts, Path(scratch, "texts.tsv")),
            out=Path(out or Path(scratch, "merged")),
            head=head,
            strength=strength,
            labelled=None if labelled is None else _file(labelled, Path(scratch, "labelled.tsv"), header=True),
            options=options,
            tokens=tokens,
            max_tokens=max_tokens,
            device=device,
        )
        merge_folders.merge(order, silent)
        if not (order.out / CONFIG).is_file():
            return load(order.out)
        from transformers import AutoModelForSequenceClassification

        return AutoModelForSequenceClassification.from_pretrained(order.out).eval()


def load(folder: str | Path) -> System:
    """Load any saved system, ready for texts: a classifier, a probe, a merge, a composite or an ensemble.

    folder: what `export` or `merge` wrote, a run's of a study, any BERT classifier, or `owner/repo[@revision]` on the
    hub. Called with a list of texts, or of pairs of texts, it gives `{"label": ..., "score": ...}` for each, with
    scores in (0, 1), calibrated for no system, or the value itself where the task has no classes; `.logits(texts)`
    gives float32 [texts, classes] or [texts, 1]; `.to("cuda")` moves it. Raises ValueError if the folder holds no
    system, or does not say what its outputs mean.

    >>> system = load("small-finetuned")
    >>> [answer["label"] in ("negative", "positive") for answer in system(["a good film", "a dull plot"])]
    [True, True]
    >>> system.logits(["a good film"]).shape
    (1, 2)
    """
    from graft.study import answering

    return answering.load(folder)


@dataclass(frozen=True)
class Comparison:
    """The difference first - second of two systems, in the units of the metric.

    `difference`: of typical runs (the mean over seeds without the fifth at either end); `interval`: for new seeds and
    new examples, None for fewer than 5 seeds; `p_value` of no difference, and `verdict`, None for fewer than 12.
    """

    metric: str
    difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    verdict: str | None
    n_seeds: int
    n_examples: int

    def __str__(self) -> str:
        interval = "no interval" if self.interval is None else "{:+.4f} to {:+.4f}".format(*self.interval)
        needs = f"no verdict: it takes {SEEDS_FOR_TEST} seeds, and an interval {SEEDS_FOR_INTERVAL}"
        seen = f"{self.n_seeds} seeds, {self.n_examples} examples"
        return f"{self.metric} {self.difference:+.4f} ({interval}; {seen}): {self.verdict or needs}"


def compare(
    first: Predictions,
    second: Predictions,
    labels: Sequence[Any] | np.ndarray,
    metric: str = "accuracy",
    *,
    margin: float | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compare the predictions of two systems on the same examples with Graft's statistics.

    first, second: predictions by seed, `{seed: [n]}` or [seeds, n], paired by seed; or [n], of a system that no seed
    changes. labels [n]. Classes (names or ids) or scores, as the metric has it: a name in
    `graft.registry.tasks.METRICS`. margin: a smaller difference counts as equivalent, in the metric's units.

    Errors of seeds and of examples are crossed (Owen 2007, The Pigeonhole Bootstrap, Annals of Applied Statistics 1,
    386); equivalence is two one-sided tests (Schuirmann 1987). Raises ValueError if lengths differ, the metric is
    unknown, or the two have no seed in common.

    >>> labels = [0, 1] * 50
    >>> right, wrong = [label for label in labels], [1 - label for label in labels]
    >>> runs = {seed: right[: 90 + seed % 3] + wrong[90 + seed % 3 :] for seed in range(12)}
    >>> print(compare(runs, [0] * 100, labels, margin=0.01))
    accuracy +0.4100 (+0.2977 to +0.5223; 12 seeds, 100 examples): better
    """
    check_known("metric", metric, METRICS)
    runs = {"first": _by_seed(first), "second": _by_seed(second)}
    known = np.asarray(labels)
    if METRICS[metric] == "classes" and known.dtype.kind not in "iub":
        runs, known = _as_ids(runs, known, metric)
    crossed = Crossed("comparison", metric, known, runs, confidence=confidence)
    found = crossed.of_difference("first", "second")
    if found is None:
        seeds = (", ".join(crossed.seeds_of(name)) for name in runs)
        raise ValueError("no seed is in both: {} and {}; give runs with the same seeds".format(*seeds))
    judged = None if found.p_value is None else verdicts.verdict(found, found.p_value, margin, confidence)
    return Comparison(metric, found.typical, found.new, found.p_value, judged, found.n_seeds, len(known))


def tables(study: str | Path) -> dict[str, pd.DataFrame]:
    """Read the tables of a study: results/<study>/tables/*.csv, by name, such as comparison, answer and runs.

    study: its name, for results/ in the working folder, its folder, or an archive of it. Columns:
    docs/architecture.md; an empty cell is NaN. Raises ValueError if it has no tables.

    >>> tables("results/reviews")["comparison"][["system", "mean"]].round(2).to_dict("records")
    [{'system': 'finetune.large', 'mean': 0.91}]
    """
    if Path(study).is_file():
        from graft.study import archives

        with tempfile.TemporaryDirectory(prefix="graft-") as folder:
            archives.unpack(Path(study), Path(folder))
            return tables(folder)
    folders = [Paths(root).tables for root in (RESULTS / study, Path(study))]
    found = next((files for folder in folders if (files := sorted(folder.glob("*.csv")))), None)
    if found is None:
        raise ValueError(f"{study}: no tables in {' or '.join(map(str, folders))}; run the study first")
    return {file.stem: pd.read_csv(file, keep_default_na=False, na_values=[""]) for file in found}


def _file(given: str | Path | Iterable[Any], path: Path, header: bool = False) -> Path:
    """A file as it is; rows of texts are written to `path`, as TSV, with white space as single blanks."""
    if isinstance(given, (str, Path)):
        return Path(given)
    rows = [[row] if isinstance(row, str) else row for row in given]
    rows = [[" ".join(cell.split()) if isinstance(cell, str) else cell for cell in row] for row in rows]
    names = [["text", "label"] if len(rows[0]) == 2 else ["text_a", "text_b", "label"]] if header and rows else []
    with path.open("w", newline="", encoding="utf-8") as handle:
        lines = csv.writer(handle, "excel-tab", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
        lines.writerows([*names, *rows])
    return path


def _by_seed(given: Predictions) -> dict[str, np.ndarray]:
    if isinstance(given, Mapping):
        return {str(seed): np.asarray(run) for seed, run in given.items()}
    runs = np.asarray(given)
    return {ALL: runs} if runs.ndim == 1 else {str(seed): run for seed, run in enumerate(runs)}


def _as_ids(
    runs: dict[str, dict[str, np.ndarray]], labels: np.ndarray, metric: str
) -> tuple[dict[str, dict[str, np.ndarray]], np.ndarray]:
    """Class ids for names, in alphabetical order; raises ValueError for a metric that asks which class is 1."""
    if metric == "f1":
        raise ValueError("metric f1 is that of class 1; give class ids instead of names")
    names = np.unique(np.concatenate([labels, *(run for by_seed in runs.values() for run in by_seed.values())]))
    ids = {name: {s: np.searchsorted(names, run) for s, run in by_seed.items()} for name, by_seed in runs.items()}
    return ids, np.searchsorted(names, labels)
