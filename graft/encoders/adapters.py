"""Read folders of peft with an adapter, such as LoRA's, instead of a model: it is merged into its base model."""

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graft.io import files, hub
from graft.io.model_folders import ADAPTER, LAYOUTS, SAFETENSORS, read_keys

# Written beside a merged model: what was given.
GIVEN = "adapter.json"
# Kinds of adapters that are changes of weights; the others, such as prompts, are inputs.
KINDS = ("LORA", "ADALORA", "LOHA", "LOKR", "OFT", "BOFT", "VERA", "IA3")
# First parts of the names of a classifier's head.
HEADS = ("classifier", "score")
PREFIX = "base_model.model."


def is_adapter(folder: Path) -> bool:
    """Whether a folder has an adapter and no model."""
    return (folder / ADAPTER).is_file() and not any((folder / name).is_file() for name in LAYOUTS)


def local(given: str | Path, where: str, scratch: Path) -> Path:
    """Return the folder of a model (see `hub.local`), an adapter being merged into its base model, in `scratch`.

    Raises ValueError, which begins with `where`, for an adapter without a base model or that is no change of weights.
    """
    folder = hub.local(given, where)
    return _merged(folder, Path(tempfile.mkdtemp(dir=scratch)), where) if is_adapter(folder) else folder


def named(folder: Path) -> str:
    """Return the path that was given as this folder: its own, or those of a base model and its adapter."""
    if not (folder / GIVEN).is_file():
        return str(folder)
    said = files.read_json(folder / GIVEN)
    return f"{said['base']} + {said['adapter']}"


def _merged(folder: Path, out: Path, where: str) -> Path:
    config = read_keys(folder / ADAPTER)
    if (kind := str(config.get("peft_type"))) not in KINDS:
        raise ValueError(f"{where}: {folder} is an adapter of kind {kind}, which changes no weights; give a model")
    base = _base(config, folder, where)
    try:
        import peft
    except ImportError:
        raise ValueError(f"{where}: {folder} is an adapter, which peft merges; pip install peft") from None
    import torch.distributed.tensor  # noqa: F401 - peft asks for it; programs leave it out until then
    from safetensors.torch import save_file
    from transformers import AutoModel, AutoModelForSequenceClassification

    classes, own = _head(folder, where) if config.get("task_type") == "SEQ_CLS" else (None, set())
    wanted = {"num_labels": classes, "ignore_mismatched_sizes": True} if classes else {}
    kind = AutoModelForSequenceClassification if classes else AutoModel
    with _quiet():
        model, told = kind.from_pretrained(base, output_loading_info=True, **wanted)
        # transformers draws what neither has at random, at each load anew.
        if drawn := sorted(set(told["missing_keys"]) - own) if classes else []:
            raise ValueError(
                f"{where}: {folder} is an adapter without {drawn[0]}, which its base model lacks too; give a model"
            )
        whole = peft.PeftModel.from_pretrained(model.float(), str(folder)).merge_and_unload(safe_merge=True)
    # Not transformers' own way of saving, which imports DeepSpeed.
    save_file({name: tensor.clone().contiguous() for name, tensor in whole.state_dict().items()}, out / SAFETENSORS)
    whole.config.architectures = [type(whole).__name__]
    whole.config.save_pretrained(out)
    for source in (base, folder):
        files.copy_into(source, out, files.TOKENIZER)
    files.write_json(out / GIVEN, {"adapter": str(folder), "base": str(config["base_model_name_or_path"])})
    return out


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what transformers says of a head that the base model lacks, since the adapter has it."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            yield
    finally:
        logging.set_verbosity(before)


def _base(config: Mapping[str, Any], folder: Path, where: str) -> Path:
    """The folder of an adapter's base model: as named, or beside the adapter."""
    name = config.get("base_model_name_or_path")
    if not name:
        raise ValueError(f"{where}: {folder} is an adapter whose {ADAPTER} names no base model; merge it yourself")
    beside = folder.parent / Path(name).name
    base = beside if not Path(name).exists() and beside.is_dir() else hub.local(name, where)
    if not base.is_dir():
        raise ValueError(f"{where}: {folder} is an adapter of {name}, which is not here; put it beside the adapter")
    return base


def _head(folder: Path, where: str) -> tuple[int, set[str]]:
    """The number of outputs of the head that an adapter for classification has, and the names of all its tensors."""
    from safetensors import safe_open

    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        raise ValueError(f"{where}: {file} is missing; save or download the adapter again")
    with safe_open(file, "pt") as stored:
        plain = {name.removeprefix(PREFIX): name for name in stored.keys()}  # noqa: SIM118
        names = [name for name in plain if name.startswith(HEADS)]
        # A head of several layers ends in `out_proj`, or in `classifier` itself beside a `pre_classifier`.
        last = sorted((name for name in names if name.endswith(".weight")), key=lambda n: ("dense" in n, len(n)))
        if not last:
            raise ValueError(f"{where}: {folder} is an adapter for classification without a head; give a model")
        return int(stored.get_slice(plain[last[0]]).get_shape()[0]), set(plain)
