"""The command line: `python -m graft`. Everything heavy is imported by the command that needs it."""

import errno
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from graft.compute import ending
from graft.io.workflow import COMMAND, ROOT
from graft.study.paths import RESULTS, Paths

app = typer.Typer(
    help="Does merging a fine-tuned small model into a large one beat fine-tuning the large one?", add_completion=False
)
# As in snakemake, the default study is the one beside the Snakefile, whatever the working folder.
DEFAULT = ROOT / "config.yaml"
PROFILES = ROOT / "profiles"
# 1980, the first year that a ZIP can store; `snakemake --report` writes one.
LONG_AGO = 315_619_200
# Flags that take several values at once, which typer does not support.
SEVERAL = ("--models", "--weights", "--statistics")
# Parameters of `merge` for merges of one kind only.
OF_TWO_SHAPES = ("large", "small_finetuned", "small_pretrained", "text", "head", "labelled", "tokens", "max_tokens")
OF_ONE_SHAPE = ("models", "base", "weights", "statistics", "dtype", "max_shard_size", "head_of", "no_head")
KINDS = "one shape (--models DIR DIR ...)", "two shapes (--large DIR ...)"
NamedStudy = Annotated[str, typer.Argument(help="Study: the name of a folder in results/.")]
GivenModel = Annotated[str | None, typer.Option(metavar="MODEL", help="A folder, owner/repo or owner/repo@commit.")]
UNLABELLED = typer.Option(help="Unlabelled text: one per line, or pairs separated by a tab.")
CUT = typer.Option(min=4, help="Longer texts are truncated to this length.")
AnyStudy = Annotated[
    str | None, typer.Argument(help="Study, or an archive of one; optional if results/ contains only one.")
]
StudyOrArchive = Annotated[
    str, typer.Argument(help="Study: the name of a folder in results/, or a zip that `archive` wrote.")
]


@app.command()
def show(
    study: AnyStudy = None,
    scenario: Annotated[
        str | None, typer.Option(metavar="NAME", help="Every merge against its rival in this scenario instead.")
    ] = None,
) -> None:
    """Show what to use in each scenario; then a table per task, the result in one sentence, and the files' paths."""
    paths = find(study, archived=True)
    from graft.io.names import check_known
    from graft.reporting import csv_files, summary, terminal
    from graft.study.archives import grid_of

    comparison = csv_files.read_comparison(paths)
    tests = csv_files.read_csv(paths.tables / csv_files.SIGNIFICANCE)
    answers = csv_files.read_csv(paths.tables / csv_files.ANSWER)
    if scenario:
        check_known("--scenario", scenario, grid_of(paths).scenarios())
    terminal.show(terminal.answer_table(answers, scenario))
    if scenario:
        terminal.show(terminal.matched_table(csv_files.read_csv(paths.tables / csv_files.MATCHED), scenario))
        return
    terminal.show(terminal.comparison_tables(comparison))
    terminal.show(terminal.ending(summary.in_words(comparison, tests), summary.places(paths)))


@app.command()
def status(
    study: AnyStudy = None,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every few seconds until Ctrl-C.")] = False,
) -> None:
    """Show which runs are done, running, failed, missing or stale, and why."""
    paths = find(study, archived=True)
    from graft.reporting import terminal

    if watch:
        terminal.watch(terminal.console(), paths)
    else:
        terminal.show(terminal.status(paths))


@app.command()
def explain(
    study: StudyOrArchive,
    task: Annotated[str, typer.Argument(help="Task, or <name>.from-<task> for a transfer.")],
    system: Annotated[str, typer.Argument(help="System, as in the tables.")],
    seed: Annotated[str, typer.Argument(help="Seed, or `all`.")],
) -> None:
    """Explain where a number came from: metrics, choices, cost, every step behind it, and what would make it stale."""
    paths = find(study, archived=True)
    from graft.reporting import explaining, terminal
    from graft.study.archives import grid_of

    grid = grid_of(paths)
    run = explaining.find_run(grid, task, system, seed)
    terminal.show(terminal.explanation(explaining.explain(grid, paths, run)))


