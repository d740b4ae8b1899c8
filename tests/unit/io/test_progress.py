from graft.io.progress import along, progress


def test_a_step_of_unknown_length_is_told_in_a_log_as_it_begins(capsys):
    with progress("merge") as report:
        report(0, 0, "fitting the head")
        assert capsys.readouterr().err.endswith(" merge fitting the head\n")


def test_what_is_gone_along_is_told_before_each_item_and_at_the_end():
    told = []
    seen = list(along("ab", lambda *report: told.append(report), "letters"))
    assert seen == ["a", "b"] and told == [(0, 2, "letters"), (1, 2, "letters"), (2, 2, "letters")]


def test_progress_in_a_log_is_a_line_for_the_end_at_least(capsys):
    with progress("finetune.x") as report:
        for step in range(5):
            report(step + 1, 5, "loss 0.1")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].endswith("finetune.x 5/5 loss 0.1") and len(lines) <= 2
