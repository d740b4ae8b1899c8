"""Write a new study's config: the default study's text and comments with the user's name, tasks, models and methods."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.config import study as studies
from graft.config.sources import FileData
from graft.io import files, yaml_text
from graft.io.hub import HUB
from graft.io.names import checked_name
from graft.io.strict_yaml import read_value
from graft.io.workflow import COMMAND, ROOT
from graft.io.yaml_text import Lines, flow
from graft.registry.methods import KINDS, facts
from graft.registry.shapes import Shape
from graft.registry.tasks import TASKS, TaskRow
from graft.study.grid import Grid
from graft.study.sources import check_sources
from graft.tasks import guessing, readers
from graft.tasks.sources import OF_A_TASK, source_files
from graft.tasks.tsv import read_tsv

# The default study: the only source of the comments, and of values that the user does not give.
DEFAULT = ROOT / "config.yaml"
CONFIGS = Path("config")
SCHEMA = "study.schema.json"
# Classification tasks with fewer train rows are fine-tuned like rte, for many epochs; others like sst2.
SMALL_TASK = 10_000
MAX_TOKENS = 128
MARGIN = 0.01
SELECT = 1000
COMMIT = re.compile(r"[0-9a-f]{40}")
# Systems that merges are compared with; left out if the user asks for certain methods.
RIVALS = frozenset({"lora", "distil", "weak-to-strong", "budget", "ensemble", "soup", "multitask", "joint", "oracle"})
ROLES = ("large", "small")


@dataclass(frozen=True)
class OwnTask:
    """A task in a user's folder. `rows`: of its train.tsv; `guessed`: the guesses in words, "" for a known task."""

    name: str
    folder: str
    row: TaskRow
    rows: int
    guessed: str = ""


@dataclass(frozen=True)
class Asked:
    """The user's wishes for a new study; empty or None means as in the default study."""

    name: str
    tasks: tuple[OwnTask, ...] = ()
    models: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Role and source of each model that is not the default's."""
    methods: tuple[str, ...] = ()
    seeds: int | None = None


def ask(
    name: str,
    tasks: Sequence[str] = (),
    large: str | None = None,
    small: str | None = None,
    methods: Sequence[str] = (),
    seeds: int | None = None,
    kinds: Sequence[str] = (),
) -> Asked:
    """Parse the arguments of the command line.

    tasks: `NAME=FOLDER` each. large, small: a folder, or `owner/repo[@commit]` on the hub. kinds: `classes` or `score`
    for all the user's tasks, or `NAME=score` for one. Raises ValueError if an argument is invalid.
    """
    checked_name(name)
    for method in methods:
        facts(method, *KINDS)
    models = tuple((role, model_source(role, given)) for role, given in (("large", large), ("small", small)) if given)
    return Asked(name, own_tasks(tasks, kinds), models, tuple(methods), seeds)


def write(asked: Asked) -> tuple[Path, Grid]:
    """Write config/<name>.yaml, with the checks of snakemake; raises ValueError if these fail or the file exists."""
    path = CONFIGS / f"{asked.name}.yaml"
    if path.exists():
        raise ValueError(f"{path} already exists; choose another name, or delete it first")
    text = config_text(asked, DEFAULT.read_text())
    grid = Grid(studies.parse(read_value(text, str(path))))
    check_sources(grid)
    with files.atomic_file(path) as temporary:
        temporary.write_text(text)
    if not (CONFIGS / SCHEMA).exists():
        files.copy_into(ROOT / CONFIGS, CONFIGS, [SCHEMA])
    return path, grid


def own_tasks(tasks: Sequence[str], kinds: Sequence[str]) -> tuple[OwnTask, ...]:
    """Read the command line's tasks, with the kinds of labels given for them; raises ValueError if one is invalid."""
    names = [task.partition("=")[0] for task in tasks]
    said: dict[str, guessing.Kind] = {}
    for given in kinds:
        name, _, kind = given.rpartition("=")
        if kind not in guessing.KINDS or (name and name not in names):
            raise ValueError(f"--kind {given}: use classes or score, or NAME=score for one --task NAME=FOLDER")
        said |= dict.fromkeys([name] if name else [n for n in names if n not in TASKS], kind)
    if known := [name for name in said if name in TASKS]:
        raise ValueError(f"--kind {known[0]}: a known task has {TASKS[known[0]].kind}; give the task another name")
    return tuple(own_task(task, said.get(name)) for task, name in zip(tasks, names, strict=True))


def own_task(given: str, kind: guessing.Kind | None = None) -> OwnTask:
    """Read the task given as `NAME=FOLDER`; unless the name is a known task's, its columns and labels are guessed.

    Both splits are read whole, to report bad rows at once. Raises ValueError.
    """
    name, equals, folder = given.partition("=")
    if not (equals and folder):
        raise ValueError(f"--task {given}: use NAME=FOLDER, e.g. reviews=data/reviews")
    checked_name(name)
    source, where = FileData(kind="tsv", folder=folder), f"tasks.{name}.source"
    train = source_files(source, where)["train"]
    table = read_tsv(train)
    row = TASKS.get(name) or guessing.guess_row(table, train, kind)
    for split in OF_A_TASK:
        readers.read_split(source, row, split, where)
    if name not in TASKS:
        guessing.check_names(row, *readers.read_table(source, "dev", where))
    return OwnTask(name, folder, row, len(table), "" if name in TASKS else guessing.in_words(row, table))


