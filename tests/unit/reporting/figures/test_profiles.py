import numpy as np
import pytest

from graft.reporting import captions, csv_files
from graft.reporting.figures import profiles
from tests.unit.reporting.figures.conftest import THESEUS

AGGREGATE = ("system", "tasks", "iqm", "iqm_low")


@pytest.fixture
def profile_of(source_of, paths):
    """The profiles of a study with so many seeds, of two of its systems."""

    def made(seeds):
        paths.tables.mkdir(parents=True, exist_ok=True)
        low = 0.8 if seeds >= 5 else ""
        lines = [AGGREGATE, ("finetune.big", "rte", 1.0, low), (THESEUS, "rte", 0.9, low)]
        text = "\n".join(",".join(map(str, line)) for line in lines)
        (paths.tables / csv_files.AGGREGATE).write_text(f"{text}\n")
        return profiles.data(source_of(seeds))

    return made


def test_the_share_of_runs_above_a_score_falls_from_one_to_nothing(profile_of):
    data = profile_of(6)
    assert set(data["task"]) == {captions.ALL_TASKS} and list(dict.fromkeys(data["system"])) == [
        "finetune.big",
        THESEUS,
    ]
    own = data[data["system"] == THESEUS].drop(columns=["task", "tasks", "system"]).astype(float)
    assert own["share"].iloc[0] == 1 and own["share"].iloc[-1] == 0 and (np.diff(own["share"]) <= 0).all()
    assert (own["low"] <= own["share"]).all() and (own["share"] <= own["high"]).all()
    # Half of its runs are 0.850, the others 0.860; the reference's mean is 0.885, and one label is right in 0.5.
    for score, share in ((0.90, 1), (0.92, 0.5), (0.94, 0)):
        (found,) = own[np.isclose(own["score"], score)]["share"]
        assert found == share


def test_few_seeds_have_a_line_and_no_band(profile_of):
    data = profile_of(2)
    assert data["share"].notna().all() and data[["low", "high"]].isna().all(axis=None)


def test_every_system_has_its_line(profile_of):
    figure = profiles.draw(profile_of(6))
    assert [line.get_label() for line in figure.axes[0].lines] == ["finetune.big", "merge.theseus.labelled"]


def test_without_the_table_of_all_tasks_there_is_nothing_to_draw(source):
    assert not len(profiles.data(source))
