"""A comparison of Crosswire with other servers: the same work, one load generator."""
