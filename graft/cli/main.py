"""The command line: `python -m graft`. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from graft.compute import ending
from graft.study.paths import RESULTS, Paths

app = typer.Typer(
    help="Does merging a fine-tuned small model into a large one beat fine-tuning the large one?", add_completion=False
)
# As for snakemake: the default study stands beside the Snakefile, whatever the working folder.
DEFAULT = Path(__file__).resolve().parents[2] / "config.yaml"
# 1980, the first year that a ZIP can hold, as `snakemake --report` writes one.
LONG_AGO = 315_619_200
# Flags that take several values at once, which typer has no word for.
SEVERAL = ("--models", "--weights", "--statistics")
# Of `merge`, what only merges of one kind take.
OF_TWO_SHAPES = ("large", "small_finetuned", "small_pretrained", "text", "head", "labelled", "tokens", "max_tokens")
OF_ONE_SHAPE = ("models", "base", "weights", "statistics", "dtype", "max_shard_size")
KINDS = "one shape (--models DIR DIR ...)", "two shapes (--large DIR ...)"
NamedStudy = Annotated[str, typer.Argument(help="Study: the name of a folder in results/.")]
AnyStudy = Annotated[str | None, typer.Argument(help="Study; may be left out where results/ holds only one.")]


@app.command()
def show(study: AnyStudy = None) -> None:
    """The comparison, a table per task; what it shows in one sentence; where its files are."""
    paths = find(study)
    from graft.reporting import csv_files, summary, terminal

    comparison = csv_files.read_comparison(paths)
    terminal.show(terminal.comparison_tables(comparison))
    terminal.show(terminal.ending(summary.in_words(comparison), summary.places(paths)))


@app.command()
def status(
    study: AnyStudy = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every few seconds, until Ctrl-C.")] = False,
) -> None:
    """What is done, running, failed, missing or stale, and why."""
    paths = find(study)
    from graft.reporting import terminal

    if watch:
        terminal.watch(terminal.console(), paths)
    else:
        terminal.show(terminal.status(paths))


@app.command()
def explain(
    study: NamedStudy,
    task: Annotated[str, typer.Argument(help="Task, or <name>.from-<task> for a transfer.")],
    system: Annotated[str, typer.Argument(help="System, as in the tables.")],
    seed: Annotated[str, typer.Argument(help="Seed, or `all`.")],
) -> None:
    """Where a number came from: metrics, choices, cost, every step behind it, and what would make it stale."""
    paths = find(study)
    from graft.config.study import load
    from graft.reporting import explaining, terminal
    from graft.study.grid import Grid

    grid = Grid(load(paths.study))
    run = explaining.find_run(grid, task, system, seed)
    terminal.show(terminal.explanation(explaining.explain(grid, paths, run)))


@app.command()
def tables(study: NamedStudy) -> None:
    """Make the tables, the figures and the report anew from the runs that exist."""
    paths = find(study)
    from graft.config.study import load
    from graft.io.progress import progress
    from graft.reporting import tables as making
    from graft.study.grid import Grid

    grid = Grid(load(paths.study))
    with progress("tables") as report:
        report(0, 0, "gathering the runs")
        making.write_runs(grid, paths, refuse_stale=False)
        report(0, 0, "comparing the systems")
        making.write_comparison(grid, paths)
        making.write_costs(grid, paths)
        report(0, 0, "drawing the figures")
        making.write_figures(grid, paths)
        if grid.transfers:
            from graft.reporting import transfer

            transfer.write_transfer(grid, paths, refuse_stale=False)
        report(0, 0, "writing the report")
        making.write_report(grid, paths)
    # Older than every run, so that snakemake makes them anew: it did not make these.
    for path in (*paths.tables.iterdir(), paths.figures, paths.report):
        os.utime(path, (LONG_AGO, LONG_AGO))
    print(f"{paths.tables}, {paths.figures} and {paths.report} are up to date")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The study's name; its config will be config/NAME.yaml.")],
    task: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="Own task: a folder with train.tsv and dev.tsv.")
    ] = None,
    large: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A folder, owner/repo or owner/repo@commit.")
    ] = None,
    small: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A folder, owner/repo or owner/repo@commit.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="Merge method (see `methods`): only those named.")] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", help="Number of seeds.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="What labels of own tasks are: classes or score; of one task, NAME=score."),
    ] = None,
) -> None:
    """Write the config of a new study; what is left out is as in config.yaml.

    --task, --kind and --method may be given several times.
    """
    from graft.cli import new_study

    asked = new_study.ask(name, task or (), large, small, method or (), seeds, kind or ())
    path, grid = new_study.write(asked)
    for own in asked.tasks:
        print(f"{own.name}: {own.guessed or 'a known task'}")
    print(f"{path} is written: {len(grid.systems)} systems, {len(grid.runs)} runs. A dry run, and the run:")
    print(f"  snakemake --profile profiles/local --configfile {path} --dry-run --quiet rules host")
    print(f"  snakemake --profile profiles/local --configfile {path}")


@app.command()
def methods() -> None:
    """The merge methods: kind, needs, label use, inference, citation; then those for models of one shape."""
    from graft.registry.methods import GREEDY, KINDS, ONE_SHAPE, table
    from graft.reporting import terminal

    of_one_shape = terminal.same_shape_table(table(ONE_SHAPE, GREEDY).values())
    terminal.show([terminal.methods_table(table(*KINDS).values()), of_one_shape])


@app.command()
def merge(
    context: typer.Context,
    method: Annotated[str, typer.Option(help="One of `python -m graft methods`, of kind weights or for one shape.")],
    out: Annotated[Path, typer.Option(help="New folder for the merged model.")],
    large: Annotated[Path | None, typer.Option(help="Folder of the pre-trained large model.")] = None,
    small_finetuned: Annotated[Path | None, typer.Option(help="Folder of the fine-tuned small classifier.")] = None,
    text: Annotated[Path | None, typer.Option(help="Unlabelled text: one per line, pairs with a tab between.")] = None,
    small_pretrained: Annotated[Path | None, typer.Option(help="Folder of the small model before that.")] = None,
    head: Annotated[str, typer.Option(help="transplant, label-free or labelled.")] = "transplant",
    labelled: Annotated[
        Path | None, typer.Option(help="TSV for the labelled head: a header, texts, the label last.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of text to compare the models on.")] = 50_000,
    max_tokens: Annotated[int, typer.Option(min=4, help="Texts are cut to this length.")] = 128,
    models: Annotated[list[Path] | None, typer.Option(metavar="DIR...", help="Models of one shape.")] = None,
    base: Annotated[Path | None, typer.Option(help="What these models were fine-tuned from.")] = None,
    weights: Annotated[list[float] | None, typer.Option(metavar="X...", help="A weight for each of them.")] = None,
    statistics: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR...", help="For each, a folder with fisher.safetensors or gram.safetensors."),
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Of the merged weights: float32, bfloat16, ...")] = None,
    max_shard_size: Annotated[str, typer.Option(help="Larger weights go into several files.")] = "5GB",
    strength: Annotated[
        float | None, typer.Option(help="Factor of the change that is carried over; by default 1, or a paper's.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option(help="An option of the method: NAME=VALUE.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; of one shape, for iso_c, tsv and regmean.")] = "cpu",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, show what would be, write nothing.")] = False,
) -> None:
    """Merge a fine-tuned small model into a large one, or models of one shape, from folders to a folder.

    Two shapes: --large DIR --small-finetuned DIR --small-pretrained DIR --text FILE. One shape: --models DIR DIR ...,
    most methods with --base DIR.
    """
    from graft.io.progress import progress
    from graft.io.strict_yaml import read_value

    options = {}
    for given in option or ():
        name, separator, value = given.partition("=")
        if not separator:
            raise ValueError(f"--option {given}: write it as NAME=VALUE")
        if name in options:
            raise ValueError(f"--option {name}: is given twice")
        options[name] = read_value(value, f"--option {name}")
    one_shape = bool(models or base)
    _check_flags(context, one_shape)
    if one_shape:
        from graft.merging.homogeneous import folders as same_shape
        from graft.merging.homogeneous import orders

        _check_kind(method, one_shape)
        asked = orders.Order(
            method, tuple(models or ()), out, base, tuple(weights) if weights else None, strength, options,
            tuple(statistics or ()), device, dtype, max_shard_size,
        )  # fmt: skip
        with progress("merge") as report:
            print(same_shape.told(same_shape.merge(asked, report, dry_run)))
    else:
        if large is None or small_finetuned is None or text is None:
            needed = {"--large": large, "--small-finetuned": small_finetuned, "--text": text}
            missing = ", ".join(flag for flag, value in needed.items() if value is None)
            raise ValueError(f"{missing}: must be given, or --models DIR DIR ... for models of one shape")
        from graft.cli import merge_folders, merge_orders
        from graft.reporting import terminal

        _check_kind(method, one_shape)
        order = merge_orders.Order(
            method, large, small_finetuned, small_pretrained, text, out, head, 1.0 if strength is None else strength,
            labelled, options, tokens, max_tokens, device,
        )  # fmt: skip
        with progress("merge") as report:
            plan = merge_folders.merge(order, report, dry_run)
        terminal.show(merge_orders.told(plan))
    print(f"nothing was written to {out}: this was a dry run" if dry_run else f"the merged model is in {out}")


def _check_flags(context: typer.Context, one_shape: bool) -> None:
    """Raise ValueError for a flag of the other kind of merge, which would be of no effect."""
    for name in OF_TWO_SHAPES if one_shape else OF_ONE_SHAPE:
        if str(context.get_parameter_source(name)).endswith("COMMANDLINE"):
            flag, (ours, theirs) = f"--{name.replace('_', '-')}", KINDS if one_shape else KINDS[::-1]
            raise ValueError(f"{flag} is of merges of {theirs} and of no effect in those of {ours}; give either")


def _check_kind(method: str, one_shape: bool) -> None:
    """Raise ValueError for a method of the other kind of merge."""
    from graft.registry import methods

    their_methods = methods.table(*methods.KINDS if one_shape else (methods.ONE_SHAPE,))
    ours, theirs = KINDS if one_shape else KINDS[::-1]
    if method in their_methods:
        raise ValueError(f"{method} merges models of {theirs}, not of {ours}; `python -m graft methods` lists both")


@app.command()
def statistics(
    kind: Annotated[str, typer.Option(help="What the merge needs of each model: fisher, or gram (regmean).")],
    model: Annotated[Path, typer.Option(help="Folder of the fine-tuned classifier.")],
    text: Annotated[Path, typer.Option(help="Unlabelled text: one per line, pairs with a tab between.")],
    out: Annotated[Path, typer.Option(help="Folder for it, which merge --statistics is then given.")],
    examples: Annotated[int, typer.Option(min=1, help="Texts that are read (a fixed draw).")] = 256,
    max_tokens: Annotated[int, typer.Option(min=4, help="Texts are cut to this length.")] = 128,
) -> None:
    """What fisher and regmean must know of a model before it is merged with others of its shape."""
    from graft.io.progress import progress
    from graft.merging.homogeneous import statistics as computing

    with progress("statistics") as report:
        path = computing.of_folder(kind, model, text, out, examples, max_tokens, report)
    print(f"{path} is written")


@app.command()
def plan(
    config: Annotated[Path, typer.Argument(help="A study's YAML; the default study where it is left out.")] = DEFAULT,
    gpu: Annotated[str, typer.Option(help="GPU that the hours are for; a wrong name lists the known ones.")] = "a100",
    utilisation: Annotated[float, typer.Option(min=0.01, max=1, help="Share of the GPU's peak that is reached.")] = 0.3,
) -> None:
    """What a study will take, before any job: jobs, FLOPs, GPU hours, disk."""
    from graft.config.study import load
    from graft.planning import plan as planning
    from graft.registry import gpus
    from graft.reporting import terminal
    from graft.study.grid import Grid
    from graft.study.sources import check_sources

    wanted = gpus.gpu(gpu)
    grid = Grid(load(config))
    check_sources(grid)
    terminal.show(terminal.plan_tables(planning.plan(grid, Paths.of(grid.study.name), wanted, utilisation)))


@app.command()
def clean(
    study: NamedStudy,
    models: Annotated[
        list[str] | None,
        typer.Option(help="Also saved models of runs that match: a pattern over <task>/<system>/seed-<n>. Repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go, with sizes; delete nothing.")] = False,
) -> None:
    """Delete what a finished study no longer needs: embeddings, statistics, sweeps, encoders, half-written files.

    Records, predictions, tables and figures stay, and snakemake still finds nothing to be done. A system that is added
    later makes what it needs anew, and what was made from that again.
    """
    paths = find(study)
    from graft.cli import cleaning
    from graft.io import locks
    from graft.reporting import formats

    locks.refuse_while_running(paths.lock, paths.jobs_lock, f"study {study}")
    found = cleaning.removable(paths, models or ())
    for item in found:
        print(f"{formats.size(item.bytes):>8}  {item.path}")
    if not dry_run:
        cleaning.remove(found)
    total = formats.size(sum(item.bytes for item in found))
    print(f"{total} {'would be freed' if dry_run else 'freed'}" if found else f"{paths.root}: nothing to delete")


@app.command()
def verify(study: NamedStudy) -> None:
    """Check that the results are what was recorded: fingerprints, sha256 of data, models and predictions, metrics."""
    paths = find(study)
    from graft.cli import verifying
    from graft.config.study import load
    from graft.io.progress import progress
    from graft.study.grid import Grid

    with progress("verify") as report:
        found = verifying.verify(Grid(load(paths.study)), paths, report)
    for what, count in found.counts.items():
        print(f"{count:>6}  {what}")
    for problem in found.problems:
        print(problem, file=sys.stderr)
    if found.problems:
        raise ValueError(f"study {study} is not as recorded: see the lines above ({len(found.problems)})")
    print("all is as recorded")


@app.command()
def submission(
    study: NamedStudy,
    system: Annotated[str, typer.Argument(help="System, as in the tables.")],
    seed: Annotated[
        str | None, typer.Option(help="Of the models; by default the best on select, task by task.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The zip; by default results/STUDY/submissions/SYSTEM.zip.")] = None,
) -> None:
    """Predict GLUE's test sets with a system, and write the zip that gluebenchmark.com takes."""
    paths = find(study)
    from graft.cli import glue, submission
    from graft.config.study import load
    from graft.io.progress import progress
    from graft.study.grid import Grid

    grid = Grid(load(paths.study))
    system = submission.named(grid, system)
    target = out or paths.root / "submissions" / f"{system}.zip"
    with progress("submission") as report:
        parts = submission.submit(grid, paths, system, seed, target, report)
    for part in parts:
        print(part)
    others = [name for name in glue.TEST_SETS if name not in {part.name for part in parts}]
    print(f"{', '.join(others)}: one answer for all rows, since the server wants all; their scores say nothing")
    print(f"the submission is in {target}")


