"""Pico models as `save_pretrained` leaves them, under any head, near one base."""

import torch
from transformers import AutoConfig

SIZES = {
    "vocab_size": 40,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
}


def config(family="bert", **changes):
    return AutoConfig.for_model(family, **{**SIZES, **changes})


def save(folder, kind, seed, like=None, size=0.05, **changes):
    """A model of a class, its numbers drawn around those of another as far as it has them; returns the folder."""
    torch.manual_seed(seed)
    model = kind(config(**changes))
    if like is not None:
        model.load_state_dict({**model.state_dict(), **shared(like, model)}, strict=False)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    return folder


def shared(folder, model):
    """The tensors of a folder that a model has, under its names."""
    from safetensors.torch import load_file

    from graft.encoders import tensor_names

    family = model.config.model_type
    plain = {
        tensor_names.canonical(name, family): tensor for name, tensor in load_file(folder / "model.safetensors").items()
    }
    own = ((name, plain.get(tensor_names.canonical(name, family))) for name in model.state_dict())
    return {name: tensor for name, tensor in own if tensor is not None}


def load(folder, kind):
    """A model of a class, which must find all that it needs and nothing else."""
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    return model.eval()
