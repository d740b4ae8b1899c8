"""A headless Chromium without network, and reports to open in it."""

import os
import shutil
from pathlib import Path

import pytest

from graft.reporting import tables
from graft.study.grid import Grid
from graft.study.paths import Paths
from tests.unit.reporting.conftest import study_of, write_record

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing answers there: whatever a page asked for would fail, and be in the console.
    "--proxy-server=127.0.0.1:9",
)
HOSTILE = "<script>document.title='taken over'</script><img src='http://example.org/x.png' onerror='alert(1)'>"


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One browser for all tests; skipped where there is none."""
    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver here; Debian's packages are chromium and chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The driver is asked on this machine, whatever proxy stands in the environment.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "localhost,127.0.0.1"
    started = webdriver.Chrome(options=options, service=Service(driver))
    yield started
    started.quit()


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    """The report of a study with every kind of system, a control that wins, missing runs, and a hostile note."""
    paths = Paths(tmp_path_factory.mktemp("browser") / "results" / "s")
    study = study_of()
    notes = {name: model.model_copy(update={"note": HOSTILE}) for name, model in study.models.items()}
    study = study.model_copy(update={"models": notes})
    grid = Grid(study.model_copy(update={"statistics": study.statistics.model_copy(update={"draws": 400})}))
    means = {"finetune.big": 0.9, "finetune.tiny": 0.85, "majority": 0.5}
    for number, name in enumerate(grid.systems):
        seeds = (0, 1, 2) if grid.systems[name].seeded else ("all",)
        for seed in seeds[: 2 if "label-free" in name else 3]:
            mean = means.get(name, 0.95 if name.startswith("control.head-only.labelled") else 0.6 + number / 100)
            write_record(grid, paths, name, seed, mean + (seed == 1) / 100, train_flops=10 * (number + 1))
    tables.write_runs(grid, paths)
    tables.write_comparison(grid, paths)
    tables.write_costs(grid, paths)
    tables.write_figures(grid, paths)
    tables.write_report(grid, paths)
    return paths.report
