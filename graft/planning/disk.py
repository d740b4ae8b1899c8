"""Disk space that each step of a study takes. Imports no torch."""

from __future__ import annotations

from graft.flops import same_shape
from graft.flops.counts import moments_size
from graft.planning.work import Costs
from graft.registry import methods
from graft.registry.depth import pairs
from graft.study.grid_systems import TRIAL
from graft.study.steps import TUNING, Step

_STATES = "states (embeddings, sweeps, statistics)"
WHAT = {
    "download_task": "texts and token ids",
    "tokenize_task": "texts and token ids",
    "download_model": "pre-trained models",
    "distil_model": "pre-trained models",
    "initialise_model": "pre-trained models",
    "pretrain_model": "pre-trained models",
    **dict.fromkeys(TUNING, "saved models"),
    "merge_models": "saved models",
    "soup_models": "saved models",
    "multitask_models": "saved models",
    "embed_task": _STATES,
    "embed_layers": _STATES,
    "sweep": _STATES,
    "calibrate": _STATES,
    "model_statistics": _STATES,
    "merge_encoders": _STATES,
    "evaluate": "predictions and records",
}
# Bytes of a weight, a state or a token id; statistics are in float64.
_NUMBER = 4
_HALF = 2  # bytes of a layer state's number
# Bytes measured in a finished study of the three GLUE tasks: text in parquet per token, the tokenizer files beside
# every model, a prediction, and a run's run.json, build.json and training logs.
_TEXT_PER_TOKEN = 4
_TOKENIZER = 700_000
_PREDICTION = 18
_RECORDS = 7_000


def bytes_of(costs: Costs, step: Step) -> int:
    """Bytes that a step writes; raises Unknown as `costs` does."""
    grid = costs.grid
    match step.rule, step.wildcards:
        case "tokenize_task", (task, _):
            return (_NUMBER + _TEXT_PER_TOKEN) * sum(int(tokens.sum()) for tokens in costs.sizes(task).tokens.values())
        case (("download_model" | "distil_model" | "initialise_model" | "pretrain_model"), (model,)):
            return _NUMBER * costs.shape(model).body_parameters + _TOKENIZER
        case rule, (task, system, _) if rule in TUNING:
            spec = grid.systems[system]
            return 0 if spec.kind == TRIAL else _classifier(costs, task, spec.model)
        case "merge_models", (task, system, _):
            spec = grid.systems[system]
            one_model = spec.merge is None or methods.facts(spec.method).kind == "weights"
            if one_model:
                return _classifier(costs, task, spec.pair.large)
            # A small model trains beside the frozen large one, or (calm) links of about the small model's size.
            return _classifier(costs, task, spec.pair.small) if methods.facts(spec.method).trained else 0
        case (("soup_models" | "multitask_models"), (task, system, _)):
            return _classifier(costs, task, grid.systems[system].model)
        case "merge_encoders", (system, _):
            shape = costs.shape(grid.systems[system].model)
            return _NUMBER * same_shape.parameters(shape, None)
        case "model_statistics", (task, system, _, statistic):
            shape, outputs = costs.shape(grid.systems[system].model), grid.row(task).outputs
            return _NUMBER * same_shape.statistic_size(statistic, shape, outputs)
        case "embed_task", (task, model):
            rows = sum(len(costs.sizes(task).tokens[split]) for split in ("train", "select"))
            return _NUMBER * rows * 2 * costs.shape(model).width
        case "embed_layers", (task, pair):
            small, large = costs.shapes(pair)
            longest = grid.max_tokens(task, grid.pair(pair).large)
            tokens = sum(int(costs.sizes(task).lengths(split, longest).sum()) for split in ("train", "select"))
            return _HALF * tokens * small.layers * large.width
        case "sweep", (task, merge, pair, seed):
            rows = len(costs.fit(task, pair, merge)) + len(costs.sizes(task).tokens["select"])
            return _NUMBER * rows * costs.moved(merge, seed) * costs.shape(grid.pair(pair).large).width
        case "calibrate", (_, pair, depth):
            small, large = costs.shapes(pair)
            return 2 * _NUMBER * moments_size(small, large, pairs(depth, small.layers, large.layers))
        case "evaluate", (task, *_):
            return _PREDICTION * len(costs.sizes(task).tokens["report"]) + _RECORDS
    return 0


def _classifier(costs: Costs, task: str, model: str) -> int:
    shape, outputs = costs.shape(model), costs.grid.row(task).outputs
    return _NUMBER * (shape.body_parameters + outputs * (shape.width + 1)) + _TOKENIZER
