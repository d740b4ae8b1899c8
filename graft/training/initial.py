"""Untrained encoders: another model's shape and tokenizer, weights drawn from a seed."""

from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedConfig

from graft.encoders.models import load_config, new_encoder
from graft.encoders.network import Encoder
from graft.training.saving import save_encoder


def initialise_model(like_folder: str | Path, out_folder: str | Path, seed: int) -> Path:
    """Save an untrained encoder with the config and tokenizer of `like_folder` in `out_folder`.

    Equal seeds give equal bytes, regardless of earlier random draws.
    """
    encoder = initial_encoder(load_config(like_folder), torch.Generator().manual_seed(seed))
    return save_encoder(encoder, like_folder, out_folder)


def initial_encoder(config: PreTrainedConfig, draws: torch.Generator) -> Encoder:
    """Create an encoder in eval mode with BERT's initialisation (`draw_weights`); padding's embedding is zero."""
    encoder = new_encoder(config)
    draw_weights(encoder, config.initializer_range, draws)
    if config.pad_token_id is not None:
        with torch.no_grad():
            encoder.embeddings.word_embeddings.weight[config.pad_token_id].zero_()
    return encoder.eval()


def draw_weights(module: nn.Module, deviation: float, draws: torch.Generator) -> None:
    """Initialise a module: matrices and embeddings from N(0, deviation), biases zero, LayerNorms the identity.

    Draws in the order of `named_parameters`, from `draws` alone.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, deviation, generator=draws)
            else:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
