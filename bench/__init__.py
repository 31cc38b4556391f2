"""Benchmarks of Crosswire: `python -m bench`, from the root of the repository."""
