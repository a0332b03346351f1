"""Pack raw images, in the layout of their benchmark's owners, into Parquet shards with a manifest.

zsad pack HeadCT ~/data/HeadCT shards                         a benchmark of the table (`zsad ls benchmarks`)
zsad pack --layout mvtec --name cookies ~/cookies shards      data of your own
"""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "zsad pack BENCHMARK SOURCE SHARDS\n       zsad pack --layout LAYOUT --name NAME SOURCE SHARDS"
    parser.add_argument("places", nargs="+", metavar="[BENCHMARK] SOURCE SHARDS")
    add_own_options(parser)
    parser.add_argument("--variant", help="which of a benchmark's published test lists (BrainMRI: bayes-pfl, all)")
    parser.add_argument("--strict", action="store_true", help="refuse a source whose counts are not the published ones")
    parser.add_argument("--overwrite", action="store_true", help="replace what was packed there before")
    parser.add_argument("--shard-size", type=int, metavar="IMAGES", help="images a shard (default: 64)")


def add_own_options(parser: argparse.ArgumentParser) -> None:
    """The options that describe data of one's own."""
    parser.add_argument("--layout", help="how data of your own lies on disk: mvtec, or curated (a meta*.json)")
    parser.add_argument("--name", help="what data of your own is called")
    parser.add_argument(
        "--mask-threshold", type=int, metavar="GREY", help="a mask pixel above it (0..255) is anomalous (default: 128)"
    )


def described_benchmark(name: str | None, options: argparse.Namespace):
    """The benchmark of the table called `name`, or the data of one's own that the options describe."""
    import dataclasses

    from zsad_core.benchmarks.table import benchmark, own_benchmark
    from zsad_core.errors import UsageError

    own = (options.layout, options.name, options.mask_threshold)
    if name is not None:
        if own != (None, None, None):
            raise UsageError(f"--layout, --name and --mask-threshold describe data of your own, {name} is a benchmark")
        return benchmark(name, options.variant)
    if not (options.layout and options.name):
        raise UsageError("data of your own needs both --layout and --name; a benchmark of the table is named instead")
    if options.variant:
        raise UsageError(f"--variant {options.variant}: data of your own has one test list only")
    if options.mask_threshold is not None and not 0 <= options.mask_threshold < 255:
        raise UsageError(f"--mask-threshold {options.mask_threshold}: a grey value from 0 to 254 is needed")
    described = own_benchmark(options.name, options.layout)
    if options.mask_threshold is None:
        return described
    return dataclasses.replace(described, mask_threshold=options.mask_threshold)


def run(options: argparse.Namespace) -> int:
    from pipelines import engine
    from pipelines.pack import SHARD_SIZE, pack
    from zsad_core.errors import UsageError

    *names, source, shards = options.places if len(options.places) > 1 else [*options.places, None]
    if shards is None or len(names) > 1 or bool(names) == bool(options.layout or options.name):
        raise UsageError("write `zsad pack BENCHMARK SOURCE SHARDS`, or --layout and --name with SOURCE SHARDS")
    size = SHARD_SIZE if options.shard_size is None else options.shard_size
    if size < 1:
        raise UsageError(f"--shard-size {size}: at least 1 is needed")
    benchmark = described_benchmark(names[0] if names else None, options)
    manifest = pack(benchmark, source, shards, strict=options.strict, overwrite=options.overwrite, shard_size=size)
    for warning in manifest["warnings"]:
        engine.say(f"warning: {warning}")
    counts = [
        each for each in manifest["categories"].values() if each["normal"] + each["anomalous"] + each["unlabelled"]
    ]
    normal, anomalous, unlabelled = (
        sum(each[kind] for each in counts) for kind in ("normal", "anomalous", "unlabelled")
    )
    unusable = sum(each["errors"] for each in counts)
    print(
        f"{benchmark.name}: {normal:,} normal and {anomalous:,} anomalous images"
        + (f", {unlabelled:,} without a label" if unlabelled else "")
        + (f", {unusable:,} of them unusable" if unusable else "")
        + f"; categories: {len(counts)}, shards: {len(manifest['files'])} "
        f"({sum(file['bytes'] for file in manifest['files']) / 1e6:,.1f} MB) in {shards.rstrip('/')}/{benchmark.name}"
    )
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("pack")
