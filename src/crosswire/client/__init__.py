"""The reconnecting client."""

from crosswire.client.client import Client

__all__ = ["Client"]
