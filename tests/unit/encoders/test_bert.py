import torch

from graft.encoders.bert import new_classifier


def test_a_new_head_depends_on_the_seed_alone(pico_models):
    torch.manual_seed(5)
    first = new_classifier(pico_models / "large", ("a", "b"), 3)
    torch.manual_seed(6)
    second = new_classifier(pico_models / "large", ("a", "b"), 3)
    assert first.classifier.weight.equal(second.classifier.weight)
