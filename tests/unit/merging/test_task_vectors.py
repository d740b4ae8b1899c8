import pytest
import torch

from graft.merging.task_vectors import finetuned_with

BEFORE = {"a": torch.zeros(4, 5, dtype=torch.float64), "b": torch.ones(3, dtype=torch.float64)}
AFTER = {"a": torch.arange(20.0).double().reshape(4, 5), "b": torch.ones(3).double()}


@pytest.mark.parametrize("change", ["shuffled", "random"])
def test_a_meaningless_change_keeps_every_tensors_norm_and_nothing_else(change):
    changed = finetuned_with(change, BEFORE, AFTER, seed=0)
    for name, before in BEFORE.items():
        torch.testing.assert_close((changed[name] - before).norm(), (AFTER[name] - before).norm())
    assert not torch.allclose(changed["a"], AFTER["a"])
    if change == "shuffled":
        assert torch.equal((changed["a"]).flatten().sort().values, AFTER["a"].flatten())


@pytest.mark.parametrize("change", ["shuffled", "random"])
def test_it_depends_on_the_seed_and_the_tensors_name_alone(change):
    one, again, other = (finetuned_with(change, BEFORE, AFTER, seed)["a"] for seed in (0, 0, 1))
    assert torch.equal(one, again) and not torch.equal(one, other)
    alone = finetuned_with(change, {"a": BEFORE["a"]}, {"a": AFTER["a"]}, 0)["a"]
    assert torch.equal(one, alone)


@pytest.mark.parametrize("change", ["shuffled", "random"])
def test_in_embedding_tables_every_row_keeps_its_own_norm(change):
    name = "embeddings.word_embeddings.weight"
    changed = finetuned_with(change, {name: BEFORE["a"]}, {name: AFTER["a"]}, seed=0)[name]
    torch.testing.assert_close(changed.norm(dim=1), AFTER["a"].norm(dim=1))
    assert not torch.allclose(changed, AFTER["a"])


def test_the_models_own_change_is_left_alone_and_others_are_refused():
    assert finetuned_with("finetuned", BEFORE, AFTER, 0) is AFTER
    with pytest.raises(ValueError, match="no change is called 'zero'; available: finetuned, shuffled, random"):
        finetuned_with("zero", BEFORE, AFTER, 0)
