"""A pair of two vocabularies against the same pair with one: calibration, every method, and composites' modules.

With the small model's vocabulary in another order all comes out bit for bit. With its odd words in two pieces it does
within rounding if the small model's states depend on the word alone. If it attends to all pieces, a word in two counts
twice, so that all is near but not equal.
"""

from dataclasses import replace

import pytest
import torch

from graft.encoders.architecture import POSITIONS, WORD_EMBEDDINGS
from graft.encoders.inference import batches
from graft.encoders.models import encoder_of
from graft.encoders.states import Frozen
from graft.merging.alignment.cka import layer_similarity
from graft.merging.calibration import calibrate
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite.calm.maths import Calm
from graft.merging.composite.ladder.maths import Ladder
from graft.merging.composite.side_tuning.maths import SideTuned
from graft.merging.composite.stitch import maths as stitch
from graft.merging.predictors import mixed, probe, trained
from graft.merging.protocol import Parts
from graft.registry import cuts, depth
from graft.registry.methods import checked_options, implementation, table
from tests.unit.conftest import LARGE, SMALL
from tests.unit.vocabularies import in_pieces, permuted, texts

METHODS = [*table("weights")]
OPTIONS = [
    *((method, {}) for method in METHODS),
    ("theseus", {"embedding_delta": True, "depth": "uniform"}),
    ("theseus", {"evidence": "weights", "depth": "uniform"}),
    ("spacewise", {"evidence": "weights"}),
    ("spacewise", {"residual": "per_site", "per_head": True, "depth": "spread"}),
    ("functional", {"depth": "extend"}),
]
# Largest relative error of moments and of merged tensors where the small model attends to every piece, measured below.
NEAR = 0.25


def read(split):
    """Batches of a split, or of both tokenizations."""
    return [batch for _, batch in batches(split, 16)]


@pytest.fixture
def world(encoder_shaped):
    """Makes parts of a merge by any method, with one vocabulary and with another one; `alone`: without attention."""

    def make(other, method="spacewise", alone=False, columns=1, **options):
        split = texts(columns=columns, most=7)  # in pieces too, a text fits 16 positions
        large, before = (encoder_shaped(shape, seed).state_dict() for seed, shape in ((2, LARGE), (1, SMALL)))
        generator = torch.Generator().manual_seed(3)
        after = {n: t + 0.1 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in before.items()}
        if alone:
            for body in (before, after):
                body[POSITIONS].zero_()
                for name in body:
                    if name.endswith("value.weight"):  # all tokens then have one context
                        body[name].zero_()
        options = checked_options(method, options)
        depth_map = depth.named(
            options.depth, SMALL.layers, LARGE.layers, torch.rand(2, 5, generator=generator).tolist()
        )
        one = Parts(large, after, before, LARGE, SMALL, depth_map, None, options, read(split))
        told = other(split)
        shape = replace(SMALL, vocabulary=len(told.sources))
        bodies = {"small_finetuned": told.body(after), "small_pretrained": told.body(before)}
        two = replace(one, **bodies, small_shape=shape, texts=read(told.split), rows=told.rows)
        return tuple(replace(parts, moments=moments_of(parts)) for parts in (one, two))

    return make


def moments_of(parts):
    small, large = (
        encoder_of(body, shape)
        for body, shape in ((parts.small_pretrained, parts.small_shape), (parts.large, parts.large_shape))
    )
    return calibrate(small, large, parts.depth_map, parts.texts)


def merged(parts, strength=0.7):
    merger = implementation(parts.options.name)()
    return merger.apply(merger.prepare(parts), strength)


def error(one, other):
    """Relative error of named tensors together."""
    off = sum(float((one[name].double() - other[name].double()).square().sum()) for name in one)
    return (off / sum(float(one[name].double().square().sum()) for name in one)) ** 0.5


@pytest.mark.parametrize("columns", [1, 2])
def test_moments_of_a_permuted_vocabulary_are_the_same_bit_for_bit(world, columns):
    one, two = world(permuted, columns=columns)
    assert one.moments.keys() == two.moments.keys()
    assert all(torch.equal(one.moments[name], two.moments[name]) for name in one.moments)


@pytest.mark.parametrize(("method", "options"), OPTIONS)
def test_a_merge_with_a_permuted_vocabulary_is_the_same_bit_for_bit(world, method, options):
    bodies = [merged(parts) for parts in world(permuted, method, **options)]
    assert all(torch.equal(bodies[0][name], bodies[1][name]) for name in bodies[0])


@pytest.mark.parametrize("columns", [1, 2])
def test_moments_of_words_in_pieces_are_those_of_whole_words(world, columns):
    one, two = world(in_pieces, alone=True, columns=columns)
    assert one.moments["embeddings.count"] == two.moments["embeddings.count"]
    assert error(one.moments, two.moments) < 1e-12
    assert 0 < error(*(parts.moments for parts in world(in_pieces, columns=columns))) < NEAR


@pytest.mark.parametrize(("method", "options"), [one for one in OPTIONS if "evidence" not in one[1]])
def test_a_merge_with_words_in_pieces_is_that_of_whole_words_but_for_their_own_embeddings(world, method, options):
    if method == "functional":
        # What later layers make of words whose embeddings stay is another story.
        options = {**options, "embedding_delta": False}
    one, two = world(in_pieces, method, alone=True, **options)
    bodies, known = [merged(parts) for parts in (one, two)], two.rows >= 0
    words = [body.pop(WORD_EMBEDDINGS) for body in bodies]
    changes = [{name: body[name] - one.large[name] for name in body} for body in bodies]
    assert error(*changes) < 1e-6
    torch.testing.assert_close(words[0][known], words[1][known], rtol=0, atol=1e-6)
    torch.testing.assert_close(words[1][~known], one.large[WORD_EMBEDDINGS][~known], rtol=0, atol=1e-12)


