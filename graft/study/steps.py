"""The jobs of a study: their rules, inputs, outputs and logs. Imports no torch.

The rules themselves are in `rules/`; a test compares the jobs counted here with those of a dry run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from graft.study import families
from graft.study.grid import ALL_SEEDS, Grid, Run
from graft.study.grid_systems import probes_of, reads_layers, statistic_of
from graft.study.paths import Paths

# Rule of each program that makes systems.
RULES = {
    "finetune": "finetune_model",
    "fewshot": "fewshot_model",
    "warm_start": "warm_start",
    "ensemble": "ensemble_models",
    "merge": "merge_models",
    "soup": "soup_models",
    "multitask": "multitask_models",
    "probe": "probe",
    "majority": "majority",
}
# Rules that fine-tune: separate where they need no merge, so that changing a merge's grid re-runs none of them.
TUNING = ("finetune_model", "fewshot_model", "warm_start")
# Rule of each kind of model source.
MODEL_RULES = {
    "hub": "download_model",
    "path": "download_model",
    "python_package": "download_model",
    "distilled": "distil_model",
    "random": "initialise_model",
    "masked_lm": "pretrain_model",
}
LAST = ("gather", "compare", "tabulate_costs", "plot", "transfer", "report")


@dataclass(frozen=True)
class Step:
    """One job: a rule and the values of its wildcards, in the order of the rule's log."""

    rule: str
    wildcards: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        return " ".join(map(str, (self.rule, *self.wildcards)))


def of_study(grid: Grid) -> list[Step]:
    """All jobs of a study from scratch, in an order in which inputs come first."""
    last = LAST if grid.transfers else [rule for rule in LAST if rule != "transfer"]
    runs = [*grid.runs, *grid.transfer_runs]
    return [*with_inputs(grid, [*map(evaluation, runs), *measurements(grid)]), *map(Step, last)]


def evaluation(run: Run) -> Step:
    """The last step of a run, which writes run.json."""
    return Step("evaluate", (run.task, run.system.name, run.seed))


def measurements(grid: Grid) -> list[Step]:
    """The steps that measure inference cost."""
    return [Step("measure_cost", (task,)) for task in families.measured_tasks(grid)]


def with_inputs(grid: Grid, steps: Iterable[Step]) -> list[Step]:
    """These steps and all their inputs, each once, inputs first."""
    found: dict[Step, None] = {}

    def add(step: Step) -> None:
        if step not in found:
            for needed in inputs(grid, step):
                add(needed)
            found[step] = None

    for step in steps:
        add(step)
    return list(found)


def inputs(grid: Grid, step: Step) -> list[Step]:
    """The steps whose outputs a step reads."""
    study = grid.study
    match step.rule, step.wildcards:
        case "tokenize_task", (task, tokenizer):
            return [Step("download_task", (task,)), _weights(grid, tokenizer)]
        case "distil_model", (model,):
            data = [Step("download_task", (task,)) for task in study.tasks]
            return [*data, _weights(grid, study.models[model].source.teacher)]
        case "initialise_model", (model,):
            return [_weights(grid, study.models[model].source.like)]
        case "pretrain_model", (model,):
            data = [Step("download_task", (task,)) for task in study.tasks]
            return [*data, _weights(grid, study.models[model].source.like)]
        case rule, (task, system, seed) if rule in (*TUNING, "ensemble_models"):
            spec = grid.systems[system]
            others = [_making(grid, task, *other) for other in grid.read_by_tuning(task, spec, seed)]
            return [_weights(grid, spec.model), _tokens(grid, task, spec.model), *others]
        case "embed_task", (task, model):
            return [_weights(grid, model), _tokens(grid, task, model)]
        case "probe", (task, system, _):
            model = grid.systems[system].model
            return [_weights(grid, model), Step("embed_task", (task, model))]
        case "majority", (task, *_):
            return [Step("download_task", (task,))]
        case (("calibrate" | "embed_layers"), (task, pair, *_)):
            large, small = grid.pair(pair).large, grid.pair(pair).small
            return [_weights(grid, large), _weights(grid, small), _tokens(grid, task, large)]
        case "sweep", (task, merge, pair, seed):
            found = [_finetuned(task, grid.pair(pair).small, seed), *_merge_parts(grid, task, pair)]
            return found + _statistics(grid, task, pair, merge)
        case "model_statistics", (task, system, seed, _):
            return [_making(grid, task, system, seed), _tokens(grid, task, grid.systems[system].model)]
        case "soup_models", (task, system, seed):
            return _same_shape_inputs(grid, task, system, seed)
        case "merge_encoders", (system, seed):
            return _same_shape_inputs(grid, "", system, seed)
        case "multitask_models", (task, system, seed):
            spec = grid.systems[system]
            own = [_weights(grid, spec.model), _finetuned(task, spec.model, seed)]
            return [*own, Step("merge_encoders", (system, seed))]
        case "merge_models", (task, system, seed):
            return _merge_inputs(grid, task, system, seed)
        case "evaluate", (task, system, seed):
            making = _making(grid, grid.trained_on(task), system, seed)
            return [making, Step("download_task", (task,)), _tokens(grid, task, grid.reads_as(grid.systems[system]))]
        case "measure_cost", (task,):
            runs = [family.run for family in families.families(grid, task)]
            made = [_making(grid, task, run.system.name, run.seed) for run in runs]
            return made + [_tokens(grid, task, grid.reads_as(run.system)) for run in runs]
        case _:
            return []


