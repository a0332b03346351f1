"""Damaged and hostile inputs by the thousand: each has to give a value or a ZsadError, soon and in little memory.

`python -m tests.fuzz --inputs 100000`; input number n follows from the seed and n alone, `--only N` runs it again.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.fuzz_targets import TARGETS, mutated_manifest
from zsad_core.errors import ZsadError

SECONDS = 10  # that an input may take
MEMORY = 5 * 2**28  # bytes that one may make the process grow by
ADDRESSES = 2**33  # bytes of address space that it may ask for beyond what libraries take
ACCEPTED, REFUSED = "accepted", "refused"
# Those that libraries misread: none, one, the largest and the smallest, round ones and their neighbours.
EXTREMES = [
    0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1,
]  # fmt: skip


def mutated(rng: random.Random, content: bytes, other: bytes) -> bytes:
    """`content` with a few kinds of damage, most of it near its ends, where the headers of files are."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        length = len(content)
        near = rng.choice((32, 256, length))
        at = min(length, rng.randrange(near + 1)) if rng.random() < 0.7 else max(0, length - rng.randrange(near + 1))
        end = min(length, at + rng.choice((1, 4, 16, 64, 256)))
        changed = bytearray(content)
        match rng.randrange(9):
            case 0 | 1:
                for _ in range(rng.randint(1, 8)):
                    if at < length:
                        place = rng.randrange(at, end)
                        changed[place] ^= 1 << rng.randrange(8)
            case 2 | 3 | 4:
                size = rng.choice((1, 2, 4, 8))
                value = rng.choice(EXTREMES) % 256**size
                changed[at : at + size] = value.to_bytes(size, rng.choice(("big", "little")))
            case 5:
                del changed[at:]
            case 6:
                changed[at:at] = rng.randbytes(rng.randint(1, 32))
            case 7:
                changed[end:end] = changed[at:end] * rng.randint(1, 3)
            case 8:
                changed[at:] = other[rng.randrange(len(other) + 1) :]
        content = bytes(changed)
    return with_checksums(content) if rng.random() < 0.5 else content


def with_checksums(content: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what they hold, so that their damage reaches the decoder."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    changed, at = bytearray(content), 8
    while at + 12 <= len(changed):
        end = at + 8 + int.from_bytes(changed[at : at + 4], "big")
        if end + 4 > len(changed):
            break
        changed[end : end + 4] = zlib.crc32(changed[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(changed)


def make_input(seed: int, number: int) -> tuple[str, bytes]:
    """The target and the content of input `number`."""
    rng = random.Random(f"{seed} {number}")
    (name,) = rng.choices([*TARGETS], [weight for weight, _, _ in TARGETS.values()])
    seeds = TARGETS[name][1]()
    if name == "manifests" and rng.random() < 0.7:
        return name, mutated_manifest(rng)
    return name, mutated(rng, rng.choice(seeds), rng.choice(seeds))


def outcome(seed: int, number: int) -> tuple[str, str, str]:
    """(target, "accepted", "refused" or "failed", what it says) of one input."""
    name, content = make_input(seed, number)
    try:
        TARGETS[name][2](content)
    except ZsadError as error:
        wrong = not str(error) or len(str(error)) > 1000
        return name, "failed" if wrong else REFUSED, str(error)
    except BaseException:  # noqa: BLE001, whatever it is, it is a finding
        return name, "failed", traceback.format_exc()
    return name, ACCEPTED, ""


class Child:
    """`work(number)` in a process of limited memory, which is started again where an input ends it."""

    def __init__(self, work: Callable[[int], tuple[str, str, str]], seconds: float = SECONDS):
        self.work, self.seconds = work, seconds
        self._process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.work), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()  # it is ready

    def ask(self, number: int) -> tuple[str, str, str]:
        """What `work` returns; ("", "failed", why) where it does not return."""
        if self._process is None:
            self._start()
        self._connection.send(number)
        try:
            if self._connection.poll(self.seconds):
                return self._connection.recv()
            why = f"hangs: no answer in {self.seconds} s"
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            why = f"ends the process ({signal.Signals(-code).name if code < 0 else code})"
        self.end()
        return "", "failed", why

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._process = None


def _serve(connection, work: Callable[[int], tuple[str, str, str]]) -> None:
    if getattr(work, "func", None) is outcome:
        for _, seeds, use in TARGETS.values():
            for content in seeds():  # loads all libraries: what grows from now on is an input's
                with contextlib.suppress(ZsadError):
                    use(content)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if os.path.exists("/proc/self/statm") else 0
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ADDRESSES, resource.RLIM_INFINITY))
    highest = _memory()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders in C complain there
    connection.send(None)
    while True:
        answer = work(connection.recv())
        if (now := _memory()) > highest + MEMORY:
            answer = answer[0], "failed", f"takes {(now - highest) / 2**20:.0f} MiB; {answer[2]}"
        highest = max(highest, now)
        connection.send(answer)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def table(found: dict[str, Counter]) -> str:
    lines = ["| target | inputs | accepted | refused with a message | failures |", "|---|---:|---:|---:|---:|"]
    found = found | {"all": sum(found.values(), Counter())}
    for name, each in found.items():
        lines.append(f"| {name} | {each.total():,} | {each[ACCEPTED]:,} | {each[REFUSED]:,} | {each['failed']:,} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="that an input may take (more on a busy machine)"
    )
    parser.add_argument("--only", type=int, help="run this input again, in this process")
    parser.add_argument("--save", default="fuzz-failures", help="folder for inputs that fail")
    options = parser.parse_args(arguments)
    if options.only is not None:
        name, result, says = outcome(options.seed, options.only)
        print(f"{name}: {result}\n{says}")
        return int(result == "failed")
    child = Child(functools.partial(outcome, options.seed), options.seconds)
    found: dict[str, Counter] = {name: Counter() for name in TARGETS}
    shown = time.monotonic()
    for number in range(options.first, options.first + options.inputs):
        name, result, says = child.ask(number)
        name = name or make_input(options.seed, number)[0]
        found[name][result] += 1
        if result == "failed":
            os.makedirs(options.save, exist_ok=True)
            Path(options.save, f"{options.seed}-{number}-{name}").write_bytes(make_input(options.seed, number)[1])
            print(f"input {number}, {name}: {says}", file=sys.stderr, flush=True)
        if time.monotonic() > shown + 30:
            shown = time.monotonic()
            done = number + 1 - options.first
            failed = sum(each["failed"] for each in found.values())
            print(f"{done:,} of {options.inputs:,} inputs, {failed} failures", file=sys.stderr, flush=True)
    child.end()
    print(table(found))
    return int(any(each["failed"] for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
