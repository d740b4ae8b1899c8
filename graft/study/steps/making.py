"""Find the step that makes a system."""

from graft.study.grid import Grid
from graft.study.steps.budget_model import BudgetModel
from graft.study.steps.ensemble_models import EnsembleModels
from graft.study.steps.finetune_model import FinetuneModel
from graft.study.steps.joint_models import JointModels
from graft.study.steps.majority import Majority
from graft.study.steps.merge_models import MergeModels
from graft.study.steps.multitask_models import MultitaskModels
from graft.study.steps.probe import Probe
from graft.study.steps.probe_layers import ProbeLayers
from graft.study.steps.soup_models import SoupModels
from graft.study.steps.step import Making
from graft.study.steps.warm_start import WarmStart

# By `System.program`.
MAKERS: dict[str, type[Making]] = {
    "finetune": FinetuneModel,
    "budget": BudgetModel,
    "warm_start": WarmStart,
    "ensemble": EnsembleModels,
    "merge": MergeModels,
    "soup": SoupModels,
    "multitask": MultitaskModels,
    "joint": JointModels,
    "probe": Probe,
    "probe_layers": ProbeLayers,
    "majority": Majority,
}


def making(grid: Grid, task: str, system: str, seed: int | str) -> Making:
    """The step that makes a system on a task with a seed."""
    return MAKERS[grid.systems[system].program](task, system, seed)
