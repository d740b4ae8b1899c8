"""The report as a reader has it: in a browser, without network, with a mouse, a keyboard, a telephone, or on paper."""

import base64

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.conftest import HOSTILE

TABLE = "#table-rte"
ROWS = f"{TABLE} tbody tr"


@pytest.fixture
def page(browser, report):
    """The report, opened anew on a wide screen."""
    resize(browser, 1280)
    browser.get_log("browser")
    browser.get(report.as_uri())
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    # Whatever a test did: no script failed, and nothing was asked of the network.
    assert browser.get_log("browser") == []


def resize(browser, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def column(page, number):
    """The cells of a column as they stand."""
    return [row.find_elements(By.TAG_NAME, "td")[number].text.replace("\n", "") for row in rows(page)]


def rows(page):
    return page.find_elements(By.CSS_SELECTOR, ROWS)


def numbers(page):
    """The sort keys of the metric's column; what has none is last or first."""
    found = [row.find_elements(By.TAG_NAME, "td")[3].get_attribute("data-order") for row in rows(page)]
    return [float(value) for value in found if value]


def heading(page, number):
    return page.find_elements(By.CSS_SELECTOR, f"{TABLE} thead th")[number]


def wait_until(page, holds):
    """The table is drawn a moment after a click or a key."""
    WebDriverWait(page, 10, ignored_exceptions=[StaleElementReferenceException]).until(lambda _: holds())


def wait_for_order(page, number, order):
    wait_until(page, lambda: heading(page, number).get_attribute("aria-sort") == order)


def test_only_the_page_itself_is_loaded(page):
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    assert loaded == [] and "report" in page.title


def test_text_of_a_study_stays_text(page):
    assert page.title == "s: report" and not page.find_elements(By.TAG_NAME, "img")
    assert HOSTILE in page.find_element(By.ID, "answer").text


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it_round(page):
    heading(page, 3).click()
    wait_for_order(page, 3, "ascending")
    up = numbers(page)
    assert up == sorted(up)
    heading(page, 3).click()
    wait_for_order(page, 3, "descending")
    assert numbers(page) == up[::-1]


def test_the_keyboard_sorts_too(page):
    page.find_element(By.CSS_SELECTOR, "#task-rte input[type=search]").click()
    # From the filter over the table's box to its headings.
    for wanted in ("region", "button"):
        ActionChains(page).send_keys(Keys.TAB).perform()
        assert page.switch_to.active_element.get_attribute("role") == wanted
    ActionChains(page).send_keys(Keys.ENTER).perform()
    wait_for_order(page, 0, "ascending")
    names = column(page, 0)
    assert names == sorted(names)


@pytest.mark.parametrize("text", ["control.head-only", "labelled"])
def test_typing_filters_rows(page, text):
    every = column(page, 0)
    field = page.find_element(By.CSS_SELECTOR, "#task-rte input[type=search]")
    assert page.find_element(By.CSS_SELECTOR, f"label[for='{field.get_attribute('id')}']").text == "Filter"
    field.send_keys(text)
    having = [name for name in every if text in name]
    wait_until(page, lambda: column(page, 0) == having != [])
    field.clear()
    field.send_keys("no such thing")
    wait_until(page, lambda: [row.text for row in rows(page)] == ["No row has this."])


def unfold(page):
    page.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")


def test_the_answer_is_on_the_first_screen(page):
    table = page.find_element(By.ID, "table-answer")
    assert table.rect["y"] + table.rect["height"] < 500
    assert all(name in table.text for name in ("from-scratch", "small-given", "does merging pay?"))


def test_of_a_task_a_table_and_two_figures_are_seen_and_the_rest_is_folded_away(page):
    seen = [one for one in page.find_elements(By.CSS_SELECTOR, "#task-rte :is(figure, table)") if one.is_displayed()]
    assert [one.tag_name for one in seen] == ["figure", "figure", "table"]
    folded = page.find_element(By.CSS_SELECTOR, "#task-rte details.more")
    folded.find_element(By.TAG_NAME, "summary").click()
    assert all(one.is_displayed() for one in folded.find_elements(By.TAG_NAME, "figure"))


def test_a_link_opens_what_it_leads_to(page):
    page.find_element(By.CSS_SELECTOR, "nav a[href='#more-1']").click()
    wait_until(page, page.find_element(By.ID, "table-more-1").is_displayed)


def test_no_table_scrolls_sideways_at_1280_pixels(page):
    unfold(page)
    cut = page.execute_script(
        "return [...document.querySelectorAll('table')].filter(one => one.offsetWidth > "
        "(one.closest('.dt-layout-table') || one.parentElement).clientWidth).map(one => one.id)"
    )
    assert cut == []


def test_every_figure_is_drawn(page):
    unfold(page)
    figures = page.find_elements(By.CSS_SELECTOR, "figure svg")
    assert len(figures) >= 7
    for figure in figures:
        box = page.execute_script("const b = arguments[0].getBBox(); return [b.width, b.height]", figure)
        assert min(box) > 100
        assert page.execute_script("return arguments[0].querySelectorAll('path, use').length", figure) > 20
    # The references to letters and markers lead somewhere.
    broken = page.execute_script(
        "return [...document.querySelectorAll('svg use')].map(one => one.getAttribute('xlink:href'))"
        ".filter(to => !document.getElementById(to.slice(1)))"
    )
    assert broken == []


def test_what_did_not_lose_and_what_failed_is_seen_first(page):
    alarm = page.find_element(By.CSS_SELECTOR, "[role=alert]")
    assert "control.head-only.labelled" in alarm.text and alarm.rect["y"] < 400
    assert "Of " in page.find_element(By.ID, "answer").text
    assert "not started" in page.find_element(By.ID, "table-absent").text


@pytest.mark.parametrize("width", [1280, 400, 320])
def test_the_page_never_scrolls_sideways_and_wide_tables_do_so_in_their_box(page, width):
    resize(page, width)
    sizes = page.execute_script(
        "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
    )  # a scroll bar takes some of the width
    assert sizes[0] <= sizes[1] <= width
    box = page.find_element(By.CSS_SELECTOR, "#task-rte .dt-layout-table")
    if width <= 400:
        assert page.execute_script("return arguments[0].scrollWidth > arguments[0].clientWidth", box)
        # By keyboard as well.
        assert box.get_attribute("tabindex") == "0"
        box.send_keys(Keys.ARROW_RIGHT)
        ActionChains(page).pause(0.5).perform()
        assert page.execute_script("return arguments[0].scrollLeft", box) > 0
        # Names of systems, and their heading, stay where they were.
        left = "return arguments[0].getBoundingClientRect().left"
        edge = page.execute_script(left, box)
        for cell in ("th:first-child", "td.name"):
            found = page.execute_script(left, box.find_element(By.CSS_SELECTOR, cell))
            assert abs(found - edge) < 2, cell


def test_it_prints_with_every_column_on_the_page(page):
    # A4 on its side, less its margins, in pixels of 1/96 inch.
    resize(page, round((297 - 24) / 25.4 * 96))
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    cut = page.execute_script(
        "const wide = document.documentElement.clientWidth;"
        "return [...document.querySelectorAll('table, svg, figcaption')]"
        ".filter(one => one.getBoundingClientRect().right > wide + 1).map(one => one.id || one.tagName)"
    )
    assert cut == []
    assert not page.find_element(By.CSS_SELECTOR, "input[type=search]").is_displayed()
    printed = page.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
    pdf = base64.b64decode(printed["data"])
    assert pdf.startswith(b"%PDF-") and 3 <= pdf.count(b"/Type /Page\n") <= 15


def test_without_scripts_the_tables_are_there(browser, report):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(report.as_uri())
        assert len(browser.find_elements(By.CSS_SELECTOR, ROWS)) == 11
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
