import pytest

from graft.config import study as studies
from tests.unit.config.test_study import changed

GENERATED = {
    "sentiment": {"text": ["sentence"], "label": "label", "labels": ["negative", "positive"], "metrics": ["accuracy"]},
    "similarity": {"text": ["sentence1", "sentence2"], "label": "score", "metrics": ["correlation"]},
    "entailment": {
        "text": ["sentence1", "sentence2"],
        "label": "label",
        "labels": ["entailment", "not_entailment"],
        "metrics": ["accuracy"],
    },
}


def generated(config: dict, grammar: str, source: dict, task: dict) -> dict:
    """The config with one more task, generated, its columns and source changed."""
    source = {"kind": "generated", "grammar": grammar, **source}
    for model in config["models"].values():
        model["finetune"]["mine"] = model["finetune"]["rte"]
    return changed(config, "tasks/mine", {"source": source, **GENERATED[grammar], **task})


@pytest.mark.parametrize("grammar", GENERATED)
def test_a_generated_task_needs_its_grammar_only(study_config, grammar):
    source = studies.parse(generated(study_config, grammar, {}, {})).tasks["mine"].source
    assert (source.seed, source.train, source.dev) == (0, 2000, 500)


@pytest.mark.parametrize(
    ("grammar", "source", "task", "message"),
    [
        ("sentiment", {"grammar": "irony"}, {}, "tasks.mine.source.generated.grammar: Input should be 'sentiment', "),
        ("sentiment", {"seed": -1}, {}, "tasks.mine.source.generated.seed: Input should be greater than or equal to 0"),
        ("sentiment", {"train": 19}, {}, "tasks.mine.source.generated.train: Input should be greater than or equal to"),
        ("sentiment", {"dev": 10_001}, {}, "tasks.mine.source.generated.dev: Input should be less than or equal to"),
        ("sentiment", {"test": 5}, {}, "tasks.mine.source.generated.test: unknown key; available: kind, grammar, seed"),
        ("sentiment", {}, {"text": ["text"]}, "tasks.mine.text: unknown 'text'; available: sentence"),
        ("similarity", {}, {"label": "label"}, "tasks.mine.label: unknown 'label'; available: score"),
        ("similarity", {}, {"labels": ["a", "b"]}, "tasks.mine.labels: similarity has a score, not classes"),
        ("entailment", {}, {"labels": ["yes", "no"]}, "two classes, written entailment and not_entailment"),
        ("sentiment", {}, {"labels": ["a", "b", "c"]}, "tasks.mine.labels: sentiment has two classes, written 0 and 1"),
    ],
)
def test_a_generated_task_that_cannot_be_made_is_one_line(study_config, grammar, source, task, message):
    with pytest.raises(ValueError) as error:
        studies.parse(generated(study_config, grammar, source, task))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1
