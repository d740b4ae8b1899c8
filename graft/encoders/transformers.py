"""The parts of transformers that Graft uses. Import them from here: it takes half the time.

As transformers loads, it imports torch's compiler and sharded tensors, sympy and scipy, for decorators of kernels and
losses of other models: more CPU time than torch itself takes. No BERT on one device needs them.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import Any
from unittest.mock import patch


def _plain(function: Callable[..., Any] | None = None, **_: Any) -> Any:
    """Decorate a function with nothing."""
    return _plain if function is None else function


# What transformers takes from each of these modules while it loads, and uses for other models only.
_UNUSED: dict[str, dict[str, Any]] = {
    "torch._dynamo": {"__path__": [], "allow_in_graph": _plain, "assume_constant_result": _plain},
    "torch._dynamo._trace_wrapped_higher_order_op": {"TransformGetItemToIndex": nullcontext},
    "scipy.optimize": {"linear_sum_assignment": None},
}


@contextmanager
def _lightly() -> Iterator[None]:
    """Let empty modules stand in for those that are not imported yet; later they can be imported as usual."""
    stand_ins = {name: ModuleType(name) for name in _UNUSED if name not in sys.modules}
    for name, module in stand_ins.items():
        vars(module).update(_UNUSED[name])
    sys.modules.update(stand_ins)
    try:
        with patch("torch.compiler.disable", _plain), patch("torch.distributed.is_available", lambda: False):
            yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


with _lightly():
    from transformers import AttentionInterface as AttentionInterface
    from transformers import BertConfig as BertConfig
    from transformers import BertForSequenceClassification as BertForSequenceClassification
    from transformers import BertModel as BertModel
    from transformers import PreTrainedModel as PreTrainedModel
    from transformers.initialization import no_init_weights as no_init_weights
    from transformers.modeling_outputs import SequenceClassifierOutput as SequenceClassifierOutput
    from transformers.models.bert.modeling_bert import BertLayer as BertLayer
    from transformers.models.bert.modeling_bert import BertOutput as BertOutput
    from transformers.models.bert.modeling_bert import BertPredictionHeadTransform as BertPredictionHeadTransform
    from transformers.models.bert.modeling_bert import BertSelfOutput as BertSelfOutput
