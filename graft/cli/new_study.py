"""Write a new study's config: the user's tasks, models and methods, and of the default study what is not given.

Its systems are the standard first set, or the full one, which is the default study's (graft/registry/standard.py).
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.cli.own_tasks import OwnTask, commit_of, own_tasks, source_values
from graft.config import study as studies
from graft.config.written import shortest
from graft.io import files
from graft.io.hub import HUB
from graft.io.names import checked_name
from graft.io.strict_yaml import read_yaml
from graft.io.workflow import COMMAND, ROOT
from graft.io.yaml_text import lines
from graft.planning.sizes import MODELS
from graft.registry import hyperparameters, standard
from graft.registry.families.family import unlike_heads
from graft.registry.methods import HEADS, KINDS, facts
from graft.registry.shapes import Shape
from graft.registry.tasks import GLUE_ROWS, MISMATCHED, TASKS, error_at, usual_margin
from graft.study.grid import Grid
from graft.study.sources import check_sources

# The default study: the only source of what the user does not give.
DEFAULT = ROOT / "config.yaml"
CONFIGS = Path("config")
SCHEMA = "study.schema.json"
MAX_TOKENS = 128
# Of the full set, costly systems that merges are compared with, and scenarios; left out if the user asks for certain
# methods.
RIVALS = frozenset(
    {"lora", "distil", "weak-to-strong", "ensemble", "soup", "multitask", "joint", "oracle", "few-labels", "label-free"}
)
OF_SEVERAL_TASKS = ("multitask", "joint")
ROLES = ("large", "small")
# Seeds of the first set; the full one has as many as the default study.
FIRST_SEEDS = 3
Values = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """The user's wishes for a new study; empty or None means as in the default study."""

    name: str
    tasks: tuple[OwnTask, ...] = ()
    models: tuple[tuple[str, Values], ...] = ()
    """Role and source of each model that is not the default's."""
    methods: tuple[str, ...] = ()
    seeds: int | None = None
    full: bool = False
    """Whether to begin with the full set of systems."""

    @property
    def standard(self) -> str:
        return "full" if self.full else "first"


def ask(
    name: str,
    tasks: Sequence[str] = (),
    large: str | None = None,
    small: str | None = None,
    methods: Sequence[str] = (),
    seeds: int | None = None,
    kinds: Sequence[str] = (),
    columns: Sequence[str] = (),
    full: bool = False,
) -> Asked:
    """Parse the arguments of the command line.

    tasks, kinds, columns: see `own_tasks`. large, small: a folder, or `owner/repo[@commit]` on the hub. Raises
    ValueError if an argument is invalid.
    """
    checked_name(name)
    for method in methods:
        facts(method, *KINDS)
    models = tuple((role, model_source(role, given)) for role, given in (("large", large), ("small", small)) if given)
    return Asked(name, own_tasks(tasks, kinds, columns), models, tuple(methods), seeds, full)


def write(asked: Asked) -> tuple[Path, Grid]:
    """Write config/<name>.yaml, with the checks of snakemake; raises ValueError if these fail or the file exists."""
    path = CONFIGS / f"{asked.name}.yaml"
    if path.exists():
        raise ValueError(f"{path} already exists; choose another name, or delete it first")
    values = values_of(asked, read_yaml(DEFAULT))
    grid = Grid(studies.parse(values))
    check_sources(grid)
    shown = shortest(grid.study)
    if not asked.methods:
        shown["systems"] = values["systems"]
    with files.atomic_file(path) as temporary:
        temporary.write_text(text_of(shown, asked))
    if not (CONFIGS / SCHEMA).exists():
        files.copy_into(ROOT / CONFIGS, CONFIGS, [SCHEMA])
    return path, grid


def model_source(role: str, given: str) -> Values:
    """The `source` of a model given as a local folder or as `owner/repo[@commit]`; raises ValueError."""
    if Path(os.path.expandvars(os.path.expanduser(given))).is_dir():
        return {"kind": "path", "folder": given}
    hub = HUB.fullmatch(given)
    if hub is None:
        raise ValueError(f"--{role}: {given} is neither a folder here nor a name on the hub (owner/repo[@commit])")
    repo, revision = hub.groups()
    return {"kind": "hub", "repo": repo, "revision": commit_of(repo, revision, f"--{role}")}


