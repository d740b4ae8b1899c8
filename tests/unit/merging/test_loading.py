import pytest
import torch

from graft.encoders.saving import save_model
from graft.encoders.states import pool
from graft.flops.counts import classifier_flops, encoder_flops
from graft.io.files import read_json, write_json
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite import manifest
from graft.merging.composite.stitch.maths import Stitched
from graft.merging.loading import load
from graft.registry.cuts import DIRECTIONS, cuts
from tests.unit.counting import counting_flops

LABELS = [("no", "yes"), ("a", "b", "c"), None]


@pytest.fixture
def systems(pico_classifier, tmp_path):
    """Folders of a small classifier, a large encoder and a probe on it, with the models themselves."""

    def make(labels, pooling="mean"):
        small, large = pico_classifier(1, labels=labels, width=4, ffn=8), pico_classifier(2, labels=labels, layers=3)
        save_model(small, tmp_path / "small")
        save_model(large.bert, tmp_path / "models" / "large")
        outputs = len(labels or ("score",))
        head = LinearMap(torch.randn(outputs, 8, dtype=torch.float64), torch.randn(outputs, dtype=torch.float64))
        encoder = {"encoder": tmp_path / "models" / "large"}
        manifest.write(tmp_path / "probe", "probe", encoder, {manifest.HEAD: head}, pooling=pooling)
        return small, large.bert, head

    return make


@pytest.fixture
def ensemble(tmp_path):
    """Writes an ensemble of the two and loads it."""

    def make(beta, scales):
        parts = {"small": tmp_path / "small", "probe": tmp_path / "probe"}
        manifest.write(tmp_path / "mix", "logit_ensemble", parts, beta=beta, scales=scales)
        return load(tmp_path / "mix")

    return make


@pytest.mark.parametrize("labels", LABELS)
def test_a_loaded_classifier_gives_its_logits_and_costs(systems, pico_batches, tmp_path, shape_of, labels):
    small, _, _ = systems(labels)
    predictor = load(tmp_path / "small")
    batch = pico_batches()[0]
    with torch.no_grad():
        torch.testing.assert_close(predictor.logits({**batch, "labels": torch.zeros(4)}), small(**batch).logits)
    assert predictor.parameters == sum(p.numel() for p in small.parameters())
    assert predictor.bytes == 4 * predictor.parameters
    assert predictor.flops(128) == classifier_flops(shape_of(small), 128, len(labels or ("score",)))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("labels", LABELS)
def test_a_loaded_probe_gives_its_linear_map_of_pooled_states(
    systems, pico_batches, tmp_path, shape_of, labels, pooling
):
    _, large, head = systems(labels, pooling)
    predictor = load(tmp_path / "probe")
    batch = pico_batches()[0]
    with torch.no_grad():
        hidden = large(**batch).last_hidden_state
        expected = head(pool(hidden, batch["attention_mask"], pooling))
    torch.testing.assert_close(predictor.logits(batch), expected, rtol=1e-5, atol=1e-5)
    assert predictor.flops(20) == encoder_flops(shape_of(large), 20) + 2 * 8 * len(head.bias)
    assert predictor.parameters == shape_of(large).body_parameters - 72 + head.weight.numel() + head.bias.numel()


@pytest.mark.parametrize("states", [[(0, "mean")], [(2, "cls"), (2, "mean")], [(1, "mean"), (2, "mean"), (3, "mean")]])
def test_a_loaded_probe_of_layers_runs_none_above_those_that_it_reads(
    systems, pico_batches, tmp_path, shape_of, states
):
    _, large, _ = systems(None)
    head, parts = LinearMap(torch.randn(1, 8 * len(states)), torch.randn(1)), {"encoder": tmp_path / "models" / "large"}
    manifest.write(tmp_path / "layers", "layers_probe", parts, {manifest.HEAD: head}, states=states)
    predictor, batch, deepest = load(tmp_path / "layers"), pico_batches()[0], states[-1][0]
    with torch.no_grad():
        hidden = large(**batch, output_hidden_states=True).hidden_states
        read = torch.cat([pool(hidden[layer], batch["attention_mask"], how) for layer, how in states], dim=1)
    torch.testing.assert_close(predictor.logits(batch), head(read), rtol=1e-5, atol=1e-5)
    assert predictor.flops(20) == encoder_flops(shape_of(large), 20, deepest) + 2 * 8 * len(states)
    above = sum(p.numel() for layer in large.encoder.layer[deepest:] for p in layer.parameters())
    assert predictor.parameters == shape_of(large).body_parameters - 72 - above + 8 * len(states) + 1


