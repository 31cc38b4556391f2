"""Servers that are measured."""
