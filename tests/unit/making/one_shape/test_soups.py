"""Soups of a study: what is averaged, what is chosen on select, what it took."""

import pytest
import torch
from safetensors.torch import load_file

from graft.config.study import MEMBER_SEEDS
from graft.io import files
from graft.merging.card import CARD

MEMBERS = [MEMBER_SEEDS + i for i in range(3)]
METHODS = {"uniform": {}, "greedy": {}, "ties": {"strengths": [0.5, 1.0]}, "fisher": {}}


@pytest.fixture(scope="module")
def study(make):
    return make({"soup": {"members": 3, "methods": METHODS}}, ("soup.*.large",))


def soup(method):
    return f"soup.{method}.large"


def weights(study, name, seed="all"):
    return load_file(study.folder(name, seed) / "model.safetensors")


@pytest.mark.parametrize("method", METHODS)
def test_a_saved_soup_has_the_score_that_is_told(study, method):
    told = study.built(soup(method), "all")["select"]["value"]
    assert study.score(study.logits(soup(method), "all")) == pytest.approx(told, abs=1e-6)


def test_a_uniform_soup_is_the_mean_of_all_members_and_nothing_is_chosen(study):
    members = [weights(study, "member.large", seed) for seed in MEMBERS]
    for name, tensor in weights(study, soup("uniform")).items():
        mean = torch.stack([member[name].double() for member in members]).mean(0)
        torch.testing.assert_close(tensor.double(), mean, rtol=0, atol=1e-6)
    assert study.built(soup("uniform"), "all")["choices"] == []


def test_a_greedy_soup_begins_with_the_best_member_and_is_no_worse(study):
    built = study.built(soup("greedy"), "all")
    (choice,) = built["choices"]
    alone = {seed: study.built("member.large", seed)["select"]["value"] for seed in MEMBERS}
    assert [(p["value"], p["score"]) for p in choice["searched"][:3]] == [([seed], alone[seed]) for seed in MEMBERS]
    assert alone[choice["chosen"][0]] == max(alone.values()) <= built["select"]["value"]
    assert built["hyperparameters"]["members"] == len(choice["chosen"])
    members = [weights(study, "member.large", seed) for seed in choice["chosen"]]
    for name, tensor in weights(study, soup("greedy")).items():
        torch.testing.assert_close(tensor, torch.stack([m[name] for m in members]).mean(0), rtol=0, atol=1e-6)


def test_a_strength_is_chosen_on_select(study):
    built = study.built(soup("ties"), "all")
    (choice,) = built["choices"]
    scores = {point["value"]: point["score"] for point in choice["searched"]}
    assert list(scores) == [0.5, 1.0] and built["select"]["value"] == scores[choice["chosen"]] == max(scores.values())


@pytest.mark.parametrize("method", METHODS)
def test_flops_are_those_of_all_members_even_of_those_left_out(study, method):
    parts = study.built(soup(method), "all")["train_flops_parts"]
    for seed in MEMBERS:
        assert study.built("member.large", seed)["train_flops_parts"].items() < parts.items()
    own = f"{soup(method)}/rte/seed-all"
    assert {f"{own}/merge", f"{own}/select"} < parts.keys()
    tried = {"uniform": 1, "greedy": 2, "ties": 2, "fisher": 1}[method]
    once = study.built(soup("uniform"), "all")["train_flops_parts"][f"{soup('uniform')}/rte/seed-all/select"]
    assert parts[f"{own}/select"] == tried * once
    assert any(part.startswith("fisher.") for part in parts) == (method == "fisher")


def test_nothing_of_the_search_stays_and_the_card_names_the_members(study):
    for method in METHODS:
        folder = study.folder(soup(method), "all")
        assert not files.leftovers(folder.parent)
        card = (folder / CARD).read_text()
        named = [seed for seed in MEMBERS if f"rte seed-{seed}" in card]
        (choice,) = study.built(soup(method), "all")["choices"] or [None]
        assert set(named) == set(choice["chosen"] if method == "greedy" else MEMBERS)
        assert (folder / "vocab.txt").is_file()
