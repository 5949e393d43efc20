"""Benchmarks (`make bench`): the portal, its measured floor and a plain-Django twin, over the same rows in one run."""
