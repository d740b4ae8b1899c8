"""The documentation as a site: every link of it leads somewhere, and it is read and searched without any network."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.workflow.conftest import ROOT

# Scripts, styles and figures of a page, as addresses.
LOADED = (
    "return [...document.querySelectorAll('script[src], link[rel=stylesheet], img')].map(one => one.src || one.href)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as `make docs` builds it: strictly, so that a link, an anchor or a page that leads nowhere fails."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_in_it_and_so_are_the_files_that_pages_link_to(site):
    pages = [page.stem for page in (ROOT / "docs").glob("*.md")]
    assert pages and all((site / "docs" / f"{page}.html").is_file() for page in pages)
    for name in ("index.html", "results/index.html", "profiles/slurm/index.html", "config.yaml", "docs/demo.svg"):
        assert (site / name).is_file(), name


@pytest.mark.parametrize("page", ["index.html", "docs/methods.html", "profiles/slurm/index.html"])
def test_nothing_is_loaded_from_the_network(browser, site, page):
    browser.get_log("browser")
    browser.get((site / page).as_uri())
    loaded = browser.execute_script(LOADED)
    assert loaded and all(address.startswith("file:") for address in loaded), loaded
    # Nor did a script ask for anything.
    assert browser.get_log("browser") == []


def test_it_is_searched_from_the_disk(browser, site):
    browser.get(f"{(site / 'index.html').as_uri()}?q=spacewise")
    WebDriverWait(browser, 30).until(
        lambda page: "Merge methods" in page.find_element(By.CSS_SELECTOR, ".md-search-result__list").text
    )


def test_a_heading_has_the_anchor_that_it_has_on_a_forge(site):
    assert 'id="tasksnamesource-kind-hub"' in (site / "docs" / "configuration.html").read_text()


def test_the_demo_s_report_is_part_of_the_site_where_the_demo_has_run(tmp_path, monkeypatch):
    from docs import site as hooks

    monkeypatch.setattr(hooks, "ROOT", tmp_path)
    page = SimpleNamespace(file=SimpleNamespace(src_uri=hooks.DEMO))
    text = (ROOT / hooks.DEMO).read_text()
    assert "without its report" in hooks.on_page_markdown(text, page=page)
    (tmp_path / hooks.REPORT).parent.mkdir(parents=True)
    (tmp_path / hooks.REPORT).write_text("<html></html>")
    assert f"](../{hooks.REPORT})" in hooks.on_page_markdown(text, page=page)