def text_of(values: Values, asked: Asked) -> str:
    """Return a config's text: its values, and what was guessed."""
    name = asked.name
    text = [
        "# yaml-language-server: $schema=study.schema.json",
        f"# Run it: {COMMAND} run {CONFIGS / name}.yaml",
        f"# All other keys have their defaults: {COMMAND} config --full {CONFIGS / name}.yaml",
    ]
    guesses = [f"# {task.name}: {_printable(task.told[0])}" for task in asked.tasks if task.reported is not None]
    notes = {
        "tasks": guesses,
        "models": ["# Learning rates, batch sizes and epochs follow from the models' widths and the rows of train."]
        if asked.tasks or asked.models
        else [],
        "systems": ["# first: few systems, for a first answer. full: all of the default study; results stay."]
        if not (asked.methods or asked.full)
        else [],
    }
    for key, value in values.items():
        text += [*notes.get(key, []), *lines({key: value})]
    return "\n".join(text) + "\n"


def values_of(asked: Asked, default: Values) -> Values:
    """Return the config's values: the default study's, with the user's wishes.

    Raises ValueError if the name is the default study's.
    """
    if asked.name == default["name"]:
        raise ValueError(f"{asked.name} is the default study, config.yaml; choose another name")
    values = default | {"name": asked.name, "statistics": {}}
    if not asked.full:
        values |= {"seeds": FIRST_SEEDS}
    if asked.seeds is not None:
        values |= {"seeds": asked.seeds}
    if asked.tasks or not asked.full:
        # Twelve seeds of a pair take gigabytes, of which a first study needs at most one model.
        values |= {"keep": []}
    if asked.tasks:
        values |= {"tasks": {task.name: _task(task) for task in asked.tasks}}
        values |= {"statistics": {"margins": _margins(asked.tasks)}, "transfer": _mismatched(asked.tasks)}
    if asked.tasks or asked.models:
        values |= _models(asked, default)
    without: Values = dict.fromkeys(OF_SEVERAL_TASKS if len(values["tasks"]) == 1 else ())
    if without:
        without["control"] = {"wrong-task": None}
    if asked.methods or "small" in dict(asked.models):
        # A user's model rarely comes with the projection of its distillation.
        without["merge"] = {name: None for name, merge in standard.FULL["merge"].items() if "residual" in merge}
    known = dict(standard.SETS[asked.standard]) | ({"merge": standard.FULL["merge"]} if asked.methods else {})
    for family, changes in _fitting(values, known).items():
        # A method that was asked for is refused by the check of the whole study, not left out.
        changes = {name: change for name, change in changes.items() if change or not asked.methods}
        without[family] = without.get(family, {}) | changes
    if not asked.methods:
        return values | {"systems": {"standard": asked.standard, **without}}
    systems = _with_methods(standard.changed(known, without), asked)
    left = systems["control"].get("other-small", {}).get("models", ())
    models = {n: model for n, model in values["models"].items() if "like" not in model["source"] or n in left}
    return values | {"systems": systems, "models": models}


def _task(task: OwnTask) -> Values:
    given = {"text": list(task.row.text), "label": task.row.label, "metrics": list(task.row.metrics)}
    given |= {"labels": list(task.row.labels)} if task.row.labels else {}
    return {"source": source_values(task.source)} | ({} if task.known else given)


def _margins(tasks: Sequence[OwnTask]) -> dict[str, float]:
    """Margins of the tasks that the table does not know."""
    return {
        task.name: usual_margin(error_at(task.row.kind, task.reported))
        for task in tasks
        if task.reported and not task.known
    }


def _mismatched(tasks: Sequence[OwnTask]) -> Values:
    """MNLI's second dev split as a transfer, if the hub's MNLI is among the tasks."""
    known = next((task for task in tasks if task.name == "mnli" and task.source.kind == "hub"), None)
    if known is None:
        return {}
    row, source = TASKS["mnli"], source_values(known.source) | {"splits": MISMATCHED}
    labels = {str(i): name for i, name in enumerate(row.labels or ())}
    transfer = {"from": "mnli", "source": source, "text": list(row.text), "label": row.label, "labels": labels}
    return {"mismatched": transfer}


