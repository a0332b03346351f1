"""Sources that are lists of file names alone, for the tests of layouts."""

import posixpath

from zsad_core.benchmarks.layouts import Tree, list_samples
from zsad_core.benchmarks.table import benchmark


def tree(*paths, texts=None):
    """A source of these files; a path that ends in / is an empty directory."""
    texts = texts or {}
    files = [path for path in [*paths, *texts] if not path.endswith("/")]
    directories = {path.rstrip("/") for path in paths if path.endswith("/")}
    for path in files + list(directories):
        while path := posixpath.dirname(path):
            directories.add(path)

    def read(path):
        return texts[path].encode() if isinstance(texts[path], str) else texts[path]

    return Tree(sorted(files), sorted(directories), read)


def samples_of(name, *paths, **options):
    """The samples of a benchmark in the table, whose source is the tree of these files."""
    return list_samples(benchmark(name), tree(*paths, **options)).samples


def table_of(samples):
    """key -> (category, defect, label, mask)."""
    return {sample.key: (sample.category, sample.defect, sample.label, sample.mask) for sample in samples}
