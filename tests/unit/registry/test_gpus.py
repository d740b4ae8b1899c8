import pytest

from graft.registry.gpus import gpu, named


def test_a_gpu_has_its_published_peak():
    assert (gpu("a100").bf16, gpu("a100").fp32) == (312e12, 19.5e12)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no GPU is called 'A-100' here; available: a10, a30, .*a100, h100"):
        gpu("A-100")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Model: \t\t NVIDIA H200\nIRQ: 12", "h200"),
        ("Model: NVIDIA A100-SXM4-80GB", "a100"),
        ("Model: NVIDIA H100 PCIe", "h100-pcie"),
        ("Model: NVIDIA GeForce RTX 4090", "rtx4090"),
        ("Model: NVIDIA RTX A4000", None),
        ("Model: NVIDIA L40S", "l40s"),
    ],
)
def test_a_driver_names_its_gpu(text, name):
    assert named(text) == name