@app.command()
def tables(
    study: StudyOrArchive,
    out: Annotated[
        Path | None, typer.Option(help="New folder for what an archive gives; by default named like the archive.")
    ] = None,
) -> None:
    """Rebuild the tables, the figures and the report from the existing runs."""
    from graft.cli import archiving
    from graft.io import files

    target = None
    if is_archive(study):
        target = (out or Path(study).with_suffix("")).absolute()
        files.check_new(target)
    elif out:
        raise ValueError(f"--out is for archives; the tables of {study} are in its folder")
    paths = find(study, archived=True)
    from graft.io.progress import progress
    from graft.reporting import tables as making
    from graft.reporting import transfer
    from graft.study.archives import grid_of

    grid = grid_of(paths)
    with progress("tables") as report:
        report(0, 0, "gathering the runs")
        making.write_runs(grid, paths, refuse_stale=False)
        report(0, 0, "comparing the systems")
        making.write_comparison(grid, paths)
        making.write_costs(grid, paths)
        report(0, 0, "drawing the figures")
        making.write_figures(grid, paths)
        if grid.transfers:
            transfer.write_transfer(grid, paths, refuse_stale=False)
        report(0, 0, "writing the report")
        making.write_report(grid, paths)
    if target:
        archiving.bring_out(paths, target)
        print(f"the tables, the figures and the report are in {target}")
        return
    # Older than every run, so that snakemake, which did not make these, makes them again.
    for path in (*paths.tables.iterdir(), paths.figures, paths.report):
        os.utime(path, (LONG_AGO, LONG_AGO))
    print(f"{paths.tables}, {paths.figures} and {paths.report} are up to date")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The study's name; its config will be config/NAME.yaml.")],
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH", help="Your task: a file, a folder or owner/data-set; or one of GLUE's names."
        ),
    ] = None,
    large: GivenModel = None,
    small: GivenModel = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Merge method to use (see `methods`), instead of the set's.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", help="Number of seeds; default: 3, with --full 12.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="All systems of config.yaml, instead of a few for a first answer.")
    ] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="Kind of labels of your tasks, classes or score; for one task, NAME=score."),
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option(metavar="NAME=TEXT[,TEXT],LABEL", help="A task's columns, if they are unclear.")
    ] = None,
) -> None:
    """Write the config of a new study, with a first set of systems; what is not given is as in config.yaml.

    Files are CSV, TSV, JSON, parquet, or folders of `datasets`. --task, --kind, --columns and --method may be given
    several times.
    """
    from graft.cli import new_study

    asked = new_study.ask(name, task or (), large, small, method or (), seeds, kind or (), columns or (), full)
    path, grid = new_study.write(asked)
    for own in asked.tasks:
        print(f"{own.name}: " + "\n  ".join(own.told))
    systems = {run.system.name for run in grid.runs}
    print(f"{path} was written: {len(systems)} systems, {len(grid.runs)} runs. See what it takes, then run it:")
    print(f"  {COMMAND} plan {path}")
    print(f"  {COMMAND} run {path}")
    if not (full or method):
        print("For all systems of the default study write `standard: full` there, now or later: results stay.")


@app.command()
def config(
    study: Annotated[str, typer.Argument(help="A study's YAML, the name of a folder in results/, or an archive.")],
    full: Annotated[bool, typer.Option("--full", help="With everything that has its default.")] = False,
) -> None:
    """Show a study's config: what differs from the defaults, or everything."""
    from graft.config import study as studies
    from graft.config import written
    from graft.io import yaml_text

    path = Path(study) if Path(study).is_file() and not is_archive(study) else find(study, archived=True).study
    values = (written.whole if full else written.shortest)(studies.load(path))
    print("\n".join(yaml_text.lines(values)))