@pytest.mark.parametrize("other", [permuted, in_pieces])
def test_the_similarity_of_layers_is_that_of_one_vocabulary(world, other):
    one, two = (
        layer_similarity(
            encoder_of(parts.small_pretrained, parts.small_shape), encoder_of(parts.large, LARGE), parts.texts
        )
        for parts in world(other, alone=True)
    )
    torch.testing.assert_close(one, two, rtol=0, atol=1e-10 if other is in_pieces else 0)


def strays(parts):
    """The same parts with vocabularies that share nothing."""
    return replace(parts, rows=torch.full_like(parts.rows, -1))


@pytest.mark.parametrize(
    ("method", "options", "remedy"),
    [
        ("spacewise", {}, "set embedding_delta to false"),
        ("functional", {}, "set embedding_delta to false"),
        ("spacewise", {"evidence": "weights"}, "set evidence to activations"),
        *((method, {}, "use another method") for method in ("ot_fusion", "grow", "interpolate")),
    ],
)
def test_without_a_token_in_common_what_needs_one_is_refused_with_the_option_to_change(world, method, options, remedy):
    with pytest.raises(ValueError, match=f"^{method}: .* no token in common; {remedy}$"):
        merged(strays(world(in_pieces, method, **options)[1]))


def test_without_a_token_in_common_other_transports_need_none(world):
    for method in ("spacewise", "theseus", "functional"):
        parts = strays(world(in_pieces, method, embedding_delta=False)[1])
        assert torch.equal(merged(parts)[WORD_EMBEDDINGS], parts.large[WORD_EMBEDDINGS])


@pytest.fixture
def modules(world, pico_classifier):
    """Makes every composite that runs both models, as predictors, with one vocabulary and with another one."""

    def make(other, alone=False):
        found = []
        for parts in world(other, alone=alone):
            generator = torch.Generator().manual_seed(6)

            def drawn(rows, columns, generator=generator):
                weight = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
                return LinearMap(weight, torch.randn(rows, generator=generator, dtype=torch.float64))

            def small(parts=parts):
                return encoder_of(parts.small_finetuned, parts.small_shape)

            def large(parts=parts):
                return encoder_of(parts.large, LARGE)

            def moved(module, generator=generator):
                with torch.no_grad():
                    for name, tensor in module.named_parameters():
                        if name.split(".")[0] in ("link", "links", "downs", "head"):
                            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64))
                return module.eval()

            pairs, head = depth.uniform(SMALL.layers, LARGE.layers), drawn(2, LARGE.width)
            classifier = pico_classifier().double()
            classifier.bert = small()
            mapped = [[pair[side] for pair in pairs] for side in (0, 1)]
            states = {"large": Frozen(large(), mapped[1]), "small": Frozen(small(), mapped[0])}
            free = [lambda tokens: 0] * 2
            predictors = {
                "concat_probe": probe(
                    {"small": small(), "large": large()}, "mean", drawn(2, SMALL.width + LARGE.width)
                ),
                "calm": trained(moved(Calm(SMALL, len(pairs), head, "mean", 0).double()), states, *free),
                "ladder": trained(
                    moved(Ladder(classifier, LARGE.width, pairs).double()), {"large": Frozen(large(), mapped[1])}, *free
                ),
                "side_tuning": trained(
                    moved(SideTuned(small(), head, "mean").double()),
                    {"large": Frozen(large(), [LARGE.layers - 1], "mean")},
                    *free,
                ),
                "logit_ensemble": mixed(
                    [probe({"large": small()}, "cls", drawn(2, SMALL.width)), probe({"large": large()}, "cls", head)],
                    lambda one, two: one - two,
                    ("small", "large"),
                ),
            }
            logits = {name: [one.logits(batch) for batch in parts.texts] for name, one in predictors.items()}
            for cut in cuts.cuts(SMALL.layers, LARGE.layers):
                first, second = ((small(), large()), (large(), small()))[cut.roles[0] == "large"]
                model = stitch.Stitched(first, second, cut, drawn(second.shape.width, first.shape.width)).eval()
                with torch.no_grad():
                    logits[cut.direction] = [model(batch)[:, 0] for batch in parts.texts]
            found.append({name: torch.cat(values) for name, values in logits.items()})
        return found

    return make


def test_composites_with_a_permuted_vocabulary_answer_the_same_bit_for_bit(modules):
    one, two = modules(permuted)
    assert len(one) == 7 and all(torch.equal(one[name], two[name]) for name in one)


def test_composites_with_words_in_pieces_answer_as_those_of_whole_words(modules):
    one, two = modules(in_pieces, alone=True)
    # Where states of pieces are averaged or read one by one, a word in two pieces counts twice.
    exact = {"calm", "ladder", "logit_ensemble", "small_to_large"}
    assert exact < set(one) and all(error({0: one[name]}, {0: two[name]}) < 1e-9 for name in exact)
    assert all(error({0: one[name]}, {0: two[name]}) < 2 * NEAR for name in one)


def test_maps_for_stitching_are_fitted_to_spans(world):
    one, two = world(in_pieces, alone=True)
    seen = [
        stitch.states(encoder_of(parts.small_finetuned, parts.small_shape), [1], parts.texts, "small")[1]
        for parts in (one, two)
    ]
    torch.testing.assert_close(*seen, rtol=0, atol=1e-12)
