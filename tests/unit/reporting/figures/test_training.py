import pytest

from graft.reporting.figures import training


def test_training_is_read_without_what_was_measured(written):
    data = training.data(written)
    assert len(data) == 8 and list(data.columns) == list(training.COLUMNS)
    assert training.draw(data).axes


def test_a_broken_log_is_named(written):
    log = written.paths.run("rte", "finetune.big", 0) / "training.jsonl"
    log.write_text('{"step": 20')
    with pytest.raises(ValueError, match="training.jsonl: not valid JSON"):
        training.data(written)
