"""A model of what a cluster costs, fitted to small runs and compared with larger ones: `python -m bench.scaling`."""
