from graft.encoders.models import new_classifier
from graft.training.optimizer import linear_schedule, parameter_groups


def test_norms_and_biases_are_not_decayed(pico_models):
    model = new_classifier(pico_models / "large", ("a", "b"), 0)
    decayed, rest = parameter_groups(model.parameters(), 0.01)
    assert decayed["weight_decay"] == 0.01 and rest["weight_decay"] == 0.0
    names = {id(p): n for n, p in model.named_parameters()}
    assert all("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in rest["params"])
    assert not any("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in decayed["params"])


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing():
    rates = [linear_schedule(step, 4, 12) for step in range(14)]
    assert rates[:5] == [0.0, 0.25, 0.5, 0.75, 1.0] and rates[8] == 0.5 and rates[12:] == [0.0, 0.0]
    assert sorted(rates[4:], reverse=True) == rates[4:]


def test_without_a_warm_up_it_starts_at_its_peak_and_one_step_is_a_whole_training():
    assert linear_schedule(0, 0, 5) == linear_schedule(0, 0, 1) == 1.0
    assert linear_schedule(1, 1, 1) == 0.0
