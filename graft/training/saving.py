"""Save models pre-trained by Graft: a Hugging Face folder, and a manifest that marks it as complete."""

from pathlib import Path
from typing import Any

from graft.compute import hardware, provenance
from graft.config.launch import Launch
from graft.config.models import DistilledModel, MaskedModel, RandomModel
from graft.encoders.network import Encoder
from graft.encoders.saving import save_model
from graft.io import files


def save_encoder(encoder: Encoder, tokenizer_folder: str | Path, out: str | Path) -> Path:
    """Save an encoder with the tokenizer of another folder."""
    with files.atomic_folder(out) as folder:
        save_model(encoder, folder)
        files.copy_into(tokenizer_folder, folder, files.TOKENIZER)
    return Path(out)


def write_manifest(
    out: Path,
    fingerprint: str,
    source: DistilledModel | RandomModel | MaskedModel,
    launch: Launch,
    started: hardware.Stopwatch,
    **facts: Any,
) -> None:
    """Write manifest.json into a model's folder, with the sha256 of its files.

    `started`: the job's stopwatch; `facts`: `pretraining_flops` and other facts to record about the training.
    """
    files.write_json(
        out / "manifest.json",
        {
            "fingerprint": fingerprint,
            "source": source.model_dump(),
            **facts,
            "sha256": {file.name: files.sha256(file) for file in sorted(out.iterdir()) if file.name != "manifest.json"},
            "provenance": provenance.of_making(launch),
            "measured": started.measured(),
        },
    )
