import pytest

from graft.registry.readouts import blocks, name_of, parts


@pytest.mark.parametrize(("layers", "together"), [(6, "3.mean+4.mean+5.mean+6.mean"), (2, "1.mean+2.mean")])
def test_every_layer_is_read_in_both_poolings_and_together_and_the_means_of_the_last_four(layers, together):
    names = [name_of(block[part]) for block in blocks(layers) for part in parts(block)]
    each = [name for k in range(layers + 1) for name in (f"{k}.cls", f"{k}.mean", f"{k}.cls+{k}.mean")]
    assert names == [*each, together]


def test_one_layer_has_nothing_to_be_read_together_with():
    assert [name_of(block) for block in blocks(1)] == ["0.cls+0.mean", "1.cls+1.mean"]
