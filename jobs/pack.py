"""Pack raw images, in the layout of their benchmark's owners, into Parquet shards with a manifest.

zsad pack HeadCT ~/data/HeadCT shards                         a benchmark of the table (`zsad ls benchmarks`)
zsad pack all ~/data shards                                   each of them that ~/data has a folder of that name
zsad pack cookies.toml ~/cookies shards                       data of your own, described by a file
zsad pack --layout mvtec --name cookies ~/cookies shards      the same in short: folder names are the categories

A description, all but name and layout may be left out:

    name = "cookies"
    layout = "mvtec"                  # how the files lie on disk, see below
    domain = "food"
    levels = ["image", "pixel"]       # default: image, and pixel if there are masks
    auxiliary = "VisA"                # the benchmark that a checkpoint has to be trained on
    mask_threshold = 128              # a mask pixel above it (0..255) is anomalous

    [categories.dark_01]              # its folder; without such tables every folder is a category, else each needs one
    name = "dark"                     # what the tables of figures call it; default: the folder's name
    prompt = "dark chocolate cookie"  # what the text prompts call it; default: the folder's name
    small_defect = true               # its defects are small: the image score averages fewer pixels of the map
    test_normal = 31                  # how many images are expected, for a warning if there are others
    test_anomalous = 32

Layouts for data of your own (yes-no, pairs and ksdd2 hold one category, whose table may have any name):

    mvtec     CATEGORY/test/good/001.png, CATEGORY/test/DEFECT/001.png, CATEGORY/ground_truth/DEFECT/001_mask.png
    btad      the same with CATEGORY/test/ok, CATEGORY/test/ko and CATEGORY/ground_truth/ko/001.png
    visa      split_csv/1cls.csv, a table with the columns object, split (test), label (normal, anomaly), image, mask
    yes-no    no/NAME.jpg, yes/NAME.jpg; no masks
    pairs     images/NAME.jpg, masks/NAME.png; every image is anomalous
    ksdd2     test/NAME.png, test/NAME_GT.png; an image with a black mask is normal
    curated   meta.json, {"test": {CATEGORY: [{"img_path": ..., "mask_path": ..., "anomaly": 0 or 1}, ...]}}
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsad_core.benchmarks.table import Benchmark

ALL = "all"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "zsad pack [options] BENCHMARK SOURCE SHARDS\n"
        "       zsad pack [options] all SOURCES SHARDS\n"
        "       zsad pack [options] FILE.toml SOURCE SHARDS\n"
        "       zsad pack [options] --layout LAYOUT --name NAME SOURCE SHARDS"
    )
    parser.add_argument("places", nargs="+", metavar="[BENCHMARK] SOURCE SHARDS")
    add_own_options(parser)
    parser.add_argument("--variant", help="which of a benchmark's published test lists (BrainMRI: bayes-pfl, all)")
    parser.add_argument(
        "--strict", action="store_true", help="refuse a source whose counts are not those expected, or with bad files"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what was packed there before")
    parser.add_argument("--shard-size", type=int, metavar="IMAGES", help="images a shard (default: 64)")


def add_own_options(parser: argparse.ArgumentParser) -> None:
    """The options that describe data of one's own."""
    parser.add_argument("--layout", help="how data of your own lies on disk (`zsad pack --help` lists the layouts)")
    parser.add_argument("--name", help="what data of your own is called")
    parser.add_argument(
        "--mask-threshold", type=int, metavar="GREY", help="a mask pixel above it (0..255) is anomalous (default: 128)"
    )


def described_benchmark(name: str | None, options: argparse.Namespace) -> Benchmark:
    """The benchmark of the table called `name`, that of the file `name`.toml, or the one that the options describe."""
    from zsad_core.benchmarks.table import benchmark, benchmark_from_toml, own_benchmark
    from zsad_core.errors import UsageError

    own = {key: getattr(options, key) for key in ("layout", "name", "mask_threshold")}
    own = {key: value for key, value in own.items() if value is not None}
    in_file = name is not None and name.lower().endswith(".toml")
    if name is not None and own:
        raise UsageError(
            f"--layout, --name and --mask-threshold describe data of your own, {name} is "
            + ("described by its file" if in_file else "a benchmark")
        )
    if name is not None and not in_file:
        return benchmark(name, options.variant)
    if options.variant:
        raise UsageError(f"--variant {options.variant}: data of your own has one test list only")
    if name is not None:
        from pipelines import storage

        return benchmark_from_toml(storage.read_text(storage.normalise(name)), name)
    if not (options.layout and options.name):
        raise UsageError("data of your own needs both --layout and --name; a benchmark of the table is named instead")
    return own_benchmark(**own)


