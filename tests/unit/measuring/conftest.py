"""A saved system of every kind, of shapes whose numbers do not divide one another."""

import pytest
import torch

from graft.config.systems import LoraSystem
from graft.encoders.models import config_of, load_classifier, load_encoder, set_labels
from graft.encoders.network import Classifier
from graft.encoders.saving import save_model
from graft.merging.classifier_heads.head import Head
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite import manifest
from graft.merging.composite.calm.maths import Calm
from graft.merging.composite.ladder.maths import Ladder
from graft.merging.composite.side_tuning.maths import SideTuned
from graft.merging.saving import save_classifier
from graft.registry import depth
from graft.registry.cuts import cuts
from graft.registry.shapes import Shape

SMALL, LARGE = (Shape(*sizes, vocabulary=60, positions=128) for sizes in ((2, 8, 2, 20), (5, 18, 3, 30)))


def _save(model, folder):
    folder.mkdir()
    save_model(model, folder)


def _classifier(shape, labels, folder):
    config = config_of(shape)
    set_labels(config, labels)
    model = Classifier(config).eval()
    _save(model, folder)
    return model


def _map(outputs, width):
    return LinearMap(torch.randn(outputs, width), torch.randn(outputs))


def _as_merge(root, labels, outputs):
    """A weights merge: the large body under another head."""
    body, width = load_encoder(root / "encoder").state_dict(), LARGE.width
    head = Head(torch.eye(width), torch.zeros(width), torch.randn(outputs, width), torch.randn(outputs))
    save_classifier(body, head, root / "encoder", labels, root / "merge")


def _as_lora(root, labels):
    """Adapters that were added to the weights."""
    from graft.training.adapters import with_adapters, without_adapters

    tuned = without_adapters(with_adapters(_classifier(LARGE, labels, root / "before"), LoraSystem()))
    _save(tuned, root / "lora")


@pytest.fixture
def saved_systems(tmp_path):
    """Writes a system of every kind; returns folders by what they are."""

    def make(labels=("no", "yes")):
        torch.manual_seed(0)
        outputs, pooling = len(labels or ("score",)), "mean"
        _classifier(SMALL, labels, tmp_path / "small")
        large = _classifier(LARGE, labels, tmp_path / "large")
        _save(large.bert, tmp_path / "encoder")
        _classifier(LARGE, labels, tmp_path / "other")
        _as_merge(tmp_path, labels, outputs)
        _as_lora(tmp_path, labels)
        mapped = depth.uniform(SMALL.layers, LARGE.layers)
        at = {name: tmp_path / name for name in ("small", "large", "other", "encoder", "probe")}
        both, head = {"small": at["small"], "large": at["encoder"]}, _map(outputs, LARGE.width)
        cut = cuts(SMALL.layers, LARGE.layers)[0]

        def write(kind, parts, maps=None, **fields):
            manifest.write(tmp_path / kind, kind, parts, maps, **fields)

        write("probe", {"encoder": at["encoder"]}, {manifest.HEAD: head}, pooling=pooling)
        layers = {manifest.HEAD: _map(outputs, 2 * LARGE.width)}
        write("layers_probe", {"encoder": at["encoder"]}, layers, states=[(3, "cls"), (3, "mean")])
        joined = {manifest.HEAD: _map(outputs, SMALL.width + LARGE.width)}
        write("concat_probe", both, joined, pooling=pooling)
        stitched = {manifest.JOINT: _map(LARGE.width, SMALL.width), manifest.HEAD: head}
        ends = {"first": at["small"], "second": at["encoder"]}
        write("stitch", ends, stitched, cut=cut._asdict(), pooling=pooling)
        write("logit_ensemble", {"small": at["small"], "probe": at["probe"]}, beta=0.5, scales=None)
        tuned = {"probe": at["probe"], "tuned": at["small"], "untuned": at["small"]}
        write("proxy_tuning", tuned, alpha=0.5, scales=None)
        write("ensemble", {"seed-0": at["large"], "seed-1": at["other"]})
        modules = {
            "side_tuning": (SideTuned(load_classifier(at["small"]).bert, head, pooling), {"pooling": pooling}),
            "ladder": (Ladder(load_classifier(at["small"]), LARGE.width, mapped), {"depth_map": mapped}),
            "calm": (
                Calm(SMALL, len(mapped), head, pooling, seed=0),
                {"depth_map": mapped, "pooling": pooling},
            ),
        }
        for kind, (module, fields) in modules.items():
            write(kind, both, {manifest.TRAINED: module.state_dict()}, **fields)
        write("constant", None, logits=[0.5] * outputs)
        finetuned = {"finetune": at["large"], "merge": tmp_path / "merge", "lora": tmp_path / "lora"}
        return finetuned | {kind: tmp_path / kind for kind in manifest.KINDS}

    return make
