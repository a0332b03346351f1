"""An interrupt that something swallowed still stops the work."""

import os
import signal

import pytest

from pipelines import interrupt


@pytest.fixture(autouse=True)
def handler_restored():
    before = signal.getsignal(signal.SIGINT)
    yield
    interrupt.remember()  # forgets what the test did
    signal.signal(signal.SIGINT, before)


def test_is_raised_at_once_and_by_the_next_check():
    interrupt.remember()
    interrupt.check()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        signal.sigtimedwait([], 1)
    with pytest.raises(KeyboardInterrupt):
        interrupt.check()
    interrupt.remember()
    interrupt.check()
