"""Tables of archived studies in pages: each number is that of the archive, under the role of its model."""

import json
import re
import zipfile

import pandas as pd
import pytest

from graft.cli.references.__main__ import ROOT
from graft.cli.references.studies import tabulated
from graft.reporting.comparison import COLUMNS
from graft.study import archives
from graft.study.archives import Manifest
from tests.conftest import study_values

REFERENCE, STUDY = ROOT / "docs" / "reference", "related-2026-12-01"
PAGE = "# Page\n\n<!-- {} -->\nold\n<!-- end -->\n\nAfter.\n"


def archive(folder, name, pair, means):
    """An archive with a study of one pair, large and small, and a comparison of these means, in which small has 0.5."""
    (large, small), values = pair, study_values(folder, folder)
    models = values["models"]
    values["models"] = {large: models["large"], small: models["small"] | {"tokenizer": large}}
    values["pairs"] = [{"large": large, "small": small}]
    rows = [
        dict.fromkeys(COLUMNS) | {"task": "rte", "system": system, "mean": mean, "delta_vs_small": mean - 0.5}
        for system, mean in means.items()
    ]
    contents = {
        "study.json": json.dumps(values).encode(),
        "tables/comparison.csv": pd.DataFrame(rows).to_csv(index=False).encode(),
    }
    manifest = Manifest(name, "2026-12-01", "0", None, {"done": 1}, {}, {}, archives.hashes(contents))
    archives.write(folder / f"{name}.zip", manifest, contents)


@pytest.fixture
def page(tmp_path):
    archive(tmp_path, "one", ("big.2", "tiny"), {"finetune.big.2": 0.75, "merge.stitch.tiny-into-big.2": 0.625})
    archive(
        tmp_path,
        "two",
        ("wide", "thin"),
        {"finetune.wide": 0.875, "distil.thin-from-wide": 0.25, "control.other-small.theseus.raw-into-wide": 0.5},
    )
    path = tmp_path / "page.md"

    def made(marked):
        path.write_text(PAGE.format(marked))
        return tabulated(path, tmp_path)

    return made


def test_two_pairs_stand_beside_one_another_by_role(page):
    found = page("pairs rte one two")
    assert found.startswith("# Page\n\n<!-- pairs rte one two -->\n| ") and found.endswith("<!-- end -->\n\nAfter.\n")
    rows = [re.split(r" \| ", line.strip("| ")) for line in found.splitlines() if line.startswith("|")]
    assert rows == [
        ["system", "big.2 ← tiny", "wide ← thin"],
        ["---", "---", "---"],
        ["finetune.large", "0.750 (+0.250)", "0.875 (+0.375)"],
        ["merge.stitch", "0.625 (+0.125)", "–"],
        ["distil", "–", "0.250 (−0.250)"],
        ["control.other-small.theseus.raw", "–", "0.500 (0.000)"],
    ]


def real(tmp_path, marked):
    """Cells of a table of the study in docs/reference, without its headings."""
    (tmp_path / "page.md").write_text(PAGE.format(f"{marked} {STUDY}"))
    lines = [line for line in tabulated(tmp_path / "page.md", REFERENCE).splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def read(name):
    """A table of that study, by pandas alone."""
    with zipfile.ZipFile(REFERENCE / f"{STUDY}.zip") as packed, packed.open(f"tables/{name}.csv") as table:
        found = pd.read_csv(table)
    return found[found["task"] == "stsb"]


def test_tables_of_a_real_study_have_its_numbers(tmp_path):
    systems, comparison = real(tmp_path, "systems stsb"), read("comparison")
    assert len(systems) == len(comparison) and float(systems[0][3]) == round(comparison["mean"].max(), 3)
    answers = read("answer")
    assert [row[0] for row in real(tmp_path, "answer stsb")] == [*answers["scenario"]]
    assert len(real(tmp_path, "merges stsb")) == len(read("matched"))
    chosen = [row for row in real(tmp_path, "select stsb") if row[0] == "finetune.minilm-l6"]
    own = read("runs").query("system == 'finetune.minilm-l6' and state == 'done'")["select_value"]
    assert [float(cell) for cell in chosen[0][1:]] == pytest.approx(
        [own.mean(), own.min(), own.max(), len(own)], abs=5e-4
    )
    # One seed: no merge has a verdict.
    assert [row[1:6] for row in real(tmp_path, "verdicts stsb")] == [["0"] * 5] * len(answers)
    costs = read("cost")
    assert len(real(tmp_path, "costs stsb")) == costs["architecture"].nunique()


def test_every_verdict_of_a_study_is_counted(tmp_path):
    (tmp_path / "page.md").write_text(PAGE.format("verdicts sst2 reference-sst2-2026-12-01"))
    lines = tabulated(tmp_path / "page.md", REFERENCE).splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    packed = zipfile.ZipFile(REFERENCE / "reference-sst2-2026-12-01.zip")
    with packed, packed.open("tables/matched.csv") as file:
        own = pd.read_csv(file).query("inference_limit == 'own' and verdict != 'descriptive'").dropna(subset="verdict")
    for scenario, merges, *counts, _, _ in rows:
        verdicts = own.loc[own["scenario"] == scenario.strip("`"), "verdict"]
        names = ("better", "equivalent", "inconclusive", "worse")
        assert [int(merges), *map(int, counts)] == [len(verdicts), *(list(verdicts).count(name) for name in names)]
    assert len(rows) == 4 and len(own) == 30


def test_the_share_that_merges_keep_is_of_the_small_models_lead_over_the_head_alone(tmp_path):
    means = read("comparison").set_index("system")["mean"]
    pair = "minilm-l3-into-minilm-l6"
    head, small = means[f"control.head-only.labelled.{pair}"], means["finetune.minilm-l3"]
    (likeness, number), *rows = real(tmp_path, "kept stsb")
    assert likeness.startswith("likeness") and 0 < float(number) < 1 and len(rows) == 6
    for name, share in rows:
        kept = float(share.replace("−", "-"))
        assert head + kept * (small - head) == pytest.approx(means[f"{name}.{pair}"], abs=0.001)


def test_a_page_made_twice_is_the_same(page, tmp_path):
    first = page("pairs rte one")
    (tmp_path / "page.md").write_text(first)
    assert tabulated(tmp_path / "page.md", tmp_path) == first


def test_kinds_and_archives_that_there_are_not_are_told(page):
    with pytest.raises(KeyError, match="pears"):
        page("pears rte one")
    with pytest.raises(ValueError, match="three.zip: there is no such archive"):
        page("pairs rte three")
