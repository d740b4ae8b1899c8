"""The generated list of families: all that are read, each with what it is."""

import re

from graft.cli.references import families
from graft.cli.references.__main__ import ROOT
from graft.registry.families import BY_TYPE


def test_every_type_of_config_is_there_with_its_family_s_paper():
    found = families.pairs(ROOT / "docs" / "my-pair.md")
    rows = re.findall(r"^\| (`.*`) \| (.+) \|$", found, re.MULTILINE)
    assert [kind.strip("`") for kinds, _ in rows for kind in kinds.split(", ") if "=" not in kind][-len(BY_TYPE) :] == [
        *BY_TYPE
    ]
    assert all("arXiv" in what for _, what in rows[-len(set(map(id, BY_TYPE.values()))) :])