@app.command()
def methods() -> None:
    """List the merge methods: kind, needs, label use, inference, citation; then those for models of one shape."""
    from graft.registry.methods import GREEDY, KINDS, ONE_SHAPE, table
    from graft.reporting import terminal

    of_one_shape = terminal.one_shape_table(table(ONE_SHAPE, GREEDY).values())
    terminal.show([terminal.methods_table(table(*KINDS).values()), of_one_shape])


@app.command()
def merge(
    context: typer.Context,
    method: Annotated[str, typer.Option(help="From `methods`: one of kind weights or composite, or for one shape.")],
    out: Annotated[Path, typer.Option(help="New folder for the merged model.")],
    large: Annotated[Path | None, typer.Option(help="Folder of the pre-trained large model.")] = None,
    small_finetuned: Annotated[Path | None, typer.Option(help="Folder of the fine-tuned small classifier.")] = None,
    text: Annotated[Path | None, UNLABELLED] = None,
    small_pretrained: Annotated[Path | None, typer.Option(help="Folder of the small model before fine-tuning.")] = None,
    head: Annotated[str, typer.Option(help="transplant, label-free or labelled.")] = "transplant",
    labelled: Annotated[
        Path | None, typer.Option(help="TSV for the labelled head or a composite: a header, texts, the label last.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of text on which to compare the models.")] = 50_000,
    max_tokens: Annotated[int, CUT] = 128,
    models: Annotated[list[Path] | None, typer.Option(metavar="DIR...", help="Models of one shape.")] = None,
    base: Annotated[Path | None, typer.Option(help="Model from which these were fine-tuned.")] = None,
    weights: Annotated[list[float] | None, typer.Option(metavar="X...", help="One weight per model.")] = None,
    statistics: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR...", help="For each model, a folder with fisher.safetensors or gram.safetensors."),
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Type of the merged weights: float32, bfloat16, ...")] = None,
    max_shard_size: Annotated[str, typer.Option(help="Larger weights are split into several files.")] = "5GB",
    head_of: Annotated[
        int | None, typer.Option(help="Number of the model, from 1, whose head is kept; heads are not merged then.")
    ] = None,
    no_head: Annotated[bool, typer.Option("--no-head", help="Leave all heads out: merge the encoders alone.")] = False,
    strength: Annotated[
        float | None, typer.Option(help="Factor of the transferred change; by default 1 or the paper's value.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option(help="Option of the method: NAME=VALUE.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; for one shape, used by iso_c, tsv and regmean.")] = "cpu",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, show the result, and write nothing.")] = False,
) -> None:
    """Merge a fine-tuned small model into a large one, or models of one shape, from folders to a folder.

    Two shapes: --large DIR --small-finetuned DIR --small-pretrained DIR --text FILE. One shape: --models DIR DIR ...,
    most methods with --base DIR. Each DIR may be a name on the Hugging Face hub, owner/repo or owner/repo@revision,
    and an adapter of peft, which is merged into its base model first.
    """
    from graft.encoders import adapters
    from graft.io.progress import progress
    from graft.io.strict_yaml import read_value

    options = {}
    for given in option or ():
        name, separator, value = given.partition("=")
        if not separator:
            raise ValueError(f"--option {given}: use NAME=VALUE")
        if name in options:
            raise ValueError(f"--option {name}: given twice; give it once")
        options[name] = read_value(value, f"--option {name}")
    one_shape = bool(models or base)
    _check_flags(context, one_shape)
    _check_kind(method, one_shape)
    flags = "--large", "--small-finetuned", "--small-pretrained", "--base"
    named = zip(flags, (large, small_finetuned, small_pretrained, base), strict=True)
    scratch = Path(context.with_resource(tempfile.TemporaryDirectory(prefix="graft-")))
    large, small_finetuned, small_pretrained, base = (
        path and adapters.local(path, flag, scratch) for flag, path in named
    )
    models = [adapters.local(model, "--models", scratch) for model in models or ()]
    if one_shape:
        from graft.merging.homogeneous import folders, orders

        asked = orders.Order(
            method, tuple(models), out, base, tuple(weights) if weights else None, strength, options,
            tuple(statistics or ()), device, dtype, max_shard_size, head_of, no_head,
        )  # fmt: skip
        with progress("merge") as report:
            print(folders.summary(folders.merge(asked, report, dry_run)))
    else:
        if large is None or small_finetuned is None or text is None:
            needed = {"--large": large, "--small-finetuned": small_finetuned, "--text": text}
            missing = ", ".join(flag for flag, value in needed.items() if value is None)
            raise ValueError(f"{missing}: required, or use --models DIR DIR ... for models of one shape")
        from graft.cli import merge_folders, merge_orders
        from graft.reporting import terminal

        order = merge_orders.Order(
            method, large, small_finetuned, small_pretrained, text, out, head, 1.0 if strength is None else strength,
            labelled, options, tokens, max_tokens, device,
        )  # fmt: skip
        with progress("merge") as report:
            plan = merge_folders.merge(order, report, dry_run)
        terminal.show(merge_orders.summary(plan))
    print(f"nothing was written to {out}: this was a dry run" if dry_run else f"the merged model is in {out}")


