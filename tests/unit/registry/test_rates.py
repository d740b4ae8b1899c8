from dataclasses import replace

import pytest

from graft.registry.rates import CPU, Rates, of_gpu

KINDS = {"training bf16", "training fp32", "inference", "closed form"}


def test_every_machine_has_a_rate_for_every_kind_of_work():
    assert set(CPU.flops) == set(of_gpu("l4").flops) == KINDS


def test_between_and_below_measured_widths_rates_follow_a_power():
    rates = replace(CPU, flops={"inference": {100: 1.0, 200: 4.0, 400: 8.0}})
    took = {width: rates.seconds(16.0, "inference", width) for width in (50, 100, 141.42, 200, 400, 4000)}
    # A width that is half as large has a quarter of the rate, as from 100 to 200; above all widths it stays.
    assert took == pytest.approx({50: 64, 100: 16, 141.42: 8, 200: 4, 400: 2, 4000: 2}, rel=1e-3)


def test_one_measured_width_stands_for_all_and_one_precision_for_the_other():
    rates = replace(CPU, flops={"training bf16": {64: 2.0}})
    assert rates.seconds(4.0, "training fp32", 1000) == 2.0


def test_a_gpu_that_was_not_measured_has_the_same_share_of_its_peak_and_says_so():
    known, other = of_gpu("h200"), of_gpu("a100")
    ratio = other.flops["training bf16"][768] / known.flops["training bf16"][768]
    assert ratio == pytest.approx(312 / 989)
    assert other.flops["inference"][384] == pytest.approx(known.flops["inference"][384] * 19.5 / 67)
    assert "the a100 was not measured" in other.source and "not measured" not in known.source
    with pytest.raises(ValueError, match="no GPU is called 'z1'"):
        of_gpu("z1")


def test_threads_make_a_cpu_faster_and_a_gpu_not():
    assert CPU.of_threads(3).seconds(1e9, "inference", 768) == pytest.approx(CPU.seconds(1e9, "inference", 768) / 3)
    assert of_gpu("h200").of_threads(3) == of_gpu("h200")


def test_rates_are_read_as_they_were_written(tmp_path):
    CPU.write(tmp_path / "rates.json")
    assert Rates.read(tmp_path / "rates.json") == CPU
    (tmp_path / "rates.json").write_text("{}")
    with pytest.raises(ValueError, match=r"rates\.json: not what `plan --measure` writes"):
        Rates.read(tmp_path / "rates.json")
