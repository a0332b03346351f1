"""Every command of README.md and docs/ is run as it is printed where that is possible here; the others' words are
known.

The data that the documents speak of are drawn at the places that they name; the user's home is the working folder.
"""

import re
import shlex
import subprocess
import sys

import fsspec
import pytest
from PIL import Image

from jobs import cli
from tests import object_store
from tests.documents import NAMES, ROOT, blocks, commands
from zsad_core.benchmarks.drawn import draw_sample
from zsad_core.benchmarks.drawn.miniatures import draw_miniature

pytestmark = pytest.mark.usefixtures("without_ray")

# What is no command of ours, or needs what is not here: an account, another machine, a terminal of its own.
NOT_OURS = r"(source|export|chmod|mkdir|ray|\(umask)\b.*"
BY_CI = r"make (demo|test|s3)\b.*"  # what they call is called by CI, by test_miniatures.py and here
# Needs weights that cannot be had here, hours, or runs of the reader's.
PARSED = {
    "docs/reproducing.md": "published weights, trainings of hours",
    "docs/adding-a-method.md": "runs of three methods",
}
# Documents that are read one after another, in one folder.
READ_TOGETHER = [("README.md", "docs/file-formats.md", "docs/archives.md"), ("docs/adding-a-benchmark.md",)]
RUN = [name for names in READ_TOGETHER for name in names]


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """A folder with what the documents name: data/HeadCT, data/cookies, biscuits, labels as a tool gives them back."""
    folder = tmp_path
    draw_miniature("HeadCT", str(folder / "data" / "HeadCT"), size=96, seed=0)
    for number in range(31):
        _draw(folder, f"good/{number}", None, number)
    for number in range(1, 33):
        _draw(folder, f"defect/anomaly-{number}", "scratch", number)
    labels = [f"good/{number}.jpg,good" for number in range(3)] + ["defect/anomaly-32.jpg,anomalous"]
    known = [f"good/{number}.jpg" for number in range(31)]
    (folder / "known-good.csv").write_text("\n".join(["key", *known]) + "\n")
    (folder / "labelled.csv").write_text("\n".join(["key,label", *labels]) + "\n")
    (folder / "cookies.toml").write_text(
        next(text for kind, text in blocks("docs/adding-a-benchmark.md") if kind == "toml")
    )
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def _draw(folder, name, defect, number):
    """One of the 63 biscuits, here and in MVTec-AD's layout."""
    pixels, mask = draw_sample("leather", defect, number, 96, 0)
    cookie = folder / "data" / "cookies" / "cookie"
    files = {folder / "biscuits" / f"{name}.jpg": pixels, cookie / "test" / f"{name}.jpg": pixels}
    if defect:
        files[cookie / "ground_truth" / f"{name}_mask.png"] = mask
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(file)


def zsad(command):
    words = [
        word.replace("~/", "", 1) if word.startswith("~/") else word for word in shlex.split(command, comments=True)
    ]
    return cli.main(words[1:])


@pytest.mark.parametrize("names", READ_TOGETHER)
def test_what_can_be_run_is_run(names, at_home):
    ran = 0
    for name in names:
        for language, content in blocks(name):
            if language == "python":
                done = subprocess.run([sys.executable, "-c", content], capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{name}:\n{content}\n{done.stderr}"
                assert done.stdout.strip() or "print(" not in content
                ran += 1
            for command in commands(language, content):
                if command.startswith("zsad "):
                    assert zsad(command) == 0, f"{name}: {command}"
                    ran += 1
    assert ran >= 3


@pytest.fixture
def own_store():
    """Nothing in this process remembers a store that other tests talked to, nor they the one of this test."""
    s3 = fsspec.get_filesystem_class("s3")
    s3.clear_instance_cache()
    yield
    s3.clear_instance_cache()


def test_the_same_on_an_object_store(at_home, own_store, monkeypatch):
    (block,) = [content for _, content in blocks("docs/cluster.md") if "export AWS_ENDPOINT_URL" in content]
    printed = dict(word.split("=", 1) for word in shlex.split(block.partition("export ")[2]))
    assert printed == object_store.environment(object_store.PORT)
    port = object_store.free_port()
    for variable, value in object_store.environment(port).items():
        monkeypatch.setenv(variable, value)
    server = object_store.start_server(port)
    try:
        (content,) = [text for _, text in blocks("docs/cluster.md") if "s3://zsad/shards" in text and "$ zsad" in text]
        for command in commands("", content):
            assert zsad(command) == 0, command
    finally:
        server.kill()


@pytest.mark.parametrize("name", NAMES)
def test_every_other_command_is_one_that_there_is(name, monkeypatch):
    """Its options are known, whatever they name."""
    for job in cli.JOBS:
        monkeypatch.setattr(f"jobs.{job}.run", lambda options: 0)
    for language, content in blocks(name):
        for command in commands(language, content):
            command = re.sub(r"ray job submit .* -- python -m jobs\.", "zsad ", command)  # noqa: PLW2901
            if command.startswith("zsad "):
                assert name in (*RUN, *PARSED, "docs/cluster.md"), f"{name}: is neither run nor explained"
                assert zsad(command) == 0, command
            elif command.startswith("python -m perf."):
                _check_options(command)
            else:
                assert re.fullmatch(f"{NOT_OURS}|{BY_CI}", command), f"{name}: {command}"


@pytest.mark.parametrize("name", NAMES)
def test_measurements_that_are_named_take_the_options_they_are_named_with(name):
    for command in re.findall(r"`(python -m perf\.[^`]*)`", (ROOT / name).read_text()):
        _check_options(command)


def _check_options(command):
    module, *words = shlex.split(command)[2:]
    path = ROOT / f"{module.replace('.', '/')}.py"
    source = path.read_text()
    for option in (word for word in words if word.startswith("--")):
        assert f'"{option}"' in source, f"{command}: {option} is none of {path.name}"
