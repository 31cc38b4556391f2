"""Fixtures for the tests of the seat plan."""

pytest_plugins = ["crosswire.testing.pytest_plugin"]
