"""Long runs: ``python -m tests.soak [--only NAME] [--write docs/soak.md]``, or ``make soak``, a quarter of an hour.

Each scenario is a module with ``run(length)``; ``test_soak.py`` runs short forms of some with all other tests.
"""
