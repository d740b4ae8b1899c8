import numpy as np
import pytest

from graft.config.tasks import Task
from graft.study.paths import Paths
from graft.study.runs import labels
from graft.tasks.prepare import prepare_task
from graft.tasks.tokens import tokenize_task


@pytest.fixture(scope="session")
def prepared_folder(pico_glue, pico_models, tmp_path_factory):
    """Pico SST-2 as `one_training` reads it."""
    root = tmp_path_factory.mktemp("prepared")
    spec = Task.model_validate({"source": {"kind": "tsv", "folder": str(pico_glue / "SST-2")}})
    data = Paths(root).data("sst2")
    prepare_task("sst2", spec, data, "x")
    tokenize_task(data, pico_models / "large", root / "tokens", "x")
    for split in ("train", "select"):
        np.save(root / f"{split}.npy", labels(Paths(root), "sst2", split))
    (root / "model").symlink_to(pico_models / "large")
    return root
