"""How far each transport is from the right result where the right result is known.

A pico BERT is fine-tuned (all weights change by noise), and merged with large models that compute exactly what it did
before: itself, copies of its units, its units in another order, its attention turned, its residual stream stretched,
idle blocks. Prints the relative error of the merged model's last states at strength 1, on texts that nothing was
fitted to. Another family's pico model may take BERT's place.

    python -m benchmarks.exactness [FAMILY]
"""

import sys

import torch
from rich.console import Console
from rich.table import Table

from graft.encoders.models import config_of, encoder_of
from graft.encoders.network import Encoder
from graft.merging.calibration import calibrate
from graft.merging.protocol import Parts
from graft.registry import depth, methods
from graft.registry.shapes import Shape
from tests.unit.families import pico_shape
from tests.unit.merging import relatives

SIZES = {"layers": 2, "width": 8, "heads": 2, "ffn": 16}
RELATIVES = {
    "identical": relatives.identical,
    "copied ×2": relatives.widened(2),
    "copied ×3": relatives.widened(3),
    "permuted": relatives.permuted,
    "turned": relatives.turned,
    "stretched": relatives.stretched,
    "idle blocks": relatives.deepened,
}
EXACT = {"map_ridge": 0}
WAYS = {
    "spacewise, ridge 0": ("spacewise", EXACT),
    "spacewise, default": ("spacewise", {}),
    "spacewise, one map per site, ridge 0": ("spacewise", EXACT | {"residual": "per_site"}),
    "spacewise, head by head, ridge 0": ("spacewise", EXACT | {"per_head": True}),
    "spacewise, LayerNorms left": ("spacewise", EXACT | {"layernorm": "leave"}),
    "spacewise, ridge 0.1": ("spacewise", {"map_ridge": 0.1}),
    "spacewise, Procrustes": ("spacewise", {"alignment": "procrustes"}),
    "spacewise, scaled Procrustes": ("spacewise", {"alignment": "scaled_procrustes"}),
    "spacewise, whitened, ridge 0": ("spacewise", EXACT | {"alignment": "whitened"}),
    "spacewise, weights alone, ridge 0": ("spacewise", EXACT | {"evidence": "weights"}),
    "spacewise, hard transport": ("spacewise", {"alignment": "assignment"}),
    "spacewise, soft transport": ("spacewise", {"alignment": "optimal_transport"}),
    "functional, ridge 0": ("functional", EXACT | {"fit_ridge": 0}),
    "ot_fusion, hard": ("ot_fusion", {"alignment": "assignment"}),
    "ot_fusion, soft": ("ot_fusion", {}),
    "theseus": ("theseus", {"embedding_delta": True}),
    "theseus, centred, LayerNorms left": ("theseus", {"embedding_delta": True, "centred": True, "layernorm": "leave"}),
    "grow": ("grow", {}),
    "interpolate": ("interpolate", {}),
}


def noise(shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def texts(seed: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 60, (300, 10), generator=generator)
    return [{"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}]


def small_model(small: Shape) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    body = Encoder(config_of(small)).double().state_dict()
    return {
        name: (1 if name.endswith("LayerNorm.weight") else 0) + 0.3 * noise(tensor.shape, generator)
        for name, tensor in body.items()
    }


@torch.no_grad()
def error(way: tuple[str, dict], relative: str, small: Shape) -> float:
    """Relative error of the last states after merging at strength 1."""
    method, options = way
    make = RELATIVES[relative]
    before = small_model(small)
    generator = torch.Generator().manual_seed(1)
    after = {name: tensor + 0.1 * noise(tensor.shape, generator) for name, tensor in before.items()}
    if make is relatives.deepened:
        before, after = relatives.plain_norms(before), relatives.plain_norms(after)
    (large, shape), (wanted, _) = make(before, small), make(after, small)
    depth_map = depth.uniform(small.layers, shape.layers)
    batches = texts(2)
    statistics = calibrate(encoder_of(before, small), encoder_of(large, shape), depth_map, batches)
    options = methods.checked_options(method, options)
    merger = methods.implementation(method)()
    state = merger.prepare(Parts(large, after, before, shape, small, depth_map, statistics, options, batches))
    states = [encoder_of(b, shape)(**texts(3)[0]).last_hidden_state for b in (merger.apply(state, 1.0), wanted)]
    return float((states[0] - states[1]).norm() / states[1].norm())


def shown(way: tuple[str, dict], relative: str, small: Shape) -> str:
    try:
        return f"{error(way, relative, small):.1e}"
    except ValueError:
        return "refused"


def main() -> None:
    torch.set_num_threads(1)
    small = pico_shape(*(sys.argv[1:] or ["bert"]), **SIZES)
    table = Table("error of the last states", *RELATIVES)
    for name, way in WAYS.items():
        table.add_row(name, *(shown(way, relative, small) for relative in RELATIVES))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