def _check_flags(context: typer.Context, one_shape: bool) -> None:
    """Raise ValueError for a flag of the other kind of merge, which would have no effect."""
    for name in OF_TWO_SHAPES if one_shape else OF_ONE_SHAPE:
        if str(context.get_parameter_source(name)).endswith("COMMANDLINE"):
            flag, (ours, theirs) = f"--{name.replace('_', '-')}", KINDS if one_shape else KINDS[::-1]
            raise ValueError(f"{flag} is for merges of {theirs}, not of {ours}; use flags of one kind")


def _check_kind(method: str, one_shape: bool) -> None:
    """Raise ValueError for a method of the other kind of merge."""
    from graft.registry import methods

    their_methods = methods.table(*methods.KINDS if one_shape else (methods.ONE_SHAPE,))
    ours, theirs = KINDS if one_shape else KINDS[::-1]
    if method in their_methods:
        raise ValueError(f"{method} merges models of {theirs}, not of {ours}; `{COMMAND} methods` lists both")


@app.command()
def statistics(
    kind: Annotated[str, typer.Option(help="Statistics that the merge needs: fisher, or gram (for regmean).")],
    model: Annotated[Path, typer.Option(help="Folder of the fine-tuned classifier.")],
    text: Annotated[Path, UNLABELLED],
    out: Annotated[Path, typer.Option(help="Output folder, to pass to merge --statistics.")],
    examples: Annotated[int, typer.Option(min=1, help="Number of texts to read (a fixed draw).")] = 256,
    max_tokens: Annotated[int, CUT] = 128,
) -> None:
    """Compute the statistics of a model that fisher and regmean need to merge it with others of its shape."""
    from graft.io.progress import progress
    from graft.merging.homogeneous import fisher_gram as computing

    with progress("statistics") as report:
        path = computing.of_folder(kind, model, text, out, examples, max_tokens, report)
    print(f"{path} was written")


