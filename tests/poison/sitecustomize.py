"""Python runs this when a worker of the tests' Ray starts: images that hold POISON kill whoever decodes them."""

import os
import signal

from PIL import Image

POISON = b"kills whoever decodes it"
_open = Image.open


def _open_or_die(file, *arguments, **options):
    if hasattr(file, "getvalue") and POISON in file.getvalue():
        os.kill(os.getpid(), signal.SIGSEGV)
    return _open(file, *arguments, **options)


if os.environ.get("PYTHONPATH", "").startswith(os.path.dirname(__file__)):  # else it is imported for its constant
    Image.open = _open_or_die
