import copy
import itertools
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForSequenceClassification

from graft.encoders.models import encoder_of
from graft.encoders.network import set_attention
from graft.flops.counts import (
    classifier_flops,
    encoder_flops,
    gram_flops,
    head_flops,
    layers_probe_flops,
    maps_flops,
    masked_lm_flops,
    moments_flops,
    pooler_flops,
    procrustes_flops,
    ridge_flops,
    similarity_flops,
    solve_flops,
    training_flops,
    transport_flops,
)
from graft.merging.alignment import affine, transport
from graft.merging.alignment.cka import layer_similarity
from graft.merging.alignment.maps import Maps
from graft.merging.calibration import calibrate
from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.fitting import fit_heads
from graft.merging.classifier_heads.head import Head, head_logits
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite.calm.maths import Calm
from graft.merging.composite.ladder.maths import Ladder
from graft.merging.composite.side_tuning.maths import SideTuned
from graft.merging.heterogeneous.functional.maths import Functional
from graft.merging.moments import Moments
from graft.merging.protocol import deepened
from graft.registry import methods
from graft.registry.alignments import ALIGNMENTS
from graft.registry.methods import HEADS
from graft.registry.shapes import Shape
from graft.training.initial import initial_encoder
from graft.training.masked_lm import NOTHING, Guesser
from tests.unit.conftest import LARGE, SMALL
from tests.unit.counting import counting_flops

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
    encoder, guesser = initial_encoder(config, draws), Guesser(Shape.from_config(config.to_dict()), 0.02, draws)
    set_attention(encoder, "eager")
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


def test_the_probes_of_all_layers_share_the_products_of_their_blocks():
    shape, (rows, outputs, sizes, scored) = Shape(1, 3, 1, 6, 10), (10, 2, (0.0, 0.1), 5)
    solved = sum(solve_flops(width, outputs, size) for width in (3, 3, 6, 3, 3, 6) for size in sizes)
    answers = sum(2 * 2 * 5 * width * outputs for width in (3, 3, 6, 3, 3, 6))
    assert layers_probe_flops(shape, rows, outputs, sizes, scored) == 2 * (2 * 10 * 6 * (6 + 2)) + solved + answers