@pytest.mark.parametrize("labels", LABELS)
def test_an_ensemble_at_its_ends_is_its_parents(systems, ensemble, pico_batches, tmp_path, labels):
    systems(labels)
    batch = pico_batches()[0]
    scales = None if labels is None else (2.0, 0.5)
    for beta, parent in ((1.0, "small"), (0.0, "probe")):
        logits, expected = ensemble(beta, scales).logits(batch), load(tmp_path / parent).logits(batch)
        if labels is None:
            assert torch.equal(logits, expected)
        else:
            scale = scales[0] if parent == "small" else scales[1]
            torch.testing.assert_close(logits, (expected - expected.mean(1, keepdim=True)) / scale)
            assert torch.equal(logits.argmax(1), expected.argmax(1))


def test_an_ensemble_costs_as_much_as_both_parents(systems, ensemble, tmp_path):
    systems(("no", "yes"))
    mix, small, probe = ensemble(0.5, (1.0, 1.0)), load(tmp_path / "small"), load(tmp_path / "probe")
    assert mix.flops(64) == small.flops(64) + probe.flops(64)
    assert mix.parameters == small.parameters + probe.parameters and mix.bytes == small.bytes + probe.bytes


@pytest.mark.parametrize("labels", LABELS)
def test_proxy_tuning_is_the_probe_where_nothing_was_tuned_and_where_its_strength_is_zero(
    systems, pico_batches, tmp_path, labels
):
    systems(labels)
    batch = pico_batches()[0]
    probe, small = load(tmp_path / "probe").logits(batch), load(tmp_path / "small").logits(batch)
    for untuned, alpha in (("small", 0.7), ("probe", 0.0), ("probe", 1.0)):
        parts = {"probe": tmp_path / "probe", "tuned": tmp_path / "small", "untuned": tmp_path / untuned}
        scales = None if labels is None else (2.0, 0.5, 0.5)
        manifest.write(tmp_path / "proxy", "proxy_tuning", parts, alpha=alpha, scales=scales)
        proxy = load(tmp_path / "proxy")
        if untuned == "small" or alpha == 0:
            assert torch.equal(proxy.logits(batch), probe)
        else:
            expected = (
                small
                if labels is None
                else probe + 4 * (small - small.mean(1, keepdim=True)) - 4 * (probe - probe.mean(1, keepdim=True))
            )
            torch.testing.assert_close(proxy.logits(batch), expected)
        assert proxy.flops(32) == sum(load(folder).flops(32) for folder in parts.values())


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("labels", LABELS)
def test_a_loaded_concat_probe_maps_both_models_states_side_by_side(systems, pico_batches, tmp_path, labels, pooling):
    small, large, _ = systems(labels)
    outputs = len(labels or ("score",))
    head = LinearMap(torch.randn(outputs, 4 + 8), torch.randn(outputs))
    parts = {"small": tmp_path / "small", "large": tmp_path / "models" / "large"}
    manifest.write(tmp_path / "concat", "concat_probe", parts, {manifest.HEAD: head}, pooling=pooling)
    predictor = load(tmp_path / "concat")
    batch = pico_batches()[0]
    with torch.no_grad():
        pooled = [
            pool(model(**batch).last_hidden_state, batch["attention_mask"], pooling) for model in (small.bert, large)
        ]
    torch.testing.assert_close(predictor.logits(batch), head(torch.cat(pooled, 1)), rtol=1e-5, atol=1e-5)
    with counting_flops() as counted:
        predictor.logits({name: value[:2] for name, value in batch.items()})
    assert counted.get_total_flops() == 2 * predictor.flops(batch["input_ids"].shape[1])


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_loaded_stitch_is_the_one_saved_and_costs_what_runs(systems, pico_batches, tmp_path, direction):
    small, large, _ = systems(("a", "b", "c"))
    # The small model has two layers, the large one three: one cut each way.
    (cut,) = cuts(2, 3, direction)
    models, folders = (small.bert, large), (tmp_path / "small", tmp_path / "models" / "large")
    if direction == "large_to_small":
        models, folders = models[::-1], folders[::-1]
    widths = [model.config.hidden_size for model in models]
    joint = LinearMap(torch.randn(widths[1], widths[0]), torch.randn(widths[1]))
    head = LinearMap(torch.randn(3, widths[1]), torch.randn(3))
    parts, maps = dict(zip(("first", "second"), folders, strict=True)), {manifest.HEAD: head, manifest.JOINT: joint}
    manifest.write(tmp_path / "stitch", "stitch", parts, maps, cut=cut._asdict(), pooling="mean")
    predictor = load(tmp_path / "stitch")
    batch = pico_batches()[0]
    with torch.no_grad():
        expected = head(pool(Stitched(*models, cut, joint)(batch), batch["attention_mask"], "mean"))
    torch.testing.assert_close(predictor.logits(batch), expected, rtol=1e-5, atol=1e-5)
    with counting_flops() as counted:
        predictor.logits({name: value[:2] for name, value in batch.items()})
    assert counted.get_total_flops() == 2 * predictor.flops(batch["input_ids"].shape[1])
    assert predictor.flops(64) < load(tmp_path / "small").flops(64) + load(tmp_path / "probe").flops(64)


