"""Commands of the project that are not tests."""
