import pytest
import torch

from graft.encoders.architecture import EMBEDDINGS, GRAM_SITES, LINEARS, site_name
from graft.merging.calibration import calibrate
from graft.merging.moments import read

DEPTH = ((0, 1), (1, 3))


@pytest.fixture
def pair(pico_encoder):
    return pico_encoder(1, width=4, layers=2, ffn=8), pico_encoder(2, width=8, layers=4, ffn=16)


def in_memory(model, batches):
    """Activations of all real tokens, and what LayerNorms read, by (layer, site); every formula of BERT written out."""
    found: dict[tuple[int, str], list[torch.Tensor]] = {}
    before_norm: dict[tuple[int, str], list[torch.Tensor]] = {}

    def norm(x, module):
        centred = x - x.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
        return centred / spread * module.weight + module.bias

    def linear(x, module):
        return x @ module.weight.T + module.bias

    for batch in batches:
        real = batch["attention_mask"].bool()

        def keep(store, layer, site, x, real=real):
            store.setdefault((layer, site), []).append(x[real])

        tables = model.embeddings
        positions = torch.arange(real.shape[1])
        x = tables.word_embeddings.weight[batch["input_ids"]] + tables.position_embeddings.weight[positions]
        x = x + tables.token_type_embeddings.weight[batch["token_type_ids"]]
        keep(before_norm, -1, EMBEDDINGS, x)
        x = norm(x, tables.LayerNorm)
        keep(found, -1, EMBEDDINGS, x)
        for number, block in enumerate(model.encoder.layer):
            attention, heads = block.attention, model.config.num_attention_heads
            q, k, v = (linear(x, getattr(attention.self, name)) for name in ("query", "key", "value"))
            split = [t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v)]
            scores = split[0] @ split[1].transpose(2, 3) / (x.shape[-1] / heads) ** 0.5
            weights = scores.masked_fill(~real[:, None, None, :], -torch.inf).softmax(-1)
            context = (weights @ split[2]).transpose(1, 2).flatten(2)
            attended = linear(context, attention.output.dense)
            middle = norm(attended + x, attention.output.LayerNorm)
            wide = linear(middle, block.intermediate.dense)
            active = wide * (1 + torch.erf(wide / 2**0.5)) / 2
            narrow = linear(active, block.output.dense)
            sites = {
                "attention.in": x, "query.out": q, "key.out": k, "value.out": v, "context": context,
                "attention_output.out": attended, "intermediate.in": middle, "intermediate.out": wide, "ffn": active,
                "output.out": narrow,
            }  # fmt: skip
            for site, value in sites.items():
                keep(found, number, site, value)
            keep(before_norm, number, "intermediate.in", attended + x)
            keep(before_norm, number, "block.out", narrow + middle)
            x = norm(narrow + middle, block.output.LayerNorm)
            keep(found, number, "block.out", x)
    return tuple({place: torch.cat(parts) for place, parts in store.items()} for store in (found, before_norm))


@torch.no_grad()
@pytest.mark.parametrize("depth_map", [DEPTH, ((0, 0), (0, 1), (1, 3))])
def test_every_statistic_equals_that_of_all_activations_in_memory(depth_map, pair, pico_batches):
    batches = pico_batches()
    statistics = calibrate(*pair, depth_map, batches)
    (small, read_small), (large, read_large) = (in_memory(model, batches) for model in pair)
    expected = {}
    places = [(EMBEDDINGS, -1, -1, EMBEDDINGS)]
    places += [(site_name(m, g, site), m, g, site) for m, g in depth_map for layer, site in small if layer == m]
    for name, m, g, site in places:
        a, b = small[m, site], large[g, site]
        expected |= {f"{name}.count": torch.tensor(len(a)), f"{name}.cross": a.T @ b}
        expected |= {f"{name}.small": a.sum(0), f"{name}.large": b.sum(0)}
        if site in (EMBEDDINGS, *GRAM_SITES):
            expected |= {f"{name}.gram_small": a.T @ a, f"{name}.gram_large": b.T @ b}
        if (m, site) in read_small:
            read = read_small[m, site], read_large[g, site]
            expected[f"{name}.spread"] = torch.stack([x.std(1, correction=0).mean() for x in read])
    assert statistics.keys() == expected.keys()
    for name, tensor in expected.items():
        # Relative to the largest entry: sums of both signs may come out near zero.
        torch.testing.assert_close(statistics[name], tensor, rtol=0, atol=1e-10 * float(tensor.abs().max()), msg=name)


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


def same_statistics(one, other):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-8, atol=1e-8, msg=name)


def test_statistics_do_not_depend_on_the_batch_size_or_on_the_order(pair, pico_batches):
    whole = calibrate(*pair, DEPTH, pico_batches(size=12))
    for size in (1, 5):
        same_statistics(calibrate(*pair, DEPTH, pico_batches(size=size)), whole)
        same_statistics(calibrate(*pair, DEPTH, pico_batches(size=size)[::-1]), whole)


def test_padding_counts_nowhere(pair, pico_batches):
    cut, other = [], pico_batches()
    for batch in pico_batches(size=1):
        length = int(batch["attention_mask"].sum())
        cut.append({name: tensor[:, :length] for name, tensor in batch.items()})
    for batch in other:
        padding = batch["attention_mask"] == 0
        batch["input_ids"][padding], batch["token_type_ids"][padding] = 7, 1
    padded = calibrate(*pair, DEPTH, pico_batches())
    same_statistics(calibrate(*pair, DEPTH, cut), padded)
    same_statistics(calibrate(*pair, DEPTH, other), padded)


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
    with pytest.raises(
        ValueError, match="vocabulary has 50 tokens and the large one's 60; give each its own tokens"
    ) as error:
        calibrate(pico_encoder(vocabulary=50), pico_encoder(), ((0, 0), (1, 1)), pico_batches())
    assert "\n" not in str(error.value)


def test_training_mode_and_no_text_are_refused(pair, pico_batches):
    with pytest.raises(ValueError, match="no batches"):
        calibrate(*pair, DEPTH, [])
    pair[1].train()
    with pytest.raises(ValueError, match="large model is in training mode"):
        calibrate(*pair, DEPTH, pico_batches())


@pytest.mark.parametrize("role", [0, 1])
def test_activations_that_are_not_finite_are_told_with_their_site(role, pair, pico_batches):
    # Every weight is finite: the sum overflows only as it is computed.
    pair[role].encoder.layer[-1].output.dense.weight.data.fill_(1.7e308)
    with pytest.raises(ValueError, match=r"activations at layer\.1-3\.output\.out are not finite; .* damaged") as error:
        calibrate(*pair, DEPTH, pico_batches())
    assert "\n" not in str(error.value)


def test_statistics_of_another_pair_are_named(pair, pico_batches):
    statistics = calibrate(*pair, DEPTH, pico_batches())
    with pytest.raises(ValueError, match=r"layer.0-1.ffn.small has shape \[8\], not \[9\]"):
        read(statistics, "layer.0-1.ffn", 9, 16)
    with pytest.raises(ValueError, match="layer.5-9.ffn.count is missing"):
        read(statistics, "layer.5-9.ffn", 8, 16)
