"""Tests that need a GPU; elsewhere all of them are skipped."""

from pathlib import Path

import pytest
import torch

from tests.unit.training.conftest import prepared_folder as prepared_folder
from tests.workflow.conftest import write_config as write_config


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="torch sees no GPU here"))
