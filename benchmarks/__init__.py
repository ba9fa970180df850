"""Benchmarks: pysquash beside the C tools, on trees out of package registries. Run with `make bench`."""
