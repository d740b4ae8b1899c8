import numpy as np
import pytest
from safetensors.numpy import save_file

from graft.merging.homogeneous.fisher import FISHER
from tests.unit.merging.homogeneous.making import alone

MODELS = [[[1, 2], [3, 4]], [[3, 6], [5, 0]]]
PLAIN = {"normalise": False, "floor": 0}


def folders(root, *values):
    made = []
    for i, value in enumerate(values):
        folder = root / f"fisher{i}"
        folder.mkdir(parents=True)
        save_file({"layer.weight": np.array(value, np.float32)}, folder / FISHER)
        made.append(folder)
    return tuple(made)


def test_each_number_counts_by_its_fisher_value(tmp_path):
    statistics = folders(tmp_path / "s", [[1, 1], [2, 0]], [[3, 1], [0, 4]])
    result = alone(tmp_path / "m", "fisher", MODELS, statistics=statistics, options=PLAIN)
    assert np.allclose(result, [[2.5, 4], [3, 0]])
    weighted = alone(tmp_path / "m", "fisher", MODELS, statistics=statistics, options=PLAIN, weights=(3.0, 1.0))
    assert np.allclose(weighted, [[2, 3], [3, 0]])


def test_the_floor_makes_a_mean_of_numbers_that_no_model_depends_on(tmp_path):
    statistics = folders(tmp_path / "s", np.zeros((2, 2)), np.zeros((2, 2)))
    options = {"normalise": False, "floor": 1e-6}
    result = alone(tmp_path / "m", "fisher", MODELS, statistics=statistics, options=options)
    assert np.allclose(result, np.mean(MODELS, axis=0))


def test_normalised_a_models_own_scale_does_not_count(tmp_path):
    values = np.array([[1, 2], [3, 4]]), np.array([[4, 1], [1, 2]])
    statistics = folders(tmp_path / "s", *values) + folders(tmp_path / "t", values[0] * 100, values[1])
    options = {"floor": 0}
    one, other = (
        alone(tmp_path / "m", "fisher", MODELS, statistics=pair, options=options)
        for pair in (statistics[:2], statistics[2:])
    )
    assert np.allclose(one, other)
    shares = [value / np.linalg.norm(value) for value in values]
    expected = sum(s * np.array(m) for s, m in zip(shares, MODELS, strict=True)) / sum(shares)
    assert np.allclose(one, expected)


def test_statistics_of_nothing_are_an_error(tmp_path):
    statistics = folders(tmp_path / "s", np.zeros((2, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match="every Fisher value is 0"):
        alone(tmp_path / "m", "fisher", MODELS, statistics=statistics)
