"""The 15 benchmarks as data, their layouts on disk, and a drawn data set that needs no download."""