def model_source(role: str, given: str) -> dict[str, Any]:
    """The `source` of a model given as a local folder or as `owner/repo[@commit]`; raises ValueError."""
    if Path(os.path.expandvars(os.path.expanduser(given))).is_dir():
        return {"kind": "path", "folder": given}
    hub = HUB.fullmatch(given)
    if hub is None:
        raise ValueError(f"--{role}: {given} is neither a folder here nor a name on the hub (owner/repo[@commit])")
    repo, revision = hub.groups()
    return {"kind": "hub", "repo": repo, "revision": commit_of(repo, revision, f"--{role}")}


def commit_of(repo: str, revision: str | None, where: str) -> str:
    """Resolve a branch, a tag or None to a commit (40 hex digits); asks the hub unless given a commit."""
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        if commit := HfApi().model_info(repo, revision=revision).sha:
            return commit
        raise ValueError("it names none")
    except (HTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{where}: {repo} is not a folder, and the hub does not give its commit; "
            f"give a folder, or {repo}@COMMIT with all 40 hex digits ({reason})"
        ) from None


def config_text(asked: Asked, default: str) -> str:
    """Render the config: `default` with the user's values, and its comments kept.

    Raises ValueError if the name is the default study's or a task is given twice.
    """
    values = read_value(default, str(DEFAULT))
    if asked.name == values["name"]:
        raise ValueError(f"{asked.name} is the default study, config.yaml; choose another name")
    names = [task.name for task in asked.tasks]
    if len(set(names)) < len(names):
        raise ValueError(f"--task: {', '.join(names)} names a task twice")
    lines = default.splitlines()
    # The text before the first empty line describes the default study.
    opening = [
        "# yaml-language-server: $schema=study.schema.json",
        f"# The study {asked.name}: {COMMAND} run {CONFIGS / asked.name}.yaml",
    ]
    lines = opening + lines[lines.index("") :]
    lines = yaml_text.replaced(lines, ("name",), [f"name: {flow(asked.name)}"])
    if asked.seeds is not None:
        lines = yaml_text.replaced(lines, ("seeds",), [f"seeds: {asked.seeds}"])
    if asked.tasks or asked.models:
        lines = _with_models(lines, values, asked)
    if asked.tasks:
        lines = _with_tasks(lines, values, asked.tasks)
        # Twelve seeds of a pair take gigabytes, of which a first study needs at most one model.
        lines = yaml_text.replaced(lines, ("keep",), ["keep: []"])
    systems = values["systems"]
    if len(asked.tasks) == 1:
        for several in ("multitask", "joint"):
            if several in systems:
                lines = yaml_text.without(lines, ("systems", several))
        lines = yaml_text.without(lines, ("systems", "control", "wrong-task"))
        systems = {name: settings for name, settings in systems.items() if name not in ("multitask", "joint")}
        systems["control"] = {name: of for name, of in systems["control"].items() if name != "wrong-task"}
    if asked.methods or "small" in dict(asked.models):
        # A user's model rarely comes with the projection of its distillation.
        needing = [n for n, merge in systems["merge"].items() if (merge or {}).get("residual") == "fit_dense"]
        for name in needing:
            lines = yaml_text.without(lines, ("systems", "merge", name))
        systems = {**systems, "merge": {n: merge for n, merge in systems["merge"].items() if n not in needing}}
    if asked.methods:
        lines = _with_methods(lines, systems, asked.methods)
    return "\n".join(lines) + "\n"


def _with_tasks(lines: Lines, values: dict[str, Any], tasks: tuple[OwnTask, ...]) -> Lines:
    explained = next(iter(values["tasks"]))  # the task whose keys carry the comments
    comments = {key: yaml_text.comment(lines, ("tasks", explained, key)) for key in ("source", "limits")}
    new = ["tasks:"]
    for task in tasks:
        new += _task_lines(task, comments)
        comments = dict.fromkeys(comments, [])
    lines = yaml_text.replaced(lines, ("tasks",), new)
    margins = {task.name: values["statistics"]["margins"].get(task.name, MARGIN) for task in tasks}
    return yaml_text.replaced(lines, ("statistics", "margins"), [f"  margins: {flow(margins)}"])


def _task_lines(task: OwnTask, comments: dict[str, Lines]) -> Lines:
    source = {"kind": "tsv", "folder": task.folder}
    lines = [f"  {flow(task.name)}:", *comments["source"], f"    source: {flow(source)}"]
    if task.guessed:
        lines += [_comment(4, "Guessed from train.tsv; please check:"), _comment(4, f"{task.guessed}.")]
        lines += [f"    text: {flow(list(task.row.text))}", f"    label: {flow(task.row.label)}"]
        if task.row.labels is not None:
            lines.append(f"    labels: {flow(list(task.row.labels))}")
        lines.append(f"    metrics: {flow(list(task.row.metrics))}")
    return [*lines, *comments["limits"], f"    limits: {flow({'select': SELECT})}"]