@app.command()
def plan(
    config: Annotated[Path, typer.Argument(help="A study's YAML; by default config.yaml.")] = DEFAULT,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="GPU to estimate for, or cpu; by default what was measured, or what jobs would compute on here."
        ),
    ] = None,
    machines: Annotated[int, typer.Option(min=1, help="Machines, or GPUs, at the same time.")] = 1,
    cores: Annotated[int | None, typer.Option(min=1, help="CPU cores of each; by default this machine's.")] = None,
    measure: Annotated[bool, typer.Option(help="First measure what this machine computes in a second.")] = False,
) -> None:
    """Estimate what a study needs, before any job: jobs, FLOPs, time, disk.

    What --measure finds is kept in results/<study>/rates.json for later plans of the study.
    """
    from graft.config.study import load
    from graft.planning import estimates
    from graft.planning import plan as planning
    from graft.reporting import terminal
    from graft.study.grid import Grid
    from graft.study.sources import check_sources

    grid = Grid(load(config))
    paths = Paths.of(grid.study.name)
    check_sources(grid)
    if measure and gpu:
        raise ValueError("--measure is about this machine, --gpu about another; use one of them")
    if measure:
        from graft.measuring import rates as measuring

        found = measuring.measure(grid.study.launch, planning.shapes(grid, paths), paths.root)
        found.write(estimates.measured_rates(paths))
        terminal.show(terminal.rates_tables(found, estimates.measured_rates(paths)))
    rates = estimates.rates_of(grid.study.launch, paths, gpu)
    terminal.show(terminal.plan_tables(planning.plan(grid, paths, rates, machines, cores)))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    config: Annotated[str, typer.Argument(help="A study's YAML, or the name of one that comes with Graft: demo.")],
    profile: Annotated[
        str,
        typer.Option(metavar="NAME", help=f"local, slurm, or a folder; those that come with Graft are in {PROFILES}."),
    ] = "local",
) -> None:
    """Run a study, or continue it, in this folder; results go to results/.

    All other arguments are Snakemake's, e.g. -n (a dry run), --cores N, --quiet rules host, --config 'seeds=[0]'.
    """
    from graft.cli import running

    running.run(config, profile, context.args)


@app.command()
def build(
    study: NamedStudy,
    task: Annotated[str, typer.Argument(help="Task.")],
    system: Annotated[str, typer.Argument(help="System, as in the tables.")],
    seed: Annotated[str, typer.Argument(help="Seed, or all.")],
) -> None:
    """Make a system's model again that was not kept, byte for byte, with whatever that needs.

    A model that comes out differently, on other hardware for instance, is refused.
    """
    paths = find(study)
    from graft.cli import building
    from graft.reporting.explaining import find_run
    from graft.study.archives import grid_of

    grid = grid_of(paths)
    print(building.build(grid, paths, find_run(grid, task, system, seed)))


@app.command()
def export(
    study: NamedStudy,
    task: Annotated[str, typer.Argument(help="Task.")],
    system: Annotated[str, typer.Argument(help="System, as in the tables.")],
    seed: Annotated[str, typer.Argument(help="Seed, or all.")],
    out: Annotated[Path, typer.Argument(help="New folder.")],
) -> None:
    """Copy a system's model into a folder that stands alone: parts, tokenizer and model card; ready for the hub."""
    paths = find(study)
    from graft.cli import exporting
    from graft.reporting.explaining import find_run
    from graft.study.archives import grid_of

    grid = grid_of(paths)
    exporting.export(grid, paths, find_run(grid, task, system, seed), out)
    print(f"{out} stands alone; try it: {COMMAND} predict {out} --text FILE; publish it: hf upload OWNER/NAME {out}")


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="A folder of any system, or owner/repo[@revision] on the hub.")],
    text: Annotated[Path, typer.Option(help="Text: one per line, or pairs separated by a tab.")],
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Print a label and its score for each line of a file: a TSV with a header."""
    from graft.study import answering
    from graft.tasks.texts import read_texts

    columns = read_texts(text)
    print("label", "score", sep="\t")
    for answer in answering.load(model).to(device)(list(zip(*columns, strict=True))):
        print(answer["label"], f"{answer['score']:.6g}", sep="\t")


@app.command()
def clean(
    study: NamedStudy,
    models: Annotated[
        list[str] | None,
        typer.Option(help="Also saved models of matching runs: a pattern for <task>/<system>/seed-<n>. Repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be deleted, with sizes.")] = False,
) -> None:
    """Delete what a finished study no longer needs: embeddings, statistics, sweeps, encoders, half-written files.

    Records, predictions, tables and figures stay, and snakemake still finds nothing to do. A system added later needs
    some of it again, and so rebuilds it and what depends on it.
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
def archive(
    study: NamedStudy, out: Annotated[Path, typer.Argument(help="New file, a zip, such as STUDY-2026-11-30.zip.")]
) -> None:
    """Write what a study has finished into one small zip, from which its tables can be made anywhere.

    It has records, predictions, tables and the config, and for predictions the labels of report and the numbers of
    its rows; no texts, tokens, states or models. `show`, `status`, `explain`, `tables`, `config` and `verify` take it
    instead of a study.
    """
    paths = find(study)
    from graft.cli import archiving
    from graft.io import files
    from graft.reporting import formats
    from graft.study.archives import grid_of

    written = archiving.write(grid_of(paths), paths, out)
    runs = ", ".join(f"{number} {state}" for state, number in written.runs.items())
    print(f"{out}: {formats.size(out.stat().st_size)}, {len(written.sha256)} files, runs: {runs}")
    print(f"sha256 {files.sha256(out)}")


