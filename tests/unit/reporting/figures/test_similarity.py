import torch

from graft.io import files
from graft.reporting.figures import similarity
from graft.study.steps.calibrate import Calibrate


def test_layers_are_drawn_with_the_depth_maps_that_join_them(written):
    cka = torch.rand(3, 5, dtype=torch.float64)
    files.write_json(Calibrate("rte", "tiny-into-big", "midpoints").similarity(written.paths), cka.tolist())
    data = similarity.data(written)
    assert len(data) == 15 and data["cka"].tolist() == cka.flatten().tolist()
    # 2 layers into 4, each followed by a new one, counted from 1.
    joined = data[data["depths"] == "midpoints"]
    assert joined[["small_layer", "large_layer"]].values.tolist() == [[1, 1], [1, 2], [2, 3], [2, 4]]
    (axis,) = similarity.draw(data).axes
    assert len([line for line in axis.lines if line.get_marker() == "v"]) == 4
