import json

import pytest

from graft.config import study as studies
from graft.config import written
from tests.workflow.conftest import ROOT

CONFIGS = ["config.yaml", "config/demo.yaml", "config/glue-small.yaml", "config/warm-start.yaml"]


@pytest.mark.parametrize("name", CONFIGS)
def test_both_forms_are_the_same_study(name):
    study = studies.load(ROOT / name)
    for form in (written.whole, written.shortest):
        assert written.whole(studies.parse(form(study))) == written.whole(study)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_shortest_form_has_no_key_that_could_be_left_out(name):
    values = written.shortest(studies.load(ROOT / name))
    meant = written.whole(studies.parse(values))
    for section in set(values) - {"name", "seeds", "tasks", "models", "pairs"}:
        for key in values[section] if isinstance(values[section], dict) else ():
            without = json.loads(json.dumps(values))
            del without[section][key]
            try:
                assert written.whole(studies.parse(without)) != meant, (section, key)
            except ValueError:
                continue  # needed by another key


def test_the_whole_form_has_the_options_of_every_method():
    merge = written.whole(studies.load(ROOT / "config.yaml"))["systems"]["merge"]
    assert merge["stitch"]["map_ridge"] == 0.01 and merge["theseus"]["layernorm"] and merge["calm"]["epochs"] == 3
