from graft.compute import machine


def test_the_gpu_is_the_first_that_the_driver_tells_of(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_DRIVERS", tmp_path)
    assert machine.gpu() is None
    for place, model in (("0000:01", "NVIDIA L4"), ("0000:02", "NVIDIA H200")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "information").write_text(f"Model: \t{model}\n")
    assert machine.gpu() == "l4"


def test_a_cpu_trains_in_bf16_if_it_computes_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CPU", tmp_path / "cpuinfo")
    found = [machine.cpu_precision()]
    for flags in ("fpu avx2", "fpu avx512_bf16", "amx_bf16"):
        (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
        found.append(machine.cpu_precision())
    assert found == ["fp32", "fp32", "bf16", "bf16"]
