"""File layouts of generated tasks: GLUE's official columns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Columns of a file, and which hold `text` and `label`; `labels`: the values as written, None for a score."""

    header: tuple[str, ...]
    text: tuple[str, ...]
    label: str
    labels: tuple[str, ...] | None


_STSB = ("index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2", "score")
LAYOUTS = {
    "sentiment": Layout(("sentence", "label"), ("sentence",), "label", ("0", "1")),
    "similarity": Layout(_STSB, ("sentence1", "sentence2"), "score", None),
    "entailment": Layout(
        header=("index", "sentence1", "sentence2", "label"),
        text=("sentence1", "sentence2"),
        label="label",
        labels=("entailment", "not_entailment"),
    ),
}