def log_of(step: Step, paths: Paths) -> Path:
    """Path of the log that the step's rule writes."""
    if step.rule == "sweep":
        task, merge, pair, seed = step.wildcards
        return paths.logs / "sweep" / task / f"{merge}.{pair}" / f"seed-{seed}.log"
    if step.rule == "model_statistics":
        task, system, seed, statistic = step.wildcards
        return paths.logs / step.rule / task / system / f"seed-{seed}" / f"{statistic}.log"
    if step.rule == "merge_encoders":
        system, seed = step.wildcards
        return paths.logs / step.rule / system / f"seed-{seed}.log"
    if len(step.wildcards) == 3 and step.rule != "calibrate":
        task, system, seed = step.wildcards
        return paths.logs / step.rule / task / system / f"seed-{seed}.log"
    *folders, last = (step.rule, *map(str, step.wildcards))
    return paths.logs.joinpath(*folders, f"{last}.log")


def output_of(step: Step, paths: Paths) -> Path:
    """The file that marks a step as done: its manifest, build.json, run.json or table."""
    match step.rule:
        case "download_task":
            return paths.data(*step.wildcards) / "manifest.json"
        case "tokenize_task":
            return paths.tokens(*step.wildcards) / "manifest.json"
        case "download_model" | "distil_model" | "initialise_model" | "pretrain_model":
            return paths.model(*step.wildcards) / "manifest.json"
        case "embed_task":
            return paths.embeddings(*step.wildcards) / "manifest.json"
        case "embed_layers":
            return paths.layers(*step.wildcards) / "manifest.json"
        case "calibrate":
            return paths.statistics(*step.wildcards) / "manifest.json"
        case "model_statistics":
            return paths.model_statistics(*step.wildcards) / "manifest.json"
        case "merge_encoders":
            return paths.encoder(*step.wildcards) / "manifest.json"
        case "sweep":
            return paths.sweep(*step.wildcards) / "manifest.json"
        case "evaluate":
            return paths.run(*step.wildcards) / "run.json"
        case "measure_cost":
            return paths.costs(*step.wildcards)
        case "tabulate_costs":
            return paths.tables / "cost.csv"
        case "gather":
            return paths.tables / "runs.csv"
        case "compare":
            return paths.tables / "comparison.csv"
        case "transfer":
            return paths.tables / "transfer.csv"
        case "plot":
            return paths.figures
        case "report":
            return paths.report
        case _:
            return paths.run(*step.wildcards) / "build.json"


def fingerprint_of(grid: Grid, step: Step) -> str:
    """Fingerprint of a step under the current config; raises ValueError if a local source is missing."""
    match step.rule:
        case "download_task":
            return grid.data(*step.wildcards)
        case "tokenize_task":
            return grid.tokens(*step.wildcards)
        case "download_model" | "distil_model" | "initialise_model" | "pretrain_model":
            return grid.model(*step.wildcards)
        case "embed_task":
            return grid.embed(*step.wildcards)
        case "embed_layers":
            return grid.embed_layers(*step.wildcards)
        case "calibrate":
            return grid.calibrate(*step.wildcards)
        case "model_statistics":
            return grid.model_statistics(*step.wildcards)
        case "merge_encoders":
            return grid.encoder(*step.wildcards)
        case "sweep":
            return grid.sweep(*step.wildcards)
        case "evaluate":
            return grid.evaluated(*step.wildcards)
        case _:
            return grid.made(*step.wildcards)


def _weights(grid: Grid, model: str) -> Step:
    return Step(MODEL_RULES[grid.study.models[model].source.kind], (model,))


def _tokens(grid: Grid, task: str, model: str) -> Step:
    return Step("tokenize_task", (task, grid.study.tokenizer_of(model)))


def _making(grid: Grid, task: str, system: str, seed: int | str) -> Step:
    """The step that makes a system."""
    return Step(RULES[grid.systems[system].program], (task, system, seed))


def _same_shape_inputs(grid: Grid, task: str, system: str, seed: int | str) -> list[Step]:
    spec, statistic = grid.systems[system], statistic_of(grid.systems[system])
    found = [_weights(grid, spec.model)]
    for own, name, number in grid.merged(task, spec, seed):
        found += [_making(grid, own, name, number), _tokens(grid, own, spec.model)]
        if statistic:
            found.append(Step("model_statistics", (own, name, number, statistic)))
    return found


def _finetuned(task: str, model: str, seed: int | str) -> Step:
    return Step("finetune_model", (task, f"finetune.{model}", seed))


def _merge_parts(grid: Grid, task: str, pair: str) -> list[Step]:
    large, small = grid.pair(pair).large, grid.pair(pair).small
    texts = [_tokens(grid, task, large), _tokens(grid, task, small), Step("embed_task", (task, large))]
    return [_weights(grid, large), _weights(grid, small), *texts]


def _statistics(grid: Grid, task: str, pair: str, merge: str) -> list[Step]:
    depth = grid.merges[merge].depth
    return [Step("calibrate", (task, pair, depth))] if depth else []


def _merge_inputs(grid: Grid, task: str, system: str, seed: int | str) -> list[Step]:
    spec = grid.systems[system]
    found = _merge_parts(grid, task, spec.pair.name)
    if spec.seeded:
        found.append(_finetuned(task, spec.pair.small, seed))
    if spec.merge:
        if grid.has_sweep(spec.merge):
            found.append(Step("sweep", (task, spec.merge, spec.pair.name, seed)))
        found += _statistics(grid, task, spec.pair.name, spec.merge)
    if reads_layers(spec):
        found.append(Step("embed_layers", (task, spec.pair.name)))
    return found + [Step("probe", (task, probe, ALL_SEEDS)) for probe in probes_of(spec)]
