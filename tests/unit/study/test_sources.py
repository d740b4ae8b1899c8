"""What is wrong with a study's local files is found before any job."""

import json
import shutil

import pytest

from graft.config import study as studies
from graft.study.grid import Grid
from graft.study.paths import RESULTS, Paths
from graft.study.sources import check_sources
from tests.conftest import VOCABULARY, study_values, with_other_small, write_bert
from tests.unit.families import write_pico


def test_a_file_where_the_results_would_go_is_refused(study_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RESULTS.mkdir()
    Paths.of("pico").root.write_text("")
    with pytest.raises(ValueError, match="name: results/pico is a file; take another name"):
        check_sources(Grid(studies.parse(study_config)))


def test_a_pair_that_cannot_be_merged_is_refused(pico_glue, tmp_path):
    write_bert(tmp_path / "large", layers=2, width=12, heads=2, seed=0)
    write_bert(tmp_path / "small", layers=4, width=12, heads=2, seed=0)
    with pytest.raises(ValueError, match="pairs: small has layers 4, more than large with 2; swap the two roles"):
        check_sources(Grid(studies.parse(study_values(pico_glue, tmp_path))))


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("interpolate", "LayerNorms in other places have other names"),
        ("grow", "a block cannot hold one of the other kind"),
    ],
)
def test_a_method_that_refuses_a_pair_is_told_before_any_job(pico_glue, tmp_path, method, why):
    write_pico(tmp_path / "large", "modernbert", "large")
    write_pico(tmp_path / "small", "bert", "small")
    values = study_values(pico_glue, tmp_path)
    values["models"]["small"].pop("tokenizer")
    values["systems"] |= {"merge": {"stitch": {}}, "control": {}}
    check_sources(Grid(studies.parse(values)))
    values["systems"]["merge"][method] = {}
    message = rf"^merge\.{method}\..*small-into-large: {why}; leave {method} out, or use another pair$"
    with pytest.raises(ValueError, match=message):
        check_sources(Grid(studies.parse(values)))


def as_words(path, words):
    """Make a tokenizer one of whole texts, whose tokens are these words."""
    said = json.loads(path.read_text())
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    known = {token: n for n, token in enumerate([*special, *words])}
    said["model"] |= {"vocab": known}
    path.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("whole texts", "^pairs: small and large: the two tokenizers have no span of text in common"),
        ("slow", "small/tokenizer.json: no tokenizer; a model folder needs tokenizer.json or vocab.txt"),
        ("no word", r"^merge\.\w+\..*: the vocabularies of small and large have no token in common; \w+ "),
    ],
)
def test_two_vocabularies_that_cannot_be_merged_are_told_before_any_job(pico_glue, tmp_path, spoil, message):
    write_bert(tmp_path / "large", layers=2, width=12, heads=2, seed=0)
    write_bert(tmp_path / "small", layers=1, width=12, heads=2, seed=0)
    values = study_values(pico_glue, tmp_path)
    values["models"]["small"].pop("tokenizer")
    check_sources(Grid(studies.parse(values)))
    tokenizer = tmp_path / "small" / "tokenizer.json"
    if spoil == "whole texts":
        tokenizer.write_text(json.dumps(json.loads(tokenizer.read_text()) | {"pre_tokenizer": None}))
    if spoil == "slow":
        for name in ("tokenizer.json", "vocab.txt"):
            (tmp_path / "small" / name).unlink()
    if spoil == "no word":
        as_words(tokenizer, [f"word{n}" for n in range(len(VOCABULARY) - 5)])
    with pytest.raises(ValueError, match=message) as error:
        check_sources(Grid(studies.parse(values)))
    assert len(str(error.value).splitlines()) == 1


def test_a_tokenizer_that_another_model_lends_must_be_its_own(pico_glue, tmp_path):
    write_bert(tmp_path / "large", layers=2, width=12, heads=2, seed=0)
    write_bert(tmp_path / "small", layers=1, width=12, heads=2, seed=0, vocabulary=VOCABULARY[:-1])
    with pytest.raises(ValueError, match=f"{len(VOCABULARY)} tokens; leave models.small.tokenizer out"):
        check_sources(Grid(studies.parse(study_values(pico_glue, tmp_path))))


def test_a_local_model_that_cannot_hold_what_is_asked_of_one_like_it_is_told(study_config):
    with_other_small(study_config)["models"]["untrained"]["finetune"] = {
        "rte": {**study_config["models"]["small"]["finetune"]["rte"], "max_tokens": 65}
    }
    with pytest.raises(ValueError, match=r"models.untrained.finetune.rte.max_tokens: 65; small has 64 positions"):
        check_sources(Grid(studies.parse(study_config)))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("-1", "row 1 has the label '-1'; it should be one of entailment, not_entailment"),
        ("0,1", "row 1 has the labels '0,1'; several labels per row are not supported"),
    ],
)
@pytest.mark.parametrize("split", ["train", "dev"])
def test_labels_of_both_splits_are_checked_before_any_job(study_config, tmp_path, split, label, message):
    folder = shutil.copytree(study_config["tasks"]["rte"]["source"]["folder"], tmp_path / "own")
    study_config["tasks"]["rte"]["source"]["folder"] = str(folder)
    grid = Grid(studies.parse(study_config))
    check_sources(grid)
    header, row, *others = (folder / f"{split}.tsv").read_text().split("\n")
    changed = row.rsplit("\t", 1)[0] + f"\t{label}"
    (folder / f"{split}.tsv").write_text("\n".join([header, changed, *others]))
    with pytest.raises(ValueError, match=message) as error:
        check_sources(grid)
    assert f"{split}.tsv" in str(error.value)
    check_sources(grid, rows=False)
