import pytest

from graft.compute import hardware
from graft.config.launch import Launch


def test_a_gpu_that_is_asked_for_must_be_there(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert hardware.device_of(Launch(device="auto")) == "cpu"
    with pytest.raises(ValueError, match="torch sees no GPU"):
        hardware.device_of(Launch(device="cuda"))
    assert hardware.device_of(hardware.on_cpu(Launch(device="cuda"))) == "cpu"


def test_precision_is_what_was_asked_for():
    assert hardware.precision_of(Launch(precision="fp32", device="cpu")) == "fp32"
    assert hardware.precision_of(Launch(precision="auto", device="cpu")) in ("fp32", "bf16")
