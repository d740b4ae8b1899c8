import dataclasses
import os
import re
from html.parser import HTMLParser

import pytest

from graft.reporting.documents import Cell, Section
from graft.reporting.page import rendering
from graft.reporting.page.cards import Card
from graft.reporting.page.contents import TaskPart
from tests.unit.reporting.page.conftest import HEAD_ONLY, THESEUS

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&${{7*7}}"
VALUES = {"finetune.big": {0: 0.9, 1: 0.91}, "finetune.tiny": {0: 0.8, 1: 0.8}, THESEUS: {0: 0.7, 1: 0.72}}


class Tags(HTMLParser):
    """Tags and ids of a page; `open` is empty where all are closed."""

    VOID = ("meta", "br", "input", "wbr", "path", "use", "circle", "rect")

    def __init__(self):
        super().__init__()
        self.found, self.open, self.ids = [], [], []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def read(page):
    tags = Tags()
    tags.feed(page)
    return tags


def test_the_page_is_whole_and_its_ids_are_unique(page, paths):
    tags = read(page(VALUES))
    assert tags.open == [] and len(tags.ids) == len(set(tags.ids))
    drawn = len([*paths.figures.glob("*.svg")])
    assert sum(tag == "figure" for tag, _ in tags.found) == sum(tag == "svg" for tag, _ in tags.found) == drawn > 6


def test_the_page_fetches_nothing(page):
    text = page(VALUES)
    for tag, attributes in read(text).found:
        assert tag not in ("link", "img", "iframe", "object"), tag
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith(("#", "https://arxiv.org/abs/"))
    assert not re.search(r"@import|url\((?!#)", re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
    (policy,) = [a["content"] for t, a in read(text).found if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "script-src 'sha256-" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1]


def test_references_inside_of_a_figure_lead_to_its_own_parts(page):
    text = page(VALUES)
    for figure in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ids = set(re.findall(r' id="([^"]+)"', figure))
        referred = set(re.findall(r'xlink:href="#([^"]+)"|url\(#([^)]+)\)', figure))
        assert referred and {one or other for one, other in referred} <= ids


def test_no_text_of_a_study_becomes_html(reported):
    contents = reported(VALUES)
    section = Section(HOSTILE, (HOSTILE, "n"), ((Cell(HOSTILE, best=True), Cell(HOSTILE, order=1)),), (HOSTILE,))
    hostile = dataclasses.replace(
        contents,
        study=HOSTILE,
        question=HOSTILE,
        headline=HOSTILE,
        answer=(section,),
        given=HOSTILE,
        answers=(HOSTILE,),
        not_beaten=(HOSTILE,),
        warnings=(HOSTILE,),
        tasks=(TaskPart(HOSTILE, section, (), HOSTILE, ()),),
        more=(section,),
        absent=((HOSTILE, HOSTILE, HOSTILE),),
        cards=(Card(HOSTILE, HOSTILE, (HOSTILE,), ((HOSTILE, HOSTILE),)),),
        circumstances=((HOSTILE, HOSTILE),),
        config=HOSTILE,
    )
    tags = read(rendering.render(hostile))
    assert sum(tag == "script" for tag, _ in tags.found) == 2 and tags.open == []
    assert not any(tag == "img" or "onerror" in attributes for tag, attributes in tags.found)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("arXiv 2602.12952, <b>", '<a href="https://arxiv.org/abs/2602.12952">arXiv 2602.12952</a>, &lt;b&gt;'),
        ("`a<b` and `", "<code>a&lt;b</code> and `"),
    ],
)
def test_links_and_code_are_made_of_escaped_text(text, html):
    assert rendering.linked(text) == html


def test_what_to_use_stands_before_all_other_tables(page):
    text = page(VALUES)
    assert text.index('id="table-answer"') < text.index('id="table-rte"')
    assert "does merging pay?" in text and "No verdict: 2 seeds" in text
    assert "Every merge against its matched rival" in text


def test_controls_that_were_not_beaten_stand_before_everything(page):
    text = page(VALUES | {HEAD_ONLY: {"all": 0.95}})
    assert text.index("Controls that were not beaten") < text.index('id="answer"')
    assert 'role="alert"' not in page(VALUES | {HEAD_ONLY: {"all": 0.5}})


def test_a_study_of_nothing_but_one_run_has_a_report(page):
    text = page({"finetune.big": {0: 0.9}})
    assert "On rte there is no answer: no merge has finished." in text
    assert "1 seed is too few for intervals" in text and "A single task says nothing about others." in text
    assert "Missing runs" in text and "not started" in text and "None" not in re.sub(r"<script>.*?</script>", "", text)


def test_a_study_in_which_nothing_has_finished_has_a_report(page):
    text = page({})
    assert "are missing: they are listed below" in text and "none has finished" in text and "<svg" not in text


def test_missing_runs_are_listed_with_the_words_of_their_logs(reported, write_log):
    log = write_log("finetune_model", "finetune.tiny", 0, "finetune_model: loss is nan <script>alert(1)</script>\n")
    os.utime(log, (1, 1))
    contents = reported({"finetune.big": {0: 0.9}})
    assert (
        "rte/finetune.tiny/seed-0",
        "failed",
        "finetune_model: loss is nan <script>alert(1)</script>",
    ) in contents.absent
    assert "<script>alert" not in rendering.render(contents)
