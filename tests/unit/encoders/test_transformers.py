from tests.unit.study.test_imports import MODELS, loaded_after


def test_running_a_model_takes_no_compiler(pico_models):
    code = (
        "import torch\nfrom graft.compute import hardware\nfrom graft.encoders.bert import load_encoder\n"
        "hardware.use_threads(1)\n"
        f"with torch.inference_mode():\n    load_encoder('{pico_models / 'large'}')(torch.arange(8)[None])"
    )
    # Sympy comes with models that are built without weights.
    assert loaded_after(code) & (MODELS - {"sympy"}) == set()


def test_what_was_left_out_can_be_imported_later():
    code = (
        "import graft.encoders.transformers, torch, scipy.optimize\n"
        "assert scipy.optimize.linear_sum_assignment([[1.0]])\n"
        "assert torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)) == 2\n"
        "assert torch.distributed.is_available()"
    )
    assert {"torch._dynamo", "scipy"} <= loaded_after(code)
