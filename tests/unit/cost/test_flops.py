import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForSequenceClassification

from graft.cost.flops import (
    calibration_flops,
    classifier_flops,
    encoder_flops,
    masked_lm_flops,
    pooler_flops,
    procrustes_flops,
    ridge_flops,
    theseus_flops,
    training_flops,
)
from graft.shapes import Shape
from graft.training.initial import initial_encoder
from graft.training.masked_lm import NOTHING, Guesser

BERT_BASE = Shape(layers=12, width=768, heads=12, ffn=3072, vocabulary=30522)
TINYBERT = Shape(layers=4, width=312, heads=12, ffn=1200, vocabulary=30522)


@pytest.mark.parametrize(
    ("shape", "tokens", "expected"),
    [(BERT_BASE, 16, 2.73), (BERT_BASE, 64, 11.02), (BERT_BASE, 128, 22.35), (TINYBERT, 128, 1.2475)],
)
def test_known_models_have_their_known_flops(shape, tokens, expected):
    assert classifier_flops(shape, tokens, 2) / 1e9 == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("tokens", [7, 32])
def test_count_equals_torchs_own_count(tokens, outputs):
    config = BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=40,
        num_labels=outputs, attn_implementation="eager",
    )  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.ones(2, tokens, dtype=torch.long))
    counted = 2 * classifier_flops(Shape.from_config(config.to_dict()), tokens, outputs)
    assert counted == pytest.approx(counter.get_total_flops(), rel=1e-3)


def test_a_step_of_masked_language_modelling_costs_what_torch_counts():
    config = BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=40,
        attn_implementation="eager",
    )  # fmt: skip
    draws = torch.Generator().manual_seed(0)
    encoder, guesser = initial_encoder(config, draws), Guesser(config, draws)
    encoder.set_attn_implementation("eager")
    encoder.pooler = None
    labels = torch.full((2, 9), NOTHING)
    labels[0, 3] = labels[1, 1] = labels[1, 7] = 5
    batch = {"input_ids": torch.ones(2, 9, dtype=torch.long), "labels": labels}
    with FlopCounterMode(display=False) as counter:
        guesser.loss(encoder, batch).backward()
    expected = masked_lm_flops(Shape.from_config(config.to_dict()), 2, 9, 3)
    assert expected == pytest.approx(counter.get_total_flops(), rel=1e-3)


def test_layers_cost_equally_and_training_costs_three_forward_passes():
    assert encoder_flops(BERT_BASE, 50, layers=5) * 12 == encoder_flops(BERT_BASE, 50) * 5
    assert training_flops(pooler_flops(TINYBERT)) == 6 * 312**2


def test_ridge_flops_equal_the_sum_by_hand():
    # rows 10, features 3, outputs 2: Gram 180, cross 120, eigendecomposition 243, 36 into and 36 out of the eigenbasis.
    assert ridge_flops(10, 3, 2) == 180 + 120 + 243 + 36 + 36
    assert ridge_flops(10, 3, 2, sizes=4) == ridge_flops(10, 3, 2) + 3 * 36


def test_merging_costs_more_for_more_of_everything():
    assert calibration_flops(TINYBERT, BERT_BASE, 4, 1, 128) > encoder_flops(TINYBERT, 128) + encoder_flops(
        BERT_BASE, 128
    )
    assert procrustes_flops(312, 768) == procrustes_flops(768, 312)
    assert theseus_flops(TINYBERT, BERT_BASE, 4, embedding_delta=True) > theseus_flops(TINYBERT, BERT_BASE, 4)


def test_costs_and_the_registry_are_known_without_torch():
    modules = "graft.cost.flops, graft.merging.registry, graft.merging.selection"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
