"""Inference FLOPs of every kind of system, at 128 tokens and at real lengths, against torch's own count."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from graft.encoders.inference import pass_flops, run
from graft.encoders.models import config_of
from graft.encoders.network import Classifier
from graft.flops.counts import classifier_flops
from graft.merging.loading import load
from graft.registry.families.family import BERTS
from graft.registry.shapes import Shape
from graft.tasks.tokens import TokenisedSplit, load_tokenizer

TOKENS = 128
TOLERANCE = 1e-3
PUBLISHED = {
    "BERT-base": (Shape(layers=12, width=768, heads=12, ffn=3072, vocabulary=30522), 22.35e9),
    "TinyBERT-4L": (Shape(layers=4, width=312, heads=12, ffn=1200, vocabulary=30522), 1.2475e9),
}


def counted(compute):
    with FlopCounterMode(display=False) as counter:
        compute()
    return counter.get_total_flops()


@pytest.fixture
def texts(pico_models):
    """Seventy texts of 3 to 30 tokens: more than two batches."""
    words = ["film good the was and".split()[i % 5] for i in range(30)]
    rows = [" ".join(words[: 1 + (7 * n) % 28]) for n in range(70)]
    return TokenisedSplit.of_texts(load_tokenizer(pico_models / "large"), [rows], "here", BERTS)


@pytest.mark.parametrize("labels", [("no", "yes"), ("a", "b", "c"), None], ids=["two", "three", "score"])
def test_every_kind_of_system_costs_what_torch_counts(labels, saved_systems, texts):
    whole = {name: torch.ones(1, TOKENS, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    whole["token_type_ids"] = torch.zeros(1, TOKENS, dtype=torch.long)
    for kind, folder in saved_systems(labels).items():
        system = load(folder)
        assert counted(lambda s=system: s.logits(whole)) == pytest.approx(system.flops(TOKENS), rel=TOLERANCE), kind
        real = counted(lambda s=system: run(s.logits, texts, TOKENS))
        assert real == pytest.approx(pass_flops(system.flops, texts, TOKENS), rel=TOLERANCE), kind
        assert (system.flops(TOKENS) == 0) == (kind == "constant")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_models_cost_what_torch_counts_without_computing(name):
    shape, expected = PUBLISHED[name]
    config = config_of(shape)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        model = Classifier(config).eval()
        flops = counted(lambda: model(input_ids=torch.ones(1, TOKENS, dtype=torch.long)))
    assert flops == pytest.approx(expected, rel=TOLERANCE)
    assert classifier_flops(shape, TOKENS, 2) == pytest.approx(flops, rel=1e-6)
