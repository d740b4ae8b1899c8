import torch

from graft.encoders.models import load_encoder, new_classifier
from tests.unit.study.test_imports import MODELS, loaded_after


def test_a_new_head_depends_on_the_seed_alone(pico_models):
    torch.manual_seed(5)
    first = new_classifier(pico_models / "large", ("a", "b"), 3)
    torch.manual_seed(6)
    second = new_classifier(pico_models / "large", ("a", "b"), 3)
    assert first.classifier.weight.equal(second.classifier.weight)


def test_a_new_classifier_trains_draws_nothing_globally_and_has_the_pre_trained_body(pico_models):
    torch.manual_seed(5)
    made = new_classifier(pico_models / "large", ("a", "b"), 3)
    assert torch.rand(1).equal(torch.rand(1, generator=torch.Generator().manual_seed(5)))
    assert all(module.training for module in made.modules())
    body = load_encoder(pico_models / "large").state_dict()
    assert all(tensor.equal(body[name]) for name, tensor in made.bert.state_dict().items())
    assert not made.classifier.bias.any()


def test_running_a_model_takes_no_compiler_and_no_model_of_transformers(pico_models):
    code = (
        "import torch\nfrom graft.compute import hardware\nfrom graft.encoders.models import load_encoder\n"
        "hardware.use_threads(1)\n"
        f"with torch.inference_mode():\n    load_encoder('{pico_models / 'large'}')(torch.arange(8)[None])"
    )
    assert loaded_after(code) & (MODELS | {"transformers.modeling_utils"}) == set()
