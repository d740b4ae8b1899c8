"""Graft: does merging a fine-tuned small model into a pre-trained large one beat fine-tuning the large one?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graft.api import compare as compare
    from graft.api import load as load
    from graft.api import merge as merge
    from graft.api import tables as tables

__version__ = "0.1.0"
__all__ = ["compare", "load", "merge", "tables"]


def __getattr__(name: str) -> Any:
    """A function of `graft.api`, imported when it is first asked for: `import graft` itself takes no time."""
    if name in __all__:
        return getattr(import_module("graft.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
