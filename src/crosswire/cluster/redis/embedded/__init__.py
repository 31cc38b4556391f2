"""A Redis or Valkey server that Crosswire runs by itself, for development and tests."""
