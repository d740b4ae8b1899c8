"""The model cards of a study's systems: README.md with the hub's metadata, beside the weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graft.config.sources import GeneratedData, HubData
from graft.io import files, markdown
from graft.merging import card
from graft.merging.composite import manifest
from graft.registry import methods, published
from graft.registry.published import Origin
from graft.reporting import formats
from graft.study.grid import Grid
from graft.study.grid_systems import ORACLE, System
from graft.study.paths import Paths
from graft.study.records import RunRecord

RESULTS = "## Results"
CONTROL = "> This is a control: a system that must not win and is useless by itself."
ORACLE_NOTE = "> This is an oracle: it is made of the fine-tuned large model itself, to show what its merge loses."
# The hub's names of metrics that it calls differently.
METRICS = {"f1_macro": "f1", "pearson": "pearsonr", "spearman": "spearmanr"}


def write(grid: Grid, paths: Paths, task: str, system: str, seed: int | str) -> None:
    """Write a built system's card into its model folder; its build.json must exist."""
    folder = paths.run(task, system, seed)
    _write(folder, page(grid, paths, files.read_json(folder / "build.json")))


def complete(grid: Grid, paths: Paths, record: RunRecord) -> None:
    """Add an evaluation's results to a system's card, creating the card if it is missing.

    No step reads a card and no sha256 covers it, so the evaluation may change the one that the build wrote.
    """
    folder = paths.run(record.task, record.system, record.seed)
    path = folder / "model" / card.CARD
    text = path.read_text() if path.is_file() else page(grid, paths, files.read_json(folder / "build.json"))
    _write(folder, completed(grid, text, record))


def completed(grid: Grid, text: str, record: RunRecord) -> str:
    """The text of a card with an evaluation's results, in place of any that it has."""
    metadata, body = card.parts(text)
    metadata["metrics"] = list(dict.fromkeys(METRICS.get(name, name) for name in record.metrics))
    metadata["model-index"] = [{"name": record.system, "results": [_evaluated(grid, record)]}]
    return card.page(metadata, body.split(f"\n{RESULTS}\n")[0].strip("\n"), RESULTS, _results(record))


def page(grid: Grid, paths: Paths, built: Mapping[str, Any], alone: bool = False) -> str:
    """Render a system's card before its evaluation; `built` is its build.json, `alone`: of a folder that has all."""
    task, system = built["task"], grid.systems[built["system"]]
    folder = paths.run(task, system.name, built["seed"]) / "model"
    composite = (folder / manifest.FILE).is_file()
    # The first is the one whose shape the system has.
    named = (system.model, *((system.pair.large, system.pair.small) if system.pair else ()))
    models = list(dict.fromkeys(name for name in named if name))
    origins = [published.of_folder(paths.model(model)) for model in models]
    return card.page(
        _metadata(grid, task, system, origins, composite),
        f"# {system.name} on {task}, seed {built['seed']}",
        card.warned(origins),
        {"control": CONTROL, ORACLE: ORACLE_NOTE}.get(system.kind, ""),
        _made(built, system),
        markdown.table(("pre-trained model", "from", "sha256"), [_row(paths, m) for m in models]) if models else "",
        _use(composite, alone),
    )


def _write(folder: Path, text: str) -> None:
    with files.atomic_file(folder / "model" / card.CARD) as temporary:
        temporary.write_text(text)


def _metadata(grid: Grid, task: str, system: System, origins: list[Origin], composite: bool) -> dict[str, Any]:
    source, merged = grid.study.tasks[task].source, bool(system.method)
    # The first word of a system's name is its family: finetune, probe, soup, ...
    tags = ["merge"] * merged + ["graft", system.method or system.name.split(".")[0]]
    return card.metadata(
        system.method,
        origins,
        library_name="graft" if composite else "transformers",
        tags=list(dict.fromkeys([*tags, *({"composite", "control", ORACLE} & {system.kind})])),
        base_model_relation=None if not published.repos(origins) else "merge" if merged else "finetune",
        datasets=[source.repo] if isinstance(source, HubData) else None,
    )


