"""What kills a decoder kills a child alone, and the next file is decoded as ever."""

import os
import signal

import pytest

from pipelines import isolation
from zsad_core.images import ImageError, mask_pixels


def die(number):
    os.kill(os.getpid(), number)


def leave(status):
    os._exit(status)


def test_a_child_that_dies_is_started_again():
    with isolation.calls(isolated=True) as call:
        first = call(os.getpid)
        assert first != os.getpid()
        with pytest.raises(ImageError, match=r"^the process that decodes it dies \(SIGSEGV\)$"):
            call(die, signal.SIGSEGV)
        with pytest.raises(ImageError, match=r"dies \(exit status 3\)"):
            call(leave, 3)
        second = call(os.getpid)
        assert second not in (first, os.getpid())
        assert call(sum, [1, 2]) == 3
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


@pytest.mark.parametrize("isolated", [False, True])
def test_errors_come_out_as_they_are(isolated):
    with isolation.calls(isolated) as call:
        with pytest.raises(ImageError, match="^empty file$"):
            call(mask_pixels, b"", 8)
        assert call(len, b"123") == 3
