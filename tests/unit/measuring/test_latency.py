import numpy as np
import pytest
import torch

from graft.measuring.latency import Subject, Texts, measure
from graft.registry.families.family import BERTS
from graft.tasks.tokens import TokenisedSplit
from tests.conftest import VOCABULARY


class Machine:
    """A clock that moves when something is answered, by seconds per text that grow with every answer ever given."""

    def __init__(self, drift=0.0):
        self.now, self.drift, self.visits = 0.0, drift, []

    def subject(self, name, seconds, texts):
        def load():
            self.visits.append(name)
            return answer

        def answer(batch):
            self.now += seconds * len(batch["input_ids"]) * (1 + self.drift * self.now)
            return torch.zeros(len(batch["input_ids"]), 2)

        return Subject(load, texts)


class Meter:
    """Ten watts."""

    def __init__(self, machine):
        self.machine = machine

    def joules(self):
        return 10 * self.machine.now


def batch(rows, tokens=3):
    return {"input_ids": torch.ones(rows, tokens, dtype=torch.long)}


TEXTS = Texts([batch(1)] * 5, [batch(4), batch(1)])


def timed(machine, rounds=2, meter=None, **seconds):
    subjects = {name: machine.subject(name, one, TEXTS) for name, one in seconds.items()}
    return measure(subjects, rounds, meter, clock=lambda: machine.now)


def test_times_are_those_of_single_texts_and_rates_those_of_batches():
    found = timed(Machine(), a=0.5, b=0.125)
    assert len(found["a"].singles) == 2 * 5 and found["a"].quantile(0.9) == 0.5 and found["b"].quantile(0.5) == 0.125
    assert found["a"].examples_per_second == 2 and found["b"].examples_per_second == 8
    assert found["a"].joules_per_example is None


def test_subjects_are_visited_in_turn_forwards_and_backwards():
    machine = Machine()
    timed(machine, rounds=3, a=1, b=1, c=1)
    assert "".join(machine.visits) == "abc" + "cba" + "abc"


def test_a_machine_that_grows_slower_is_slower_for_all():
    found = timed(Machine(drift=1e-4), rounds=4, **dict.fromkeys("abcd", 0.1))
    medians = [one.quantile(0.5) for one in found.values()]
    assert max(medians) / min(medians) < 1.0005 < found["a"].singles[-1] / found["a"].singles[0]


def test_what_is_answered_before_the_timing_is_not_timed():
    machine = Machine()
    slow_start = {"left": 7}
    inner = machine.subject("a", 0.1, TEXTS).load()

    def load():
        slow_start["left"] = len(TEXTS.singles) + len(TEXTS.batches)
        return answer

    def answer(given):
        machine.now += 100 * (slow_start["left"] > 0)
        slow_start["left"] -= 1
        return inner(given)

    found = measure({"a": Subject(load, TEXTS)}, 2, clock=lambda: machine.now)["a"]
    assert max(found.singles) == pytest.approx(0.1) and min(found.rates) == pytest.approx(10)


def test_energy_is_per_example_and_read_over_a_second_at_least():
    machine = Machine()
    found = timed(machine, meter=Meter(machine), a=0.01, b=2.0)
    assert found["a"].joules_per_example == pytest.approx(0.1) and found["b"].joules_per_example == pytest.approx(20)
    assert found["a"].examples >= 2 * 100 and found["b"].examples == 2 * 5
    assert found["a"].examples_per_second == pytest.approx(100)


def test_texts_stand_alone_at_their_own_lengths_and_together_with_their_like(pico_models):
    from graft.tasks.tokens import load_tokenizer

    rows = ["a film", "the good film was very great in the city", "dog", "a bad plot and a poor ending"]
    tokens = TokenisedSplit.of_texts(load_tokenizer(pico_models / "large"), [rows], "here", BERTS)
    texts = Texts.of(tokens, 8, np.array([0, 1, 3]), batch_size=2)
    assert [one["input_ids"].shape for one in texts.singles] == [(1, 4), (1, 8), (1, 8)]
    assert [one["input_ids"].shape for one in texts.batches] == [(2, 8), (1, 4)]
    assert all(one["attention_mask"].all() for one in texts.singles)
    assert VOCABULARY[int(texts.singles[0]["input_ids"][0, 1])] == "a"
