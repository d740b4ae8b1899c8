from typing import get_args

from graft.reporting import search
from graft.reporting.figures import style
from graft.study import records


def test_every_kind_of_system_can_be_drawn():
    assert set(style.KINDS) == {*get_args(records.RunRecord.model_fields["kind"].annotation), search.KIND}


def test_no_kinds_and_no_lines_share_a_marker_or_a_colour():
    markers, colours, labels = zip(*style.KINDS.values(), strict=True)
    assert len(set(markers)) == len(set(colours)) == len(set(labels)) == len(style.KINDS)
    for key in ("color", "ls", "marker"):
        assert len({str(line[key]) for line in style.LINES}) == len(style.LINES)
