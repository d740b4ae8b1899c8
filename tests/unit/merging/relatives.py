"""Large models that compute exactly what a small one does, and the same change made to both.

Each function maps a body (`Encoder.state_dict()`) and its shape to another body and its shape. Applied to the
pre-trained and to the fine-tuned small model alike it gives the large model and what a right transport must turn it
into.
"""

from dataclasses import replace

import torch

from graft.encoders.architecture import POSITION_BIASES, RELATIVE, body_shapes


def identical(body, shape):
    return dict(body), shape


def widened(times):
    """Hidden units, heads and feed-forward units copied, weights divided among the copies of their inputs."""

    def make(body, shape):
        wide = {}
        for name, tensor in body.items():
            if tensor.ndim == 2 and not name.startswith("embeddings") and name not in (POSITION_BIASES, RELATIVE):
                wide[name] = tensor.repeat(times, times) / times
            else:
                wide[name] = tensor.repeat(*[1] * (tensor.ndim - 1), times)
        sizes = {key: getattr(shape, key) * times for key in ("width", "heads", "ffn")}
        return wide, replace(shape, **sizes)

    return make


def permuted(body, shape):
    """Units in another order: hidden, feed-forward, heads, and, unless they are turned by positions, units of heads."""
    generator = torch.Generator().manual_seed(5)
    hidden, ffn, heads = (torch.randperm(n, generator=generator) for n in (shape.width, shape.ffn, shape.heads))
    size = shape.width // shape.heads
    units = [torch.randperm(size, generator=generator) for _ in heads]
    units = [torch.arange(size)] * len(heads) if shape.kind.rotary else units
    inside = torch.stack([h * size + order for h, order in zip(heads, units, strict=True)])
    attention = inside.flatten()
    result = {}
    for name, tensor in body.items():
        rows = columns = hidden
        if any(part in name for part in (".query.", ".key.", ".value.")):
            rows = attention
        if "attention.output.dense" in name:
            columns = attention
        if ".intermediate." in name:
            rows = ffn
        if ".output.dense" in name and "attention" not in name:
            columns = ffn
        if name == POSITION_BIASES:
            result[name] = tensor[:, heads]
        elif name == RELATIVE or (name.startswith("embeddings") and tensor.ndim == 2):
            result[name] = tensor[:, hidden]
        else:
            result[name] = tensor[rows][:, columns] if tensor.ndim == 2 else tensor[rows]
    return result, shape


def turned(body, shape):
    """In every head, values turned, stretched and shifted, and queries and keys turned: attention takes it all back.

    Without biases nothing is shifted; where queries and keys are turned by positions, only each pair's plane is.
    """
    generator = torch.Generator().manual_seed(6)
    size = shape.width // shape.heads

    def blocks(matrix):
        return torch.block_diag(*[matrix() for _ in range(shape.heads)])

    def rotation():
        return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q

    def planes():
        angles = torch.randn(size // 2, generator=generator, dtype=torch.float64)
        cosines, sines = torch.diag(angles.cos()), torch.diag(angles.sin())
        return torch.cat([torch.cat([cosines, -sines], dim=1), torch.cat([sines, cosines], dim=1)])

    result = dict(body)
    for layer in range(shape.layers):
        prefix = f"encoder.layer.{layer}.attention."
        turn, stretch = blocks(planes if shape.kind.rotary else rotation), 2.5 * blocks(rotation)
        shift = torch.randn(shape.width, generator=generator, dtype=torch.float64)
        parts = ("weight", "bias") if shape.kind.biased else ("weight",)
        for name in ("query", "key"):
            for kind in parts:
                result[f"{prefix}self.{name}.{kind}"] = turn @ body[f"{prefix}self.{name}.{kind}"]
        value, out = f"{prefix}self.value", f"{prefix}output.dense"
        result[f"{value}.weight"] = stretch @ body[f"{value}.weight"]
        result[f"{out}.weight"] = body[f"{out}.weight"] @ torch.linalg.inv(stretch)
        if not shape.kind.biased:
            continue
        result[f"{value}.bias"] = stretch @ body[f"{value}.bias"] + shift
        result[f"{out}.bias"] = body[f"{out}.bias"] - result[f"{out}.weight"] @ shift
    return result, shape


# Weights that read the residual stream.
READERS = (".query.weight", ".key.weight", ".value.weight", "intermediate.dense.weight", "intermediate.gate.weight")


def stretched(body, shape):
    """The residual stream larger, and still larger in the embeddings, where a LayerNorm takes the factor away; keys
    shifted, which the softmax does not see, unless positions of queries are compared with them."""
    result = {}
    for name, tensor in body.items():
        factor = 1.0
        if "LayerNorm" in name or "output.dense" in name:
            factor = 3.0
        elif any(part in name for part in READERS):
            factor = 1 / 3
        elif name.startswith("embeddings"):
            factor = 5.0
        result[name] = factor * tensor
        if ".key.bias" in name and not shape.kind.disentangled:
            result[name] = tensor + torch.arange(len(tensor), dtype=tensor.dtype) / 3
    return result, shape


def deepened(body, shape):
    """Before every block one that changes nothing: no output from attention and feed-forward, LayerNorms 1 and 0.

    It does so only behind a LayerNorm with gain 1 and bias 0, so `plain_norms` must hold for `body`.
    """
    grown, result = shape.stacked([n // 2 for n in range(2 * shape.layers)]), {}
    for name, size in body_shapes(grown).items():
        if not name.startswith("encoder.layer"):
            result[name] = body[name]
            continue
        number, rest = name.removeprefix("encoder.layer.").split(".", 1)
        idle, source = int(number) % 2 == 0, f"encoder.layer.{int(number) // 2}.{rest}"
        if "LayerNorm" in rest and (idle or source not in body):
            result[name] = torch.full(size, float(rest.endswith("weight")), dtype=torch.float64)
        else:
            result[name] = torch.zeros_like(body[source]) if idle and "output.dense" in rest else body[source]
    return result, grown


def plain_norms(body):
    """The body with every LayerNorm at gain 1 and bias 0."""
    return {
        name: (tensor * 0 + (1 if name.endswith("weight") else 0) if "LayerNorm" in name else tensor)
        for name, tensor in body.items()
    }
