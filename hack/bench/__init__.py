"""Benchmarks of the operator on the development cluster: `make bench`."""
