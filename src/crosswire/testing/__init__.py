"""Contract suites and tools for testing applications and transports; shipped."""
