import os
import signal

import pytest

from graft.compute import stopping


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_signal_is_remembered_and_the_work_goes_on(number):
    with stopping.listening() as request:
        assert not request
        os.kill(os.getpid(), number)
        assert request and request.name == number.name


def test_whoever_listened_before_listens_again_even_after_an_error():
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        with pytest.raises(KeyError), stopping.listening():
            os.kill(os.getpid(), signal.SIGUSR1)
            raise KeyError
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]
