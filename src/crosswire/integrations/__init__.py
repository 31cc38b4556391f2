"""Crosswire with other programs: Prometheus, OpenTelemetry."""
