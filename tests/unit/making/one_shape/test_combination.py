import pytest
import torch
from safetensors.torch import load_file

from graft.config.study import MEMBER_SEEDS
from graft.encoders.models import new_classifier
from graft.encoders.saving import save_model
from graft.io.progress import silent
from graft.making.one_shape.combination import Combination
from graft.merging.homogeneous import folders
from graft.merging.homogeneous.fisher import Fisher
from graft.merging.homogeneous.orders import Order
from tests.unit.making.one_shape.test_soups import MEMBERS

SOUP = "soup.fisher.large"


@pytest.fixture(scope="module")
def study(make):
    return make({"soup": {"members": 2, "methods": {"fisher": {}}}}, (SOUP,))


@pytest.fixture
def one(study):
    return Combination(study.grid, study.paths, "rte", study.grid.systems[SOUP], "all", "cpu", lambda *_: None)


def test_the_sources_of_a_soup_are_its_members_with_their_statistics(one, study):
    assert [source.folder for source in one.sources] == [study.folder("member.large", seed) for seed in MEMBERS[:2]]
    for source, seed in zip(one.sources, MEMBERS[:2], strict=True):
        assert source.made["seed"] == seed and source.statistics.is_file()
        assert source.flops.keys() == {
            *source.made["train_flops_parts"], f"fisher.member.large/rte/seed-{seed}"
        }  # fmt: skip
    assert one.sources_flops() == one.sources[0].flops | one.sources[1].flops


def test_a_member_is_scored_as_it_was_when_it_was_made(one, study):
    from graft.encoders.models import load_classifier

    for source in one.sources:
        told = source.made["select"]["value"]
        assert one.score("rte", load_classifier(source.folder)) == pytest.approx(told, abs=1e-6)
    parts = one.sources[0].made["train_flops_parts"]
    (on_select,) = [count for part, count in parts.items() if part.endswith("/select")]
    assert one.select_flops("rte") == on_select


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_merging_in_memory_gives_what_merging_folders_gives(one, study, strength, tmp_path, monkeypatch):
    base = new_classifier(one.pretrained, ("entailment", "not_entailment"), MEMBER_SEEDS)
    (tmp_path / "base").mkdir()
    save_model(base, tmp_path / "base")
    models = tuple(source.folder for source in one.sources)
    order = Order(
        "fisher",
        models,
        tmp_path / "merged",
        base=None if strength == 1 else tmp_path / "base",
        strength=strength,
        statistics=tuple(source.statistics.parent for source in one.sources),
    )
    folders.merge(order, silent)
    expected = load_file(tmp_path / "merged" / "model.safetensors")
    with one.merging(one.sources, base.state_dict) as merged:
        found, plan = merged(strength)
    assert found.keys() == expected.keys() and all(found[name].equal(expected[name]) for name in found)
    assert ("base" in plan.sources) == (strength != 1)


def test_one_survey_is_for_all_strengths_and_hidden_tensors_stay_out(one, monkeypatch):
    asked, survey = [], Fisher.survey
    monkeypatch.setattr(Fisher, "survey", lambda self, *given: asked.append(given) or survey(self, *given))
    base = new_classifier(one.pretrained, ("entailment", "not_entailment"), MEMBER_SEEDS).state_dict()
    with one.merging(one.sources, lambda: base, hidden=("classifier.",)) as merged:
        half, twice = (merged(strength)[0] for strength in (0.5, 2.0))
    assert len(asked) == 1 and half.keys() == {name for name in base if not name.startswith("classifier.")}
    for name, tensor in half.items():
        torch.testing.assert_close(twice[name] - base[name], 4 * (tensor - base[name]), rtol=1e-4, atol=1e-6)
