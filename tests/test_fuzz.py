"""A short run of the fuzzer, and what it says where an input ends or stops the process."""

import contextlib
import os
import time

import pytest

from tests import fuzz
from zsad_core.errors import ZsadError


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_seeds_are_accepted_as_they_are(name):
    _, seeds, use = fuzz.TARGETS[name]
    accepted = 0
    for content in seeds():
        with contextlib.suppress(ZsadError):
            use(content)
            accepted += 1
    assert accepted >= len(seeds()) / 3  # some targets have two readers, and an input is read by one


def test_some_inputs_of_every_target():
    seen = set()
    for number in range(150):
        name, result, says = fuzz.outcome(7, number)
        assert result in (fuzz.ACCEPTED, fuzz.REFUSED), (number, name, says)
        seen.add((name, result))
    assert {name for name, _ in seen} == set(fuzz.TARGETS) and len({result for _, result in seen}) == 2


def test_an_input_follows_from_the_seed_and_its_number_alone():
    forward = [fuzz.make_input(3, number) for number in range(40)]
    assert forward == [fuzz.make_input(3, number) for number in reversed(range(40))][::-1]
    assert forward != [fuzz.make_input(4, number) for number in range(40)]


def misbehave(number):
    if number == 1:
        os.abort()
    if number == 2:
        time.sleep(600)
    return "target", fuzz.ACCEPTED, ""


def test_crashes_and_hangs_are_found_and_the_next_input_has_a_process_again():
    child = fuzz.Child(misbehave, seconds=1)
    assert child.ask(0) == ("target", "accepted", "")
    assert child.ask(1) == ("", "failed", "ends the process (SIGABRT)")
    assert child.ask(0) == ("target", "accepted", "")
    assert child.ask(2) == ("", "failed", "hangs: no answer in 1 s")


def test_the_table_adds_up():
    found = {"a": fuzz.Counter(accepted=2, refused=1), "b": fuzz.Counter(failed=1000)}
    assert fuzz.table(found).splitlines()[2:] == [
        "| a | 3 | 2 | 1 | 0 |", "| b | 1,000 | 0 | 0 | 1,000 |", "| all | 1,003 | 2 | 1 | 1,000 |"
    ]  # fmt: skip
