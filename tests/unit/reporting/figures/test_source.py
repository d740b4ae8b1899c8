from graft.reporting.figures import similarity, warm_starts


def test_what_a_study_has_no_data_of_is_empty(written):
    assert not len(warm_starts.data(written)) and not len(similarity.data(written))
