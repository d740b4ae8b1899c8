import torch
from safetensors.torch import save_file

from graft.reporting.figures import similarity
from graft.study.steps.calibrate import Calibrate


def test_layers_are_drawn_with_the_depth_maps_that_join_them(written):
    folder = Calibrate("rte", "tiny-into-big", "uniform").output(written.paths).parent
    folder.mkdir(parents=True)
    cka = torch.rand(3, 5, dtype=torch.float64)
    save_file({"cka": cka}, folder / "statistics.safetensors")
    data = similarity.data(written)
    assert len(data) == 15 and data["cka"].tolist() == cka.flatten().tolist()
    # 2 layers into 4, evenly spread: the second and the fourth, counted from 1.
    joined = data[data["depths"] == "uniform"]
    assert joined[["small_layer", "large_layer"]].values.tolist() == [[1, 2], [2, 4]]
    (axis,) = similarity.draw(data).axes
    assert len([line for line in axis.lines if line.get_marker() == "o"]) == 2
