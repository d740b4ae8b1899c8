"""Our network computes what each family's model in transformers computes, in eval mode and in training."""

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from graft.encoders.models import load_classifier, load_encoder, set_labels
from graft.encoders.network import bucket, relative_places, set_attention
from graft.encoders.packing import packed
from graft.flops.counts import SHARING, classifier_flops
from graft.registry.shapes import Shape
from tests.unit.counting import counting_flops
from tests.unit.families import FAMILIES, pico_config


@pytest.fixture
def batch():
    """Texts of 2 to 9 tokens, the first of which no family takes for padding."""
    mask = (torch.arange(9) < torch.tensor([9, 2, 6])[:, None]).long()
    ids = torch.randint(5, 50, mask.shape, generator=torch.Generator().manual_seed(0))
    return mask, ids


def inputs(config, mask, ids, ours):
    types = (torch.arange(9) > 3).long() * mask
    given = {"input_ids": torch.where(mask.bool(), ids, config.pad_token_id), "attention_mask": mask}
    known = getattr(config, "type_vocab_size", 0) > 1
    return given | ({"token_type_ids": types} if ours or known else {})


def assert_same(shape, ours, theirs):
    """To the last bit, unless a family multiplies by several modules' weights at once, which rounds otherwise."""
    tolerance = 2e-6 if shape.kind.fused else 0
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_are_those_of_transformers(family, batch, tmp_path):
    torch.manual_seed(0)
    config = pico_config(family)
    theirs = AutoModel.from_config(config, attn_implementation="eager").eval()
    theirs.save_pretrained(tmp_path)
    ours = load_encoder(tmp_path)
    with torch.inference_mode():
        wanted = theirs(**inputs(config, *batch, ours=False), output_hidden_states=True).hidden_states
        found = ours(**inputs(config, *batch, ours=True), output_hidden_states=True).hidden_states
    assert len(found) == len(wanted) == config.num_hidden_layers + 1
    real = batch[0].bool()
    for one, other in zip(found, wanted, strict=True):
        assert_same(ours.shape, one[real], other[real])


@pytest.mark.parametrize("labels", [("a", "b", "c"), None])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_is_that_of_transformers_in_training_too(family, labels, batch, tmp_path):
    torch.manual_seed(0)
    config = pico_config(family)
    set_labels(config, labels)
    theirs = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    theirs.save_pretrained(tmp_path)
    ours = load_classifier(tmp_path)
    given = [inputs(config, *batch, ours=one) for one in (False, True)]
    wanted = torch.tensor([0, 2, 1]) if labels else torch.tensor([0.1, 0.5, 0.3])
    for training in (False, True):
        outputs = []
        for model, batched in zip((theirs, ours), given, strict=True):
            torch.manual_seed(1)
            outputs.append(model.train(training)(**batched, labels=wanted))
        assert_same(ours.shape, outputs[1].logits, outputs[0].logits)
        assert_same(ours.shape, outputs[1].loss, outputs[0].loss)


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_and_flops_are_those_of_transformers(family):
    config = pico_config(family, "large")
    set_labels(config, ("a", "b", "c"))
    theirs = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()
    shape = Shape.from_config(config.to_dict())
    unread = shape.kind.unread * shape.width
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert shape.body_parameters + 3 * (shape.width + 1) == count - unread
    # A whole batch, since positions may be computed once for all of its texts.
    ids = torch.full((SHARING, 9), 5)
    with counting_flops() as counted:
        theirs(input_ids=ids)
    assert SHARING * classifier_flops(shape, 9, 3) == pytest.approx(counted.get_total_flops(), rel=1e-3)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("modernbert", {"classifier_pooling": "mean", "classifier_dropout": 0.2}),
        ("deberta-v2", {"position_biased_input": True, "type_vocab_size": 2, "position_buckets": -1}),
        ("deberta-v2", {"max_relative_positions": 40, "cls_dropout": 0.3}),
    ],
)
def test_variants_of_a_family_are_those_of_transformers_padded_and_packed(family, changes, batch, tmp_path):
    torch.manual_seed(0)
    config = pico_config(family, **changes)
    set_labels(config, ("a", "b", "c"))
    theirs = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    theirs.save_pretrained(tmp_path)
    ours = load_classifier(tmp_path)
    given = [inputs(config, *batch, ours=one) for one in (False, True)]
    for training in (False, True):
        logits = []
        for model, batched in zip((theirs, ours), given, strict=True):
            torch.manual_seed(1)
            logits.append(model.train(training)(**batched).logits)
        # Sums of three embeddings are rounded otherwise.
        torch.testing.assert_close(logits[1], logits[0], rtol=2e-6, atol=2e-6)
    whole = packed({**given[1], "attention_mask": batch[0]}, config.num_attention_heads)
    torch.testing.assert_close(ours.eval()(**whole).logits, ours(**given[1]).logits, rtol=1e-5, atol=1e-5)


def test_far_relative_positions_share_buckets_as_in_transformers():
    from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

    details = {"max_relative_positions": 300, "position_buckets": 32, "position_biased_input": False}
    shape = Shape(2, 8, 2, 20, 60, 300, 0, family="deberta-v2", details=tuple(details.items()))
    rows = torch.zeros(300, 1)
    theirs = build_relative_position(rows, rows, bucket_size=32, max_position=300)[0]
    assert relative_places(300, shape, torch.device("cpu")).equal((theirs + 32).clamp(0, 63))


def test_fused_attention_computes_the_same(tmp_path):
    for family in FAMILIES:
        torch.manual_seed(0)
        AutoModel.from_config(pico_config(family)).save_pretrained(tmp_path / family)
        model = load_encoder(tmp_path / family)
        mask = (torch.arange(9) < torch.tensor([9, 2, 6])[:, None]).long()
        found = []
        for kind in ("eager", "sdpa"):
            set_attention(model, kind)
            with torch.inference_mode():
                found.append(model(torch.full((3, 9), 7), mask).last_hidden_state[mask.bool()])
        torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_far_positions_share_buckets_as_in_transformers():
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

    place = torch.arange(300)
    theirs = MPNetEncoder.relative_position_bucket(place[None, :] - place[:, None], num_buckets=32)
    assert bucket(300, 32, torch.device("cpu")).equal(theirs)
