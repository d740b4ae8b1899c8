"""Convert a published encoder to a Hugging Face folder with float32 safetensors and a checked tokenizer."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers import BertTokenizerFast

from graft.config.models import HubModel, PackageModel, PathModel
from graft.encoders import tensor_names
from graft.encoders.checkpoints import read_checkpoint
from graft.encoders.local_models import PROJECTION, model_files
from graft.encoders.models import body_of, load_config
from graft.encoders.network import Encoder, empty
from graft.encoders.saving import save_model
from graft.encoders.tensor_names import Names
from graft.encoders.translation import identity_pooler
from graft.io import files
from graft.io.model_folders import open_folder
from graft.registry.shapes import Shape
from graft.tasks import alike
from graft.tasks.tokens import load_tokenizer

SHARDS = ("model-*-of-*.safetensors", "model.safetensors.index.json", "pytorch_model-*-of-*.bin")
PICKLES = "pytorch_model"
HUB_FILES = (
    *("config.json", "model.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json", "added_tokens.json"),
    *(*SHARDS, *files.TOKENIZER),
)
# A distillation's projections of the small model's hidden states: one for all (TinyBERT's first version), or one for
# the embeddings and one for each layer (its second version: `fit_denses.0.weight`, ...).
SHARED, OWN = "fit_dense.", "fit_denses."


def fetch_model(source: HubModel | PathModel | PackageModel, where: str, out: Path, fingerprint: str) -> dict[str, Any]:
    """Write a pre-trained model into folder `out` and return its manifest.

    `out` then holds model.safetensors (encoder and pooler, float32), config.json, the tokenizer, manifest.json, and
    fit_dense.safetensors if the checkpoint has a distillation's `projections`. A head on the encoder is left out, and
    listed in the manifest. Raises ValueError for a wrong sha256, an unsupported architecture, or missing or unknown
    tensors.
    """
    folder = _source_folder(source, where)
    shape = Shape.of(folder)
    found = read_checkpoint(open_folder(folder, where), f"{where}: {folder}")
    state, extra = body_of(found, shape, f"{where}: {folder}"), projections(found, shape, f"{where}: {folder}")
    model = empty(Encoder, load_config(folder))
    pooler = "pooler.dense.weight" in state
    state = identity_pooler(shape) | state
    _check_names(state, model.state_dict(), f"{where}: {folder}")
    model.load_state_dict(state)
    with files.atomic_folder(out) as target:
        save_model(model, target)
        _write_tokenizer(folder, target)
        load_tokenizer(target)
        if extra:
            save_file(extra, target / PROJECTION)
        else:
            files.copy_into(folder, target, [PROJECTION])
        manifest = {
            "fingerprint": fingerprint,
            "source": source.model_dump(),
            "parameters": sum(p.numel() for p in model.parameters()),
            "pooler": "published" if pooler else "identity (the checkpoint has none)",
            "left_out": sorted(set(_names(found, shape).heads) - set(_projected(found, shape))),
            "pretraining_flops": 0,  # published models are taken as given
            "sha256": {file.name: files.sha256(file) for file in sorted(target.iterdir())},
        }
        files.write_json(target / "manifest.json", manifest)
    return manifest


def projections(state: Mapping[str, Tensor], shape: Shape, where: str) -> dict[str, Tensor]:
    """Return the float32 projections by which a distillation compared hidden states; empty if a checkpoint has none.

    Either "weight" [w_L, w_S] and "bias" [w_L] for all states, or "0.weight", "0.bias", ... for the embeddings (0) and
    each layer (1, 2, ...). Raises ValueError if one is missing or does not fit a model of this shape.
    """
    found = _projected(state, shape)
    own = any(name.startswith(OWN) for name in found)
    states = [f"{i}." for i in range(shape.layers + 1)] if own else [""]
    wanted = {f"{at}{part}" for at in states for part in ("weight", "bias")} if found else set()
    given = {name.removeprefix(OWN if own else SHARED): state[stored].float() for name, stored in found.items()}
    if unlike := wanted ^ set(given):
        prefix = OWN if own else SHARED
        needed = "needs a weight and a bias" + (" for the embeddings and for each layer" if own else "")
        raise ValueError(f"{where}: {prefix}{min(unlike)} is missing or unexpected; a projection {needed}")
    for name, tensor in given.items():
        if name.endswith("weight") and tensor.shape[1:] != (shape.width,):
            raise ValueError(f"{where}: projection {name} is {list(tensor.shape)}, but the model is {shape.width} wide")
    return {name: tensor.contiguous() for name, tensor in given.items()}


def _projected(state: Mapping[str, Tensor], shape: Shape) -> dict[str, str]:
    heads = _names(state, shape).heads
    return {name: stored for name, stored in heads.items() if name.startswith((SHARED, OWN))}


def _names(state: Mapping[str, Tensor], shape: Shape) -> Names:
    return tensor_names.of(state, next(iter(shape.kind.types)))


def _source_folder(source: HubModel | PathModel | PackageModel, where: str) -> Path:
    if isinstance(source, HubModel):
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        listed: list[str] = []
        with suppress(Exception):  # whatever is wrong, the download says it, or finds the files in the cache
            listed = HfApi().list_repo_files(source.repo, revision=source.revision)
        # Many models are published twice, as safetensors and as pickles of the same weights.
        twice = bool({"model.safetensors", "model.safetensors.index.json"} & set(listed))
        wanted = [name for name in HUB_FILES if not (twice and name.startswith(PICKLES))]
        try:
            return Path(snapshot_download(source.repo, revision=source.revision, allow_patterns=wanted))
        except (HfHubHTTPError, OSError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{where}: {source.repo}@{source.revision} cannot be downloaded: {reason}") from None
    return model_files(source, where)[0].parent


def _check_names(state: dict[str, Tensor], expected: dict[str, Tensor], where: str) -> None:
    for name, tensor in expected.items():
        if name not in state:
            raise ValueError(f"{where}: tensor {name} is missing")
        if state[name].shape != tensor.shape:
            raise ValueError(f"{where}: {name} is {list(state[name].shape)}, but config.json says {list(tensor.shape)}")
    unknown = sorted(set(state) - set(expected))
    if unknown:
        raise ValueError(f"{where}: {unknown[0]} does not belong to the encoder ({len(unknown)} such tensors)")


def _write_tokenizer(folder: Path, target: Path) -> None:
    given = alike.read_tokenizer(folder)
    if given is None:
        raise ValueError(f"{folder}: contains neither tokenizer.json nor vocab.txt")
    if (folder / "tokenizer.json").is_file():
        files.copy_into(folder, target, files.TOKENIZER)
        return
    settings = {} if (folder / "tokenizer_config.json").is_file() else {"model_max_length": Shape.of(folder).positions}
    BertTokenizerFast.from_pretrained(folder, local_files_only=True, **settings).save_pretrained(target)
    files.copy_into(folder, target, ["vocab.txt"])
    # transformers has silently dropped settings, and even whole vocabularies.
    written = alike.read_tokenizer(target)
    if found := "not at all" if written is None else alike.difference(given, written):
        raise ValueError(f"{folder}: transformers reads its vocab.txt differently: {found}; save it as tokenizer.json")
