"""The seat plan of a theatre, with a test that finds a bug by a seed."""
