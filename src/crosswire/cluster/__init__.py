"""Members of a cluster and what carries messages between them."""