def texts(examples, tokens):
    """One batch without padding."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, SMALL.vocabulary, (examples, tokens), generator=generator)
    return [{"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}]


EXAMPLES, TOKENS = 30, 9
POOLERS = EXAMPLES * (pooler_flops(SMALL) + pooler_flops(LARGE))


@pytest.mark.parametrize("pairs", [((0, 1), (1, 3)), ((0, 0), (0, 1), (1, 3))])
def test_calibration_is_counted_as_torch_counts_it(pairs, encoder_shaped):
    with counting_flops() as counted:
        calibrate(encoder_shaped(SMALL), encoder_shaped(LARGE), pairs, texts(EXAMPLES, TOKENS))
    passes = EXAMPLES * (encoder_flops(SMALL, TOKENS) + encoder_flops(LARGE, TOKENS))
    expected = passes + moments_flops(SMALL, LARGE, len(pairs), EXAMPLES * TOKENS)
    assert counted.get_total_flops() == expected + POOLERS


def test_the_likeness_of_layers_is_counted_as_torch_counts_it(encoder_shaped):
    with counting_flops() as counted:
        layer_similarity(encoder_shaped(SMALL), encoder_shaped(LARGE), texts(EXAMPLES, TOKENS))
    passes = EXAMPLES * (encoder_flops(SMALL, TOKENS) + encoder_flops(LARGE, TOKENS))
    expected = passes + similarity_flops(SMALL, LARGE, EXAMPLES * TOKENS)
    assert counted.get_total_flops() == expected + POOLERS


@pytest.mark.parametrize("sizes", [1, 3])
def test_ridge_is_counted_as_torch_counts_it(sizes):
    features, targets = torch.randn(40, 6), torch.randn(40, 2)
    with counting_flops() as counted:
        ridge.fit(features, targets, [0.1 * (i + 1) for i in range(sizes)])
    assert counted.get_total_flops() == ridge_flops(40, 6, 2, sizes)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("kind", HEADS)
def test_heads_are_counted_as_torch_counts_them(kind, outputs):
    def head(width):
        return Head(torch.randn(width, width), torch.randn(width), torch.randn(outputs, width), torch.randn(outputs))

    hidden, small_hidden = torch.randn(40, LARGE.width).double(), torch.randn(40, SMALL.width).double()
    given = {"small_head": head(SMALL.width), "small_hidden": small_hidden, "labels": torch.arange(40) % 3}
    own = replace(head(LARGE.width), classifier_weight=torch.zeros(0), classifier_bias=torch.zeros(0))
    with counting_flops() as counted:
        found = fit_heads(kind, hidden, own, [0.1, 1.0], **given, classes=None if outputs == 1 else outputs)
        for made in found.values():
            head_logits(made, hidden[:11])
    assert counted.get_total_flops() == head_flops(kind, SMALL, LARGE, outputs, 40, 2, scored=11)


def test_single_maps_are_counted_as_torch_counts_them():
    small, large = torch.randn(50, 5), torch.randn(50, 7)
    moments = Moments.of(small, large, grams=True)
    for alignment, size in itertools.product(ALIGNMENTS, (0.0, 0.1)):
        with counting_flops() as counted:
            affine.fit(alignment, size)(moments)
        assert counted.get_total_flops() == maps_flops(alignment, 5, 7, size), alignment
    assert maps_flops("least_squares", 5, 7, 0.1) < maps_flops("least_squares", 5, 7, 0.0)
    assert procrustes_flops(5, 7) == procrustes_flops(7, 5)


def test_a_gram_matrix_is_counted_by_its_blocks():
    assert gram_flops(10, 300) == 2 * 10 * 300**2
    assert gram_flops(10, 1000) == 2 * 10 * (1000 * 384 + 616 * 384 + 232 * 232)


def test_the_transport_of_a_layer_is_counted_as_torch_counts_it():
    def maps(small, large):
        return Maps(torch.randn(small, large), torch.randn(large, small))

    width, ffn = (SMALL.width, LARGE.width), (SMALL.ffn, LARGE.ffn)
    with counting_flops() as counted:
        for into, out in [(width, width)] * 4 + [(width, ffn), (ffn, width)]:
            change = torch.randn(out[0], into[0]), torch.randn(out[0])
            means = torch.randn(into[0]), torch.randn(into[1])
            transport.linear(*change, maps(*into), maps(*out).forward, means)
    assert counted.get_total_flops() == transport_flops(SMALL, LARGE)


def variants(method):
    """Options of a method: the defaults, then each other value of each option that has few."""
    known = methods.facts(method).known()
    yield {}
    for name, option in known.items():
        values = (True, False) if option.type is bool else option.choices
        yield from ({name: value} for value in values if value != option.default)


# Grown models are copied, by products with one entry per row that count as none. Refitting is counted below.
PLAIN = [name for name in methods.table("weights") if name not in ("grow", "functional")]


@pytest.mark.parametrize(
    ("method", "options"),
    [pytest.param(name, options, id=f"{name}-{options}") for name in PLAIN for options in variants(name)],
)
def test_methods_are_counted_as_torch_counts_them(method, options, parts_of):
    parts = parts_of(method, **options)
    parts = replace(parts, projections=(torch.randn(LARGE.width, SMALL.width),))
    merger = methods.implementation(method)()
    cost = parts.options.flops(SMALL, LARGE, TOKENS)
    with counting_flops() as counted:
        state = merger.prepare(parts)
    if options.get("per_head"):
        assert 0 < counted.get_total_flops() < cost.prepare  # whole maps are counted for all heads'
    else:
        assert counted.get_total_flops() == cost.prepare
    with counting_flops() as counted:
        merger.apply(state, 0.7)
    assert counted.get_total_flops() == cost.apply


@pytest.mark.parametrize(
    "options",
    [
        *variants("functional"),
        {"layernorm": "leave", "embedding_delta": False},
        *({"fit_ridge": ridge, "map_ridge": other} for ridge in (0.0, 0.1) for other in (0.0, 0.1)),
    ],
    ids=str,
)
def test_refitting_is_counted_as_torch_counts_it(options, parts_of):
    parts = parts_of("functional", batches=texts(EXAMPLES, TOKENS), **options)
    if options.get("depth") == "extend":
        parts = deepened(parts)
        small, large = encoder_of(parts.small_pretrained, parts.small_shape), encoder_of(parts.large, LARGE)
        parts = replace(parts, moments=calibrate(small, large, parts.depth_map, parts.texts))
    prepare, apply = parts.options.flops(SMALL, LARGE, EXAMPLES * TOKENS)
    # What is left out of the passes: attention's products in every block that runs, and the small model's pooler.
    scores = {shape: EXAMPLES * 4 * TOKENS**2 * shape.width for shape in (SMALL, LARGE)}
    method = Functional()
    with counting_flops() as counted:
        state = method.prepare(parts)
    left_out = 2 * (parts.small_shape.layers * scores[SMALL] + EXAMPLES * pooler_flops(SMALL))
    left_out += (LARGE.layers - 1) * scores[LARGE]
    assert counted.get_total_flops() == prepare + left_out
    with counting_flops() as counted:
        method.apply(state, 0.7)
    assert counted.get_total_flops() == apply + (LARGE.layers + len(parts.depth_map)) * scores[LARGE]


@pytest.mark.parametrize("depth_map", [((0, 1), (1, 4)), ((0, 0), (1, 1), (1, 4))])
@pytest.mark.parametrize("labels", [("no", "yes"), ("a", "b", "c"), None])
def test_steps_of_trained_composites_are_counted_as_torch_counts_them(labels, depth_map, pico_classifier):
    small = pico_classifier(0, labels, SMALL.width, SMALL.layers, SMALL.heads, SMALL.ffn)
    outputs, pairs = small.config.num_labels, len(depth_map)
    head = LinearMap(torch.randn(outputs, LARGE.width), torch.randn(outputs))
    (batch,) = texts(EXAMPLES, TOKENS)
    large, seen = torch.randn(EXAMPLES, TOKENS, pairs, LARGE.width), torch.randn(EXAMPLES, TOKENS, pairs, SMALL.width)
    steps = [
        (
            Ladder(small, LARGE.width, depth_map),
            {"large": large},
            methods.facts("ladder").linked(SMALL, LARGE, depth_map, TOKENS, outputs),
        ),
        (
            Calm(SMALL, pairs, head, "mean", seed=0),
            {"large": large, "small": seen},
            methods.facts("calm").linked(SMALL, LARGE, depth_map, TOKENS, outputs),
        ),
        (
            SideTuned(copy.deepcopy(small.bert), head, "mean"),
            {"large": large[:, 0, 0]},
            methods.facts("side_tuning").linked(SMALL, LARGE, depth_map, TOKENS, outputs),
        ),
    ]
    wanted = torch.arange(EXAMPLES) % outputs if labels else torch.randn(EXAMPLES)
    for module, states, expected in steps:
        with FlopCounterMode(display=False) as counter:
            loss = module.train()(wanted, **batch, **states).loss
            assert counter.get_total_flops() == EXAMPLES * expected.given, type(module)
            loss.backward()
        assert counter.get_total_flops() == EXAMPLES * expected.step, type(module)


def test_costs_and_the_registry_are_known_without_torch():
    modules = "graft.flops.counts, graft.registry.methods, graft.merging.selection"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