def run(options: argparse.Namespace) -> int:
    from pipelines.sources import SHARD_SIZE
    from zsad_core.errors import UsageError

    *names, source, shards = options.places if len(options.places) > 1 else [*options.places, None]
    if shards is None or len(names) > 1 or bool(names) == bool(options.layout or options.name):
        raise UsageError("write `zsad pack BENCHMARK SOURCE SHARDS`, or --layout and --name with SOURCE SHARDS")
    size = SHARD_SIZE if options.shard_size is None else options.shard_size
    if size < 1:
        raise UsageError(f"--shard-size {size}: at least 1 is needed")
    how = {"strict": options.strict, "overwrite": options.overwrite, "shard_size": size}
    if names == [ALL]:
        if options.variant or options.mask_threshold is not None:
            raise UsageError("--variant and --mask-threshold are for one benchmark, not for all")
        return _pack_all(source, shards, how)
    _pack(described_benchmark(names[0] if names else None, options), source, shards, how)
    return 0


def _pack_all(sources: str, shards: str, how: dict) -> int:
    """Pack every benchmark that has a folder in `sources`; what fails is said at the end."""
    from pipelines import console, storage
    from zsad_core.benchmarks.table import benchmarks
    from zsad_core.errors import ZsadError

    place, _ = storage.normalise(sources), storage.normalise(shards)  # wrong URIs are said once, not for each
    if not storage.is_directory(place):
        raise ZsadError(f"{place}: no such directory")
    folders = storage.list_names(place)
    absent, failed = [], []
    for benchmark in benchmarks():
        named = [name for name in folders if name.casefold() == benchmark.name.casefold()]
        if not named:
            absent.append(benchmark.name)
            continue
        try:
            if len(named) > 1:
                raise ZsadError(f"{sources}: {' and '.join(named)} are the same benchmark; keep one")
            _pack(benchmark, storage.join(place, named[0]), shards, how)
        except (ZsadError, OSError) as error:
            failed.append(benchmark.name)
            console.say(f"{benchmark.name} failed: {error}")
    if len(absent) == len(benchmarks()):
        raise ZsadError(f"{sources}: no folder there is named as a benchmark of the table is (`zsad ls benchmarks`)")
    if absent:
        known = {benchmark.name.casefold() for benchmark in benchmarks()}
        if others := [name for name in folders if name.casefold() not in known and not name.startswith(".")]:
            console.say(f"not called as a benchmark is, so not packed: {', '.join(others)}")
        console.say(f"not in {sources}: {', '.join(absent)}")
    if failed:
        console.say(f"not packed: {', '.join(failed)}")
    return 1 if failed else 0


def _pack(benchmark: Benchmark, source: str, shards: str, how: dict) -> None:
    """Pack one benchmark and say what came of it."""
    from pipelines import console
    from pipelines.pack import pack
    from pipelines.shards import shown_warnings

    manifest = pack(benchmark, source, shards, **how)
    for line in shown_warnings(manifest):
        console.say(line)
    counts = [
        each for each in manifest["categories"].values() if each["normal"] + each["anomalous"] + each["unlabelled"]
    ]
    normal, anomalous, unlabelled = (
        sum(each[kind] for each in counts) for kind in ("normal", "anomalous", "unlabelled")
    )
    unusable, maskless = (sum(each[kind] for each in counts) for kind in ("errors", "mask_errors"))
    print(
        f"{benchmark.name}: {normal:,} normal and {anomalous:,} anomalous images"
        + (f", {unlabelled:,} without a label" if unlabelled else "")
        + (f", {unusable:,} of them unusable" if unusable else "")
        + (f", {maskless:,} without a usable mask" if maskless else "")
        + f"; categories: {len(counts)}, shards: {len(manifest['files'])} "
        f"({sum(file['bytes'] for file in manifest['files']) / 1e6:,.1f} MB) in {shards.rstrip('/')}/{benchmark.name}"
    )


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("pack")