@pytest.mark.parametrize("labels", LABELS)
def test_an_ensemble_of_a_model_with_itself_is_the_model_and_of_others_their_mean(
    pico_classifier, pico_batches, tmp_path, labels
):
    models = [pico_classifier(seed, labels=labels) for seed in (1, 2)]
    folders = [tmp_path / f"seed-{seed}" for seed in (1, 2)]
    for model, folder in zip(models, folders, strict=True):
        save_model(model, folder)
    batch = pico_batches()[0]
    one, other = (model(**batch).logits.detach() for model in models)
    manifest.write(tmp_path / "same", "ensemble", {"a": folders[0], "b": folders[0]})
    assert load(tmp_path / "same").logits(batch).equal(one)
    manifest.write(tmp_path / "both", "ensemble", dict(zip("ab", folders, strict=True)))
    both = load(tmp_path / "both")
    torch.testing.assert_close(both.logits(batch), (one + other) / 2)
    assert both.flops(9) == 2 * load(folders[0]).flops(9)
    assert both.parameters == 2 * sum(parameter.numel() for parameter in models[0].parameters())
    with pytest.raises(ValueError, match="ensemble: 1 parts; there must be two or more"):
        manifest.write(tmp_path / "one", "ensemble", {"a": folders[0]})


def test_a_constant_answers_every_text_alike_and_costs_nothing(pico_batches, tmp_path):
    manifest.write(tmp_path / "majority", "constant", logits=[0.25, 0.75])
    predictor = load(tmp_path / "majority")
    assert predictor.logits(pico_batches()[0]).tolist() == [[0.25, 0.75]] * 4
    assert (predictor.flops(128), predictor.parameters, predictor.bytes) == (0, 0, 0)


def test_the_whole_tree_can_be_moved(systems, ensemble, pico_batches, tmp_path):
    systems(("no", "yes"))
    before = ensemble(0.5, (1.0, 1.0)).logits(pico_batches()[0])
    (tmp_path / "elsewhere").mkdir()
    for name in ("small", "models", "probe", "mix"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    assert torch.equal(load(tmp_path / "elsewhere" / "mix").logits(pico_batches()[0]), before)


@pytest.mark.parametrize(
    "part", ["small/model.safetensors", "probe/head.safetensors", "models/large/model.safetensors"]
)
@pytest.mark.parametrize("change", ["changed", "missing"])
def test_a_part_that_is_not_the_one_it_was_made_from_is_named(systems, ensemble, tmp_path, part, change):
    systems(("no", "yes"))
    ensemble(0.5, (1.0, 1.0))
    if change == "missing":
        (tmp_path / part).unlink()
    else:
        (tmp_path / part).write_bytes((tmp_path / part).read_bytes() + b" ")
    with pytest.raises(ValueError, match=f"{part}: (missing|not the file)") as error:
        load(tmp_path / "mix")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [{"kind": "magic"}, {"schema": 2}, {"beta": 1.0}])
def test_a_wrong_composite_is_refused(systems, tmp_path, change):
    systems(("no", "yes"))
    path = tmp_path / "probe" / manifest.FILE
    write_json(path, {**read_json(path), **change})
    with pytest.raises(ValueError, match="composite.json: "):
        load(tmp_path / "probe")


def test_a_folder_without_a_system_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no system"):
        load(tmp_path)