def _with_models(lines: Lines, values: dict[str, Any], asked: Asked) -> Lines:
    pair = values["pairs"][0]
    tokenizer = yaml_text.comment(lines, ("models", pair["small"], "tokenizer"))
    own = dict(asked.models)
    sources = {role: own.get(role) or values["models"][pair[role]]["source"] for role in ROLES}
    names = {role: _model_name(own[role], role) if role in own else pair[role] for role in ROLES}
    others = [name for name, model in values["models"].items() if "like" in model["source"]]
    if len(set(names.values())) == 1 or set(names.values()) & set(others):
        names = {role: role for role in ROLES}
    new = ["models:"]
    for role in ROLES:
        new += [f"  {flow(names[role])}:", f"    role: {role}", f"    source: {flow(sources[role])}"]
        if role == "small":
            new += [*tokenizer, f"    tokenizer: {flow(names['large'])}"]
        defaults = values["models"][pair[role]]["finetune"]
        new += ["    finetune:", *_finetune_lines(defaults, asked.tasks, _positions(sources[role]))]
    for name in others:
        like = ("models", name, "source", "like")
        new += yaml_text.taken(yaml_text.replaced(lines, like, [f"      like: {flow(names['small'])}"]), like[:2])
    lines = yaml_text.replaced(lines, ("models",), new)
    return yaml_text.replaced(lines, ("pairs",), ["pairs:", f"  - {flow(names)}"])


def _finetune_lines(defaults: dict[str, dict[str, Any]], tasks: tuple[OwnTask, ...], positions: int) -> Lines:
    """Hyperparameters per task: those of the default study's model in this role for the most similar task."""
    if not tasks:
        cut = {task: row | {"max_tokens": min(row["max_tokens"], positions)} for task, row in defaults.items()}
        return [f"      {task}: {flow(row)}" for task, row in cut.items()]
    lines = []
    for task in tasks:
        model = task.name if task.name in defaults else similar(task)
        row = defaults[model] | {"max_tokens": min(MAX_TOKENS, positions)}
        lines += [_comment(6, f"As for {model} in config.yaml.")] if model != task.name else []
        lines.append(f"      {flow(task.name)}: {flow(row)}")
    return lines


def similar(task: OwnTask) -> str:
    """The task of the default study whose hyperparameters suit a user's task."""
    if task.row.kind == "score":
        return "stsb"
    return "rte" if task.rows < SMALL_TASK else "sst2"


def _with_methods(lines: Lines, systems: dict[str, Any], methods: tuple[str, ...]) -> Lines:
    present = {name: (settings or {}).get("method", name) for name, settings in systems["merge"].items()}
    for name, method in present.items():
        if method not in methods:
            lines = yaml_text.without(lines, ("systems", "merge", name))
    kept = {name: method for name, method in present.items() if method in methods}
    added = {method: method for method in methods if method not in present.values()}
    lines = yaml_text.extended(lines, ("systems", "merge"), [f"    {method}: {{}}" for method in added])
    for rival in RIVALS & systems.keys():
        lines = yaml_text.without(lines, ("systems", rival))
    return _with_controls(lines, systems.get("control") or {}, kept | added)


def _with_controls(lines: Lines, controls: dict[str, dict[str, Any] | None], merges: dict[str, str]) -> Lines:
    """Restrict controls `of` merges to merges in the study; if none is left, use all merges with heads."""
    for control, given in controls.items():
        settings = given or {}
        of = settings.get("of", [])
        left = [name for name in of if name in merges]
        if left == of:
            continue
        left = left or [name for name, method in merges.items() if facts(method).heads]
        path = ("systems", "control", control)
        new = f"    {control}: {flow({**settings, 'of': left})}"
        lines = yaml_text.replaced(lines, path, [new]) if left else yaml_text.without(lines, path)
        for model in () if left else settings.get("models", ()):
            lines = yaml_text.without(lines, ("models", model))
    return lines


def _model_name(source: dict[str, Any], role: str) -> str:
    folder = os.path.expandvars(os.path.expanduser(source.get("folder", "")))
    given = source["repo"].split("/")[1] if source["kind"] == "hub" else Path(folder).resolve().name
    return re.sub(r"[^a-z0-9._-]+", "-", given.lower()).lstrip("._-") or role


def _positions(source: dict[str, Any]) -> int:
    """Maximum number of tokens of a local model; that of others is known only after download."""
    if source["kind"] != "path":
        return MAX_TOKENS
    folder = Path(os.path.expandvars(os.path.expanduser(source["folder"])))
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder / 'config.json'} is missing; a Hugging Face model folder is needed")
    return Shape.of(folder).positions


def _comment(indent: int, text: str) -> str:
    # A column's name may contain any character; a line break would end the comment.
    return " " * indent + "# " + "".join(c if c.isprintable() else " " for c in text)
