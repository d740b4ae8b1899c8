"""Bringing a published BERT into one form: a Hugging Face folder with float32 safetensors and a checked tokenizer."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BertConfig, BertModel, BertTokenizerFast

from graft import files
from graft.local_models import PROJECTION, model_files
from graft.model_sections import HubModel, PackageModel, PathModel
from graft.saving import save_model
from graft.shapes import Shape
from graft.tasks.tokens import load_tokenizer

HUB_FILES = ("config.json", "model.safetensors", "pytorch_model.bin", *files.TOKENIZER)
# Tensors that published checkpoints carry beside the encoder: pre-training heads and a buffer of 0, 1, 2, ...
NOT_ENCODER = ("cls.", "embeddings.position_ids")


def fetch_model(source: HubModel | PathModel | PackageModel, where: str, out: Path, fingerprint: str) -> dict:
    """Write a pre-trained model into folder `out` and return its manifest.

    `out` then holds model.safetensors (encoder and pooler, float32), config.json, the tokenizer, manifest.json, and
    fit_dense.safetensors (weight [w_L, w_S], bias [w_L]) where the checkpoint carries a distillation's projection.
    Raises ValueError for a wrong sha256, an architecture other than BERT, or tensors missing or unknown.
    """
    folder = _source_folder(source, where)
    shape = Shape.of(folder)
    state, extra = encoder_state(_read_weights(folder), f"{where}: {folder}")
    config = BertConfig.from_pretrained(folder, local_files_only=True)
    model = BertModel(config)
    pooler = "pooler.dense.weight" in state
    if not pooler:
        # Heads sit on the pooled output: tanh of the [CLS] state is a plain stand-in, a random matrix is not.
        state |= {"pooler.dense.weight": torch.eye(shape.width), "pooler.dense.bias": torch.zeros(shape.width)}
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
            "pretraining_flops": 0,  # published models are taken as given
            "sha256": {file.name: files.sha256(file) for file in sorted(target.iterdir())},
        }
        files.write_json(target / "manifest.json", manifest)
    return manifest


def encoder_state(state: dict[str, Tensor], where: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Split a checkpoint into the encoder's tensors under `BertModel`'s names, and a `fit_dense` projection."""
    encoder, extra = {}, {}
    for name, tensor in state.items():
        name = (
            name.removeprefix("bert.")
            .replace("LayerNorm.gamma", "LayerNorm.weight")
            .replace("LayerNorm.beta", "LayerNorm.bias")
        )
        if name in ("fit_dense.weight", "fit_dense.bias"):
            extra[name.removeprefix("fit_dense.")] = tensor.float().contiguous()
        elif not name.startswith(NOT_ENCODER):
            encoder[name] = tensor.float()
    if not encoder:
        raise ValueError(f"{where}: no encoder tensors; a BERT checkpoint is needed")
    return encoder, extra


def _source_folder(source: HubModel | PathModel | PackageModel, where: str) -> Path:
    if isinstance(source, HubModel):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        try:
            return Path(snapshot_download(source.repo, revision=source.revision, allow_patterns=list(HUB_FILES)))
        except (HfHubHTTPError, OSError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{where}: {source.repo}@{source.revision} cannot be downloaded: {reason}") from None
    return model_files(source, where)[0].parent


def _read_weights(folder: Path) -> dict[str, Tensor]:
    if (folder / "model.safetensors").is_file():
        return load_file(folder / "model.safetensors")
    if (folder / "pytorch_model.bin").is_file():
        # weights_only: a pickle could run code on loading.
        return torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    raise ValueError(f"{folder}: neither model.safetensors nor pytorch_model.bin is there")


def _check_names(state: dict[str, Tensor], expected: dict[str, Tensor], where: str) -> None:
    for name, tensor in expected.items():
        if name not in state:
            raise ValueError(f"{where}: tensor {name} is missing")
        if state[name].shape != tensor.shape:
            raise ValueError(f"{where}: {name} is {list(state[name].shape)}; config.json says {list(tensor.shape)}")
    unknown = sorted(set(state) - set(expected))
    if unknown:
        raise ValueError(f"{where}: {unknown[0]} belongs to no BERT encoder ({len(unknown)} such tensors)")


def _write_tokenizer(folder: Path, target: Path) -> None:
    if (folder / "tokenizer.json").is_file():
        files.copy_into(folder, target, files.TOKENIZER)
        return
    if not (folder / "vocab.txt").is_file():
        raise ValueError(f"{folder}: neither tokenizer.json nor vocab.txt is there")
    given = folder / "tokenizer_config.json"
    lower = files.read_json(given).get("do_lower_case", True) if given.is_file() else True
    positions = Shape.of(folder).positions
    # `vocab`, not `vocab_file`: the latter silently makes a vocabulary of five tokens.
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=lower, model_max_length=positions).save_pretrained(
        target
    )
    files.copy_into(folder, target, ["vocab.txt"])
