"""The `zsad` command in this process."""

import pytest

from jobs.cli import main


@pytest.fixture
def zsad(capsys):
    """Call it as a shell does; returns (exit status, standard output, standard error)."""

    def run(*arguments):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
