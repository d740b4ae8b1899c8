import pytest

from graft.config.tasks import Task
from graft.tasks.prepare import prepare_task
from graft.tasks.tokens import TokenisedSplit, tokenize_task


@pytest.fixture(scope="session")
def tokens(pico_glue, pico_models, tmp_path_factory) -> TokenisedSplit:
    """The train split of pico RTE in the tokens of the large model."""
    root = tmp_path_factory.mktemp("rte")
    spec = Task.model_validate({"source": {"kind": "tsv", "folder": str(pico_glue / "RTE")}})
    prepare_task("rte", spec, root / "data", "x")
    tokenize_task(root / "data", pico_models / "large", root / "tokens", "x")
    return TokenisedSplit.load(root / "tokens", "train")
