"""Micro-benchmarks: the parts of pysquash one by one. `make micro` times them; as plain tests, each runs once."""
