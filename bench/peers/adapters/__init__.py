"""Adapters: each is a server of one peer, as a good user of that peer writes it."""
