from graft.encoders.bert import new_classifier
from graft.training.optimizer import parameter_groups


def test_norms_and_biases_are_not_decayed(pico_models):
    model = new_classifier(pico_models / "large", ("a", "b"), 0)
    decayed, rest = parameter_groups(model.parameters(), 0.01)
    assert decayed["weight_decay"] == 0.01 and rest["weight_decay"] == 0.0
    names = {id(p): n for n, p in model.named_parameters()}
    assert all("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in rest["params"])
    assert not any("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in decayed["params"])