@app.command()
def verify(study: StudyOrArchive) -> None:
    """Check the results against their records: fingerprints, sha256 of data, models and predictions, metrics."""
    paths = find(study, archived=True)
    from graft.cli import verifying
    from graft.io.progress import progress
    from graft.study.archives import grid_of

    with progress("verify") as report:
        found = verifying.verify(grid_of(paths), paths, report)
    for what, count in found.counts.items():
        print(f"{count:>6}  {what}")
    if found.problems:
        print(*found.problems, sep="\n", file=sys.stderr)
        raise ValueError(f"study {study} is not as recorded: see the lines above ({len(found.problems)})")
    print("everything is as recorded")


@app.command()
def submission(
    study: NamedStudy,
    system: Annotated[str, typer.Argument(help="System, as in the tables.")],
    seed: Annotated[
        str | None, typer.Option(help="Seed of the models; by default the best on select for each task.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The zip; by default results/STUDY/submissions/SYSTEM.zip.")] = None,
) -> None:
    """Predict GLUE's test sets with a system, and write the zip for gluebenchmark.com."""
    paths = find(study)
    from graft.cli import glue, submission
    from graft.io.progress import progress
    from graft.study.archives import grid_of

    grid = grid_of(paths)
    system = submission.named(grid, system)
    target = out or paths.root / "submissions" / f"{system}.zip"
    with progress("submission") as report:
        parts = submission.submit(grid, paths, system, seed, target, report)
    print(*parts, sep="\n")
    others = [name for name in glue.TEST_SETS if name not in {part.name for part in parts}]
    print(f"{', '.join(others)}: one answer for all rows, since the server needs all tasks; ignore their scores")
    print(f"the submission is in {target}")


@app.command()
def schema() -> None:
    """Print the JSON schema of a study config, for editors (config/study.schema.json)."""
    import json

    from graft.config.study import Study

    print(json.dumps(Study.model_json_schema(), indent=2))


def is_archive(study: str | None) -> bool:
    """Whether a file is meant, not a study in results/."""
    return study is not None and study.endswith(".zip") and not Paths.of(study).study.is_file()


def find(study: str | None, archived: bool = False) -> Paths:
    """Return the paths of a study with results; raises ValueError that lists those available.

    archived: take an archive too, which is unpacked for as long as this process works.
    """
    if study and is_archive(study):
        from graft.cli import archiving

        if not archived:
            raise ValueError(f"{study}: an archive has no data and no models; name a study in {RESULTS}/")
        return archiving.unpacked(Path(study))
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
    """Rewrite `--models A B` as `--models A --models B`, and likewise all flags in SEVERAL.

    A `~` at the start of a path is the home folder, which shells expand everywhere except in `--out=~/merged`.
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
    ending.run("graft", lambda: app(one_by_one(sys.argv[1:]), prog_name=COMMAND))
