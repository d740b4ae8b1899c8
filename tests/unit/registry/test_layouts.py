import pytest

from graft.config.sources import FileData
from graft.registry.layouts import LAYOUTS
from graft.registry.tasks import TASKS
from graft.tasks import generated
from graft.tasks.readers import read_split
from tests.unit.tasks.generated.test_generated import KNOWN


@pytest.mark.parametrize("grammar", LAYOUTS)
def test_files_have_the_official_layout(grammar, tmp_path):
    generated.write(grammar, 0, 60, 40, tmp_path)
    source = FileData(kind="tsv", folder=str(tmp_path))
    assert len(read_split(source, TASKS[KNOWN[grammar]], "train", "x")) == 60
    assert len(read_split(source, TASKS[KNOWN[grammar]], "dev", "x")) == 40
    header = tuple((tmp_path / "dev.tsv").read_text().split("\n")[0].split("\t"))
    layout = LAYOUTS[grammar]
    assert header == layout.header and {*layout.text, layout.label} <= set(header)