@app.command()
def schema() -> None:
    """The JSON schema of a study config, for editors (config/study.schema.json)."""
    import json

    from graft.config.study import Study

    print(json.dumps(Study.model_json_schema(), indent=2))


def find(study: str | None) -> Paths:
    """The paths of a study with results; raises ValueError that lists the known ones."""
    known = sorted(file.parent.name for file in RESULTS.glob("*/study.json"))
    if study is None and len(known) == 1:
        return Paths.of(known[0])
    if study in known:
        return Paths.of(study)
    if RESULTS.is_file():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(RESULTS))
    if not known:
        raise ValueError(f"no study has results in {RESULTS}/ yet; run snakemake first")
    asked = "several studies have results, so name one" if study is None else f"no study {study!r} has results"
    raise ValueError(f"{asked}: {', '.join(known)}")


def one_by_one(arguments: list[str]) -> list[str]:
    """Arguments in which `--models A B` is written as `--models A --models B`, and so for all flags in SEVERAL.

    A `~` at a path's start is the home folder, as a shell has it everywhere but in `--out=~/merged`.
    """
    spread: list[str] = []
    flag = None
    for argument in arguments:
        if argument.startswith("--"):
            flag = argument if argument in SEVERAL else None
            name, equals, value = argument.partition("=")
            spread += [] if flag else [f"{name}{equals}{os.path.expanduser(value)}"]
        else:
            value = os.path.expanduser(argument)
            spread.append(f"{flag}={value}" if flag else value)
    return spread


def main() -> None:
    """Run the command line; bad input ends in one line on stderr and exit status 1."""
    ending.run("graft", lambda: app(one_by_one(sys.argv[1:]), prog_name="graft"))
