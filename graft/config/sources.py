"""The part of a study config that says where the rows of a data set come from. Imports no torch."""

from typing import Annotated, Literal

from pydantic import Field

from graft.config.section import Commit, Repo, Section, Seed

# The grammars cannot produce more than 10,000 rows of different texts.
GeneratedRows = Annotated[int, Field(ge=20, le=10_000)]


class HubData(Section):
    """A data set on the Hugging Face hub, read as parquet."""

    kind: Literal["hub"]
    repo: Repo
    """Name of the data set, e.g. `nyu-mll/glue`."""
    config: str | None = None
    """Folder of the parquet files inside the repository, e.g. `sst2`."""
    revision: Commit
    """Commit of the data set, 40 hex digits."""


class FileData(Section):
    """Local files: the official GLUE layout (`train.tsv`, `dev.tsv`), or parquet (`train.parquet`, `dev.parquet`)."""

    kind: Literal["tsv", "parquet"]
    folder: str
    """Folder with the files; `$VARIABLES` are expanded from the environment."""


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
