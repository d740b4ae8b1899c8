"""Check a study's local sources before any job: its tables, texts and models."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from graft.config.models import DistilledModel, Like, PackageModel, Pair, PathModel
from graft.config.sources import FileData
from graft.encoders.local_models import local_folder, model_files
from graft.merging.facts import Weights
from graft.registry.families.family import unlike_heads
from graft.registry.shapes import Shape, check_shapes
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.tasks.readers import read_split
from graft.tasks.sources import source_files
from graft.tasks.texts import read_texts
from graft.tasks.transferred import read_report


def check_sources(grid: Grid, rows: bool = True) -> None:
    """Raise ValueError if a local source is missing, if a file takes the place of the results folder, or, with
    `rows`, if a text or label is invalid."""
    results = Paths.of(grid.study.name).root
    if results.exists() and not results.is_dir():
        raise ValueError(f"name: {results} is a file; take another name, or move the file")
    for name, task in grid.study.tasks.items():
        if isinstance(task.source, FileData):
            found = source_files(task.source, f"tasks.{name}.source")
            for split in found if rows else ():
                read_split(task.source, task.row(name), split, f"tasks.{name}.source")
    for name, transfer in grid.transfers.values():
        if isinstance(transfer.source, FileData):
            source_files(transfer.source, f"transfer.{name}.source", (transfer.split,))
            if rows:
                read_report(name, transfer, grid.row(transfer.task))
    if grid.study.calibration.file:
        grid.calibration_text()
        if rows:
            read_texts(grid.study.calibration.file)
    for name, model in grid.study.models.items():
        if isinstance(model.source, PathModel | PackageModel):
            _check_local_model(grid, name, model_files(model.source, f"models.{name}.source")[1])


def _check_local_model(grid: Grid, name: str, config: Path) -> None:
    """Raise ValueError if a local model is no BERT, or does not fit the study's texts, pairs or students."""
    shape = Shape.of(config.parent)
    for model in (name, *_models_like(grid, name)):
        for task, settings in grid.study.models[model].finetune.items():
            if settings.max_tokens > shape.positions:
                where = f"models.{model}.finetune.{task}.max_tokens"
                raise ValueError(f"{where}: {settings.max_tokens}; {name} has {shape.positions} positions")
    for transfer, spec in grid.study.transfer.items():
        if (spec.max_tokens or 0) > shape.positions:
            where = f"transfer.{transfer}.max_tokens"
            raise ValueError(f"{where}: {spec.max_tokens}; {name} has {shape.positions} positions")
    for pair in grid.pairs:
        if name in (pair.large, pair.small):
            _check_pair_shapes(grid, pair)
    for student, other in grid.study.models.items():
        if isinstance(other.source, DistilledModel) and other.source.teacher == name:
            try:
                check_shapes(shape, replace(shape, **other.source.shape.model_dump()))
            except ValueError as error:
                raise ValueError(f"models.{student}.source.shape: {error}") from None


def _check_pair_shapes(grid: Grid, pair: Pair) -> None:
    """Raise ValueError if both models of a pair are local and the small one cannot be merged into the large one."""
    sources = [_source_of_shape(grid, model) for model in (pair.small, pair.large)]
    if not all(isinstance(source, PathModel | PackageModel) for source in sources):
        return
    folders = [local_folder(source, "models") for source in sources]
    small, large = map(Shape.of, folders)
    for run in grid.runs:
        options = grid.merges[run.system.merge].options if run.system.merge and run.system.pair == pair else None
        if options and (why := options.refusal(small, large)):
            raise ValueError(f"{run.system.name}: {why}; leave {run.system.merge} out, or use another pair")
    moved = (run.system for run in grid.runs if run.system.pair == pair and run.system.head == "transplant")
    if (unlike := unlike_heads(small.kind, large.kind)) and (system := next(moved, None)):
        raise ValueError(f"{system.name}: {unlike}; leave transplant out of heads")
    # Some models have no table of positions.
    if small.position_rows and large.position_rows and small.positions != large.positions:
        raise ValueError(
            f"pairs: {pair.small} has {small.positions} positions, {pair.large} {large.positions}; a merge needs as "
            "many"
        )
    one = not grid.two_vocabularies(pair)
    if one and small.vocabulary != large.vocabulary:
        raise ValueError(
            f"pairs: {pair.small} embeds {small.vocabulary} tokens, {pair.large} {large.vocabulary} tokens; leave "
            f"models.{pair.small}.tokenizer out, so that each reads its own"
        )
    for what in ("layers", "width", "ffn"):
        if getattr(small, what) > getattr(large, what):
            raise ValueError(
                f"pairs: {pair.small} has {what} {getattr(small, what)}, more than {pair.large} with "
                f"{getattr(large, what)}; swap the two roles"
            )
    # Imported here, since the environment that makes tables has no tokenizers (envs/analysis.yaml).
    from graft.tasks import alike

    if one:
        alike.check_alike(*folders[::-1])
    else:
        _check_two_vocabularies(grid, pair)


def _check_two_vocabularies(grid: Grid, pair: Pair) -> None:
    """Raise ValueError if local tokenizers have no span of text in common, or no token though a merge needs some."""
    from graft.tasks.vocabularies import Reader, check_spans, shared_rows

    names = [grid.study.tokenizer_of(model) for model in (pair.small, pair.large)]
    sources = [grid.study.models[name].source for name in names]
    folders = [local_folder(source, "models") for source in sources if isinstance(source, PathModel | PackageModel)]
    if len(folders) < 2:
        return
    small, large = map(Reader.of, folders)
    check_spans(large, small, f"pairs: {pair.small} and {pair.large}")
    if (shared_rows(small, large) >= 0).any():
        return
    for run in grid.runs:
        options = grid.merges[run.system.merge].options if run.system.merge and run.system.pair == pair else None
        if isinstance(options, Weights) and (remedy := options.of_shared_tokens):
            both = f"{pair.small} and {pair.large}"
            raise ValueError(f"{run.system.name}: the vocabularies of {both} have no token in common; {remedy}")


def _models_like(grid: Grid, name: str) -> list[str]:
    return [m for m, spec in grid.study.models.items() if isinstance(spec.source, Like) and spec.source.like == name]


def _source_of_shape(grid: Grid, name: str) -> Any:
    """Source of the model that gives a model its shape: its own, or that of the model it is like."""
    source = grid.study.models[name].source
    return grid.study.models[source.like].source if isinstance(source, Like) else source