def _models(asked: Asked, default: Values) -> Values:
    """The models, each with hyperparameters for all tasks, and their pair."""
    pair, own, theirs = default["pairs"][0], dict(asked.models), default["models"]
    names = {role: _model_name(own[role], role) if role in own else pair[role] for role in ROLES}
    others = {name: model for name, model in theirs.items() if "like" in model["source"]}
    if len(set(names.values())) == 1 or set(names.values()) & set(others):
        names = {role: role for role in ROLES}
    rows = {task.name: task.rows for task in asked.tasks} or {task: GLUE_ROWS[task] for task in default["tasks"]}
    models = {}
    for role in ROLES:
        source = own.get(role) or theirs[pair[role]]["source"]
        width, positions = _size(source, MODELS[theirs[pair[role]]["source"]["repo"]])
        usual = {} if role in own else theirs[pair[role]]["finetune"]
        tokens = {"max_tokens": min(MAX_TOKENS, positions)}
        finetune = {task: usual.get(task) or hyperparameters.finetuning(width, n) | tokens for task, n in rows.items()}
        models[names[role]] = {"role": role, "source": source, "finetune": finetune}
    if not _two_vocabularies([own.get(role) or theirs[pair[role]]["source"] for role in ROLES]):
        models[names["small"]]["tokenizer"] = names["large"]
    for name, other in others.items():
        source = other["source"] | {"like": names["small"]}
        if "options" in source and (asked.tasks or "small" in own):
            source["options"] = {"steps": hyperparameters.masked_steps(sum(rows.values()))}
        models[name] = other | {"source": source}
    return {"models": models, "pairs": [names]}


def _fitting(values: Values, known: Values) -> Values:
    """Changes of known systems that the pair needs, as far as its shapes are known here.

    Merges that refuse it are left out, and so are transplanted heads if those of its families are unlike.
    """
    (pair,) = values["pairs"]
    small, large = (_shape(values["models"][pair[role]]["source"]) for role in ("small", "large"))
    if not (small and large):
        return {}
    unlike, fitted = unlike_heads(small.kind, large.kind), {"heads": [head for head in HEADS if head != "transplant"]}
    merges: Values = {}
    for name, merge in known["merge"].items():
        method = facts(merge.get("method", name))
        if method.refusal(small, large):
            merges[name] = None
        elif unlike and method.heads and "heads" not in merge:
            merges[name] = fitted
    control = {"head-only": fitted} if unlike and "heads" not in known["control"]["head-only"] else {}
    return {family: changes for family, changes in (("merge", merges), ("control", control)) if changes}


def _two_vocabularies(sources: Sequence[Values]) -> bool:
    """Whether both models are folders whose tokenizers differ; of others one is expected, and compared in the study."""
    if any(source["kind"] != "path" for source in sources):
        return False
    from graft.tasks import alike

    folders = (Path(os.path.expandvars(os.path.expanduser(source["folder"]))) for source in sources)
    return alike.apart(*folders) is not None


def _size(source: Values, otherwise: Shape) -> tuple[int, int]:
    """Width and positions of a model; those of one on the hub that is not published in our table are guessed."""
    shape = _shape(source) or otherwise
    return shape.width, shape.positions if source["kind"] == "path" else MAX_TOKENS


def _shape(source: Values) -> Shape | None:
    """Shape of a model in a folder, or of one on the hub that is published in our table."""
    if source["kind"] != "path":
        return MODELS.get(source["repo"])
    folder = Path(os.path.expandvars(os.path.expanduser(source["folder"])))
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder / 'config.json'} is missing; a Hugging Face model folder is needed")
    return Shape.of(folder)


def _with_methods(systems: Values, asked: Asked) -> Values:
    """The systems with merges by the methods asked for alone, and with the controls of these."""
    present = {name: merge for name, merge in systems["merge"].items() if merge.get("method", name) in asked.methods}
    known = {merge.get("method", name) for name, merge in present.items()}
    merges = present | {method: {} for method in asked.methods if method not in known}
    if not asked.full:
        headed = {name for name, merge in merges.items() if facts(merge.get("method", name)).heads}
        merges |= {name: merges[name] | {"heads": ["labelled"]} for name in headed}
    kept = {key: value for key, value in systems.items() if key not in RIVALS}
    return kept | {"merge": merges, "control": _controls(systems["control"], merges)}


def _controls(controls: Values, merges: Values) -> Values:
    """Restrict controls `of` merges to merges in the study; if none is left, use all merges with heads."""
    found = {}
    for control, settings in controls.items():
        of = settings.get("of", [])
        left = [name for name in of if name in merges]
        left = left or [name for name, merge in merges.items() if facts(merge.get("method", name)).heads]
        if left or not of:
            found[control] = settings | ({"of": left} if of else {})
    return found


def _model_name(source: Values, role: str) -> str:
    folder = os.path.expandvars(os.path.expanduser(source.get("folder", "")))
    given = source["repo"].split("/")[1] if source["kind"] == "hub" else Path(folder).resolve().name
    return re.sub(r"[^a-z0-9._-]+", "-", given.lower()).lstrip("._-") or role


def _printable(text: str) -> str:
    # A column's name may contain any character; a line break would end the comment.
    return "".join(c if c.isprintable() else " " for c in text)