def _evaluated(grid: Grid, record: RunRecord) -> dict[str, Any]:
    source = grid.study.tasks[record.task].source
    hub = source if isinstance(source, HubData) else None
    split = "dev" if isinstance(source, GeneratedData) else source.named("dev") or source.named("train")
    dataset = {"name": record.task, "type": hub.repo if hub else record.task}
    dataset |= {"config": hub.config} if hub and hub.config else {}
    return {
        "task": {"type": "text-classification"},
        "dataset": dataset | {"split": split},
        "metrics": [
            {"type": METRICS.get(name, name), "value": metric.value, "name": name}
            for name, metric in record.metrics.items()
        ],
    }


def _made(built: Mapping[str, Any], system: System) -> str:
    """Describe in one paragraph the method, choices, options, labels seen and source."""
    method = methods.table().get(system.method)
    searched = ("strengths", "ridge", "scales")
    options = [f"{name} {value}" for name, value in built["hyperparameters"].items() if name not in searched]
    chosen = [f"{choice['name']} {choice['chosen']}" for choice in built["choices"]]
    sentences = [
        f"Made by Graft as a {system.kind} system"
        + (f" by the method `{method.name}`" if method else "")
        + (f" with the head `{system.head}`" if system.head else "")
        + "."
    ]
    sentences += [f"Chosen on `select`, a part of train: {', '.join(chosen)}."] if chosen else []
    strengths = [choice["chosen"] for choice in built["choices"] if choice["name"] == "strength"]
    if system.head and 0 in (*strengths, built["hyperparameters"].get("strength")):
        chose = f" by {system.parent}" if system.parent else ""
        sentences += [
            f"Strength 0 was chosen{chose}: this is the large model with a fitted head, and nothing was merged into it."
        ]
    sentences += [f"Options: {', '.join(options)}."] if options else []
    sentences += [f"Labels seen: `{system.label_use}`."]
    sentences += [f"Source of the method: {method.citation}."] if method else []
    return " ".join(sentences)


def _row(paths: Paths, model: str) -> tuple[str, str, str]:
    manifest_ = files.read_json(paths.model(model) / "manifest.json")
    source = manifest_["source"]
    origin = {
        "hub": "{repo} at {revision:.12}",
        "python_package": "the Python package {package}",
        "path": "a local folder",
        "distilled": "distilled here from {teacher}",
        "random": "never trained, with the shape of {like}",
        "masked_lm": "pre-trained here, with the shape of {like}",
    }[source["kind"]].format(**source)
    return f"`{model}`", origin, f"`{manifest_['sha256']['model.safetensors'][:16]}`"


def _results(record: RunRecord) -> str:
    rows = [
        (name, formats.score(m.value), "" if m.stderr is None else formats.score(m.stderr), str(m.n))
        for name, m in record.metrics.items()
    ]
    select = record.select
    chosen = f" On `select`, used for choices, {select.metric} is {formats.score(select.value)}." if select else ""
    training, inference = map(formats.flops, (record.cost.train_flops, record.cost.inference_flops))
    return "\n\n".join(
        [
            "On the published dev split, which was used for no choice:",
            markdown.table(("metric", "value", "standard error", "examples"), rows),
            f"One run is no verdict: the tables of the study compare systems over all seeds.{chosen} Training took "
            f"{training} FLOPs from the published models; inference on 128 tokens takes {inference}.",
        ]
    )


def _use(composite: bool, alone: bool) -> str:
    if alone:
        return f"{card.ALONE}{'' if composite else f' {card.LOADING}'} `build.json` records how it was made."
    if not composite:
        return f"{card.LOADING} The `build.json` in its study records how it was made."
    return (
        "`graft.merging.loading.load(folder)` reads it. `composite.json` names the models that it runs by relative "
        "path and sha256, so keep them in the same place relative to it. The `build.json` in its study records how it "
        "was made."
    )
