"""Fuzzing: bytes from the network, from the bus, from Redis and from a server, mutated with the coverage as a guide.

``python -m tests.fuzz [TARGET ...] --seconds N``, or ``make fuzz``. A target is a file of this folder; its corpus is in
``corpus/TARGET`` and is replayed by ``test_corpus.py`` with all other tests.
"""
