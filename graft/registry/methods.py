"""The merge methods, for plans, configs and reports. Imports no torch.

Each method has a room: a module of `graft.merging` with its class, which has its facts, options and FLOPs, and with its
mathematics there or beside it. No room imports torch; all are loaded when the first method is requested.
"""

import functools
import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from graft.io.names import meant
from graft.registry.options import Options

# Modules of `graft.merging` whose classes of options are methods, in the order of tables and docs.
ROOMS = (
    "heterogeneous.theseus",
    "heterogeneous.spacewise",
    "heterogeneous.functional",
    "heterogeneous.ot_fusion",
    "heterogeneous.grow",
    "heterogeneous.interpolate",
    "composite.logit_ensemble",
    "composite.proxy_tuning",
    "composite.concat_probe",
    "composite.stitch",
    "composite.side_tuning",
    "composite.ladder",
    "composite.calm",
    "homogeneous.averages",
    "homogeneous.slerp",
    "homogeneous.model_stock",
    "homogeneous.arithmetic",
    "homogeneous.fisher",
    "homogeneous.regmean",
    "homogeneous.iso_c",
    "homogeneous.tsv",
    "homogeneous.greedy",
)
# Kinds of methods for two shapes, which are kinds of systems too; of methods for one shape; and the greedy soup, which
# chooses among models by scores that only a study has.
KINDS = ("weights", "composite")
ONE_SHAPE, GREEDY = "one shape", "greedy"
HEADS = ("transplant", "label-free", "labelled")
# The small model's change that is merged, or its control (graft.merging.task_vectors); `wrong-task`: learnt on another.
CHANGES = ("finetuned", "shuffled", "random", "wrong-task")
# Inputs of methods; "layers": the large model's hidden states at the mapped layers, for all tokens of train and select.
NEEDS = ("small_finetuned", "small_pretrained", "large", "moments", "texts", "layers", "probe.large", "probe.small")


@functools.cache
def table(*kinds: str) -> Mapping[str, type[Any]]:
    """The methods of these kinds by name, or of all kinds, as classes; raises ValueError for a duplicate name."""
    found: dict[str, type[Options]] = {}
    for room in ROOMS:
        module = importlib.import_module(f"graft.merging.{room}")
        for method in vars(module).values():
            if isinstance(method, type) and issubclass(method, Options) and method.__module__ == module.__name__:
                if method.name in found:
                    raise ValueError(f"method {method.name!r} is registered twice; give the second another name")
                found[method.name] = method
    return MappingProxyType({name: method for name, method in found.items() if not kinds or method.kind in kinds})


def facts(name: str, *kinds: str) -> type[Any]:
    """Return the class of the method `name` of these kinds, or of any; raises ValueError with the known names."""
    known = table(*kinds)
    if name in known:
        return known[name]
    if ONE_SHAPE in kinds:
        listed = ", ".join(known) + meant(name, known)
        raise ValueError(f"no method for models of one shape is called {name!r}; available: {listed}")
    raise ValueError(f"no merge method is called {name!r}; available: {', '.join(sorted(known))}{meant(name, known)}")


def implementation(name: str) -> Any:
    """Import and return the class or function that implements the method called `name`."""
    module, attribute = facts(name).implementation.split(":")
    return getattr(importlib.import_module(module), attribute)


def checked_options(name: str, given: Mapping[str, Any] | None) -> Any:
    """Return all options of the method called `name`: the given values, and defaults for the rest.

    Raises ValueError for an unknown option or a wrong value, in one sentence.
    """
    return facts(name).checked(given)
