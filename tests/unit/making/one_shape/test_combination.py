import pytest

from graft.io import files
from graft.making.one_shape.combination import Combination, scratch
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
    from graft.encoders.bert import load_classifier

    for source in one.sources:
        told = source.made["select"]["value"]
        assert one.score("rte", load_classifier(source.folder)) == pytest.approx(told, abs=1e-6)
    parts = one.sources[0].made["train_flops_parts"]
    (on_select,) = [count for part, count in parts.items() if part.endswith("/select")]
    assert one.select_flops("rte") == on_select


def test_scratch_is_gone_at_the_end_and_known_as_unfinished_until_then(tmp_path):
    with pytest.raises(KeyError), scratch(tmp_path / "run") as folder:
        (folder / "merged").mkdir()
        assert files.leftovers(tmp_path)
        raise KeyError
    assert not list((tmp_path / "run").iterdir())
