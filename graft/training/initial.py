"""Untrained BERTs: another model's shape and tokenizer, weights drawn from a seed."""

from pathlib import Path

import torch
from torch import nn

from graft.encoders.bert import ATTENTION
from graft.encoders.transformers import BertConfig, BertModel
from graft.training.saving import save_encoder


def initialise_model(like_folder: str | Path, out_folder: str | Path, seed: int) -> Path:
    """Save an untrained encoder with the config and tokenizer of `like_folder` in `out_folder`.

    Equal seeds give equal bytes, regardless of earlier random draws.
    """
    encoder = initial_encoder(config_of(like_folder), torch.Generator().manual_seed(seed))
    return save_encoder(encoder, like_folder, out_folder)


def config_of(folder: str | Path) -> BertConfig:
    """Config for a new encoder: that of the model in `folder`, dropout included."""
    config = BertConfig.from_pretrained(folder, local_files_only=True)
    config._attn_implementation = ATTENTION
    return config


def initial_encoder(config: BertConfig, draws: torch.Generator) -> BertModel:
    """Create an encoder in eval mode with BERT's own initialisation (`draw_weights`); [PAD]'s embedding is zero."""
    encoder = BertModel(config)
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
                parameter.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
