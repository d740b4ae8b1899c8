import pytest

from graft.registry.gpus import gpu


def test_a_gpu_has_its_published_peak():
    assert (gpu("a100").bf16, gpu("a100").fp32) == (312e12, 19.5e12)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no GPU is called 'A-100' here; available: a10, a30, .*a100, h100"):
        gpu("A-100")
