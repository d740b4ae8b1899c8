import pytest
import torch

from graft.merging.architecture import EMBEDDINGS, LINEARS
from graft.merging.calibration import calibrate
from graft.merging.moments import read

DEPTH = ((0, 1), (1, 3))


@pytest.fixture
def pair(pico_encoder):
    return pico_encoder(1, width=4, layers=2, ffn=8), pico_encoder(2, width=8, layers=4, ffn=16)


def _in_memory(model, layer, batches):
    """Activations of all tokens that are not padding, computed a second way: by the block's own formulas."""
    states, mask = [], []
    for batch in batches:
        states.append(model(**batch, output_hidden_states=True).hidden_states)
        mask.append(batch["attention_mask"].bool())
    block = model.encoder.layer[layer]
    x = torch.cat([s[layer][m] for s, m in zip(states, mask, strict=True)])
    y = torch.cat([s[layer + 1][m] for s, m in zip(states, mask, strict=True)])
    return block, x, y


@torch.no_grad()
def test_moments_equal_those_of_all_activations_in_memory(pair, pico_batches):
    small, large = pair
    batches = pico_batches()
    statistics = calibrate(small, large, DEPTH, batches)
    for m, g in DEPTH:
        (block_s, x_s, _), (block_l, x_l, _) = _in_memory(small, m, batches), _in_memory(large, g, batches)
        expected = {
            "attention.in": (x_s, x_l),
            "query.out": (block_s.attention.self.query(x_s), block_l.attention.self.query(x_l)),
            "value.out": (block_s.attention.self.value(x_s), block_l.attention.self.value(x_l)),
        }
        for site, (a, b) in expected.items():
            moment = read(statistics, f"layer.{m}-{g}.{site}", a.shape[1], b.shape[1])
            assert moment.count == len(a)
            torch.testing.assert_close(moment.cross, a.T @ b, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(moment.small, a.sum(0), rtol=1e-10, atol=1e-10)
            centred = (a - a.mean(0)).T @ (b - b.mean(0))
            torch.testing.assert_close(moment.centred_cross(), centred, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_sites_of_the_feed_forward_half_follow_from_one_another(pair, pico_batches):
    """Means are linear: the mean of a linear layer's output is that layer of the mean of its input."""
    small, large = pair
    statistics = calibrate(small, large, DEPTH, pico_batches())
    for m, g in DEPTH:
        for linear, (site_in, site_out) in LINEARS.items():
            for model, layer, side in ((small, m, "small"), (large, g, "large")):
                mean_in, mean_out = (
                    statistics[f"layer.{m}-{g}.{site}.{side}"] / statistics[f"layer.{m}-{g}.{site}.count"]
                    for site in (site_in, site_out)
                )
                module = model.get_submodule(f"encoder.layer.{layer}.{linear}")
                torch.testing.assert_close(module(mean_in), mean_out, rtol=1e-10, atol=1e-10)


def test_the_ffn_site_is_after_the_non_linearity(pair, pico_batches):
    statistics = calibrate(*pair, DEPTH, pico_batches(examples=1))
    count = statistics["layer.0-1.ffn.count"]
    assert (
        (statistics["layer.0-1.ffn.small"] / count).min()
        > -0.18
        > (statistics["layer.0-1.intermediate.out.small"] / count).min()
    )


def test_statistics_do_not_depend_on_the_batch_size_or_on_padding(pair, pico_batches):
    one, all_ = (calibrate(*pair, DEPTH, pico_batches(size=size)) for size in (1, 12))
    cut = []
    for batch in pico_batches(size=1):
        length = int(batch["attention_mask"].sum())
        cut.append({name: tensor[:, :length] for name, tensor in batch.items()})
    without_padding = calibrate(*pair, DEPTH, cut)
    assert one.keys() == all_.keys()
    for name in one:
        torch.testing.assert_close(one[name], all_[name], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(without_padding[name], all_[name], rtol=1e-8, atol=1e-8)


def test_only_real_tokens_are_counted_and_progress_is_told_of_every_example(pair, pico_batches):
    done = []
    statistics = calibrate(*pair, DEPTH, pico_batches(), done.append)
    assert statistics[f"{EMBEDDINGS}.count"] == sum(int(b["attention_mask"].sum()) for b in pico_batches())
    assert sum(done) == 12


def test_a_failed_calibration_leaves_no_hook_behind(pair, pico_batches):
    wrong = pico_batches(examples=1)
    wrong[0]["input_ids"] = wrong[0]["input_ids"] + 1000
    with pytest.raises(IndexError):
        calibrate(*pair, DEPTH, wrong)
    assert not any(module._forward_hooks for model in pair for module in model.modules())


def test_unequal_vocabularies_are_refused_in_one_sentence(pico_encoder, pico_batches):
    with pytest.raises(ValueError, match="vocabulary has 50 tokens and the large one's 60; .* one vocabulary") as error:
        calibrate(pico_encoder(vocabulary=50), pico_encoder(), ((0, 0), (1, 1)), pico_batches())
    assert "\n" not in str(error.value)


def test_training_mode_and_no_text_are_refused(pair, pico_batches):
    with pytest.raises(ValueError, match="no batches"):
        calibrate(*pair, DEPTH, [])
    pair[1].train()
    with pytest.raises(ValueError, match="large model is in training mode"):
        calibrate(*pair, DEPTH, pico_batches())


def test_statistics_of_another_pair_are_named(pair, pico_batches):
    statistics = calibrate(*pair, DEPTH, pico_batches())
    with pytest.raises(ValueError, match=r"layer.0-1.ffn.small has shape \[8\], not \[9\]"):
        read(statistics, "layer.0-1.ffn", 9, 16)
    with pytest.raises(ValueError, match="layer.5-9.ffn.count is missing"):
        read(statistics, "layer.5-9.ffn", 8, 16)
