import numpy as np
from safetensors.numpy import save_file

from graft.merging.homogeneous.regmean import GRAM, damped
from tests.unit.merging.homogeneous.making import alone

MODELS = np.array([[[1, 2], [3, 4]], [[3, 6], [5, 0]]])


def folders(root, *grams):
    made = []
    for i, gram in enumerate(grams):
        (root / f"gram{i}").mkdir(parents=True)
        save_file({"layer.weight": np.array(gram, np.float32)}, root / f"gram{i}" / GRAM)
        made.append(root / f"gram{i}")
    return tuple(made)


def test_with_diagonal_gram_matrices_columns_are_weighted_means(tmp_path):
    statistics = folders(tmp_path / "s", [[1, 0], [0, 3]], [[1, 0], [0, 1]])
    result = alone(tmp_path / "m", "regmean", MODELS, statistics=statistics)
    assert np.allclose(result, [[2, 3], [4, 3]])


def test_it_computes_nearly_what_both_models_do_on_their_inputs(tmp_path):
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((2, 30, 2))
    statistics = folders(tmp_path / "s", *(x.T @ x for x in inputs))
    result = alone(tmp_path / "m", "regmean", MODELS, statistics=statistics, options={"off_diagonal": 1.0})
    stacked = np.concatenate(inputs), np.concatenate([x @ m.T for x, m in zip(inputs, MODELS, strict=True)])
    assert np.allclose(result, np.linalg.lstsq(*stacked)[0].T, atol=1e-5)


def test_off_diagonals_are_damped():
    assert np.allclose(damped(np.array([[2.0, 1], [1, 4]]), 0.9), [[2, 0.9], [0.9, 4]])


def test_an_input_that_no_model_ever_saw_is_averaged(tmp_path):
    statistics = folders(tmp_path / "s", [[1, 0], [0, 0]], [[3, 0], [0, 0]])
    assert np.allclose(alone(tmp_path / "m", "regmean", MODELS, statistics=statistics), [[2.5, 4], [4.5, 2]])


def test_tensors_without_gram_matrices_are_averaged(tmp_path):
    statistics = folders(tmp_path / "s", np.eye(2), np.eye(2))
    for folder in statistics:
        save_file({}, folder / GRAM)
    assert np.allclose(alone(tmp_path / "m", "regmean", MODELS, statistics=statistics), MODELS.mean(axis=0))
