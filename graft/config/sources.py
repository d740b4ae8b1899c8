"""The part of a study config that says where the rows of a data set come from. Imports no torch."""

from typing import Annotated, Any, Literal

from pydantic import Field

from graft.config.section import Commit, Repo, Section, Seed

# The grammars cannot produce more than 10,000 rows of different texts.
GeneratedRows = Annotated[int, Field(ge=20, le=10_000)]


FileKind = Literal["tsv", "csv", "jsonl", "json", "parquet", "datasets"]
Split = Literal["train", "dev", "test"]
HUB_SPLITS: dict[Split, str] = {"train": "train", "dev": "validation", "test": "test"}
# A file's name without its ending.
SplitName = Annotated[str, Field(pattern=r"^[^/]+$")]


class HubData(Section):
    """A data set on the Hugging Face hub, read as parquet, or else as CSV, TSV or JSON."""

    kind: Literal["hub"]
    repo: Repo
    """Name of the data set, e.g. `nyu-mll/glue`."""
    config: str | None = None
    """Folder of the files inside the repository, e.g. `sst2`; by default the repository itself or its folder `data`."""
    revision: Commit
    """Commit of the data set, 40 hex digits."""
    splits: dict[Split, SplitName] | None = None
    """What its splits are called, by default `{train: train, dev: validation, test: test}`. Without `dev`, report is
    carved out of train."""

    def named(self, split: str) -> str | None:
        """Return the data set's own name of a split, None if it has none."""
        names = HUB_SPLITS if self.splits is None else self.splits
        return next((name for own, name in names.items() if own == split), None)


class FileData(Section):
    """Local files, one for each split, e.g. GLUE's `train.tsv` and `dev.tsv`.

    `datasets` are folders written by `save_to_disk`, one for each split.
    """

    kind: FileKind
    folder: str
    """Folder with the files; `$VARIABLES` are expanded from the environment."""
    splits: dict[Split, SplitName] | None = None
    """Names of the files without their ending, by default `{train: train, dev: dev, test: test}`. Without `dev`, report
    is carved out of train."""

    def named(self, split: str) -> str | None:
        """Return the name of a split's file without its ending, None if the split has none."""
        if self.splits is None:
            return split
        return next((name for own, name in self.splits.items() if own == split), None)


class GeneratedData(Section):
    """A task generated from a grammar and a seed: it needs no download and claims nothing about real language."""

    kind: Literal["generated"]
    grammar: Literal["sentiment", "similarity", "entailment"]
    """Like SST-2 (classes 0 and 1), STS-B (a score from 0 to 5) and RTE (entailment and not_entailment)."""
    seed: Seed = 0
    """Seed from which the rows are drawn."""
    train: GeneratedRows = 2000
    """Rows of the train split, out of which `select` is carved."""
    dev: GeneratedRows = 500
    """Rows of the dev split; some of its words appear in no train row."""


def recorded(source: HubData | FileData | GeneratedData) -> dict[str, Any]:
    """Return a source as fingerprints and manifests have it: `splits` only where it is given."""
    return {key: value for key, value in source.model_dump().items() if not (key == "splits" and value is None)}
