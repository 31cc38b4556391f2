from __future__ import annotations

from hypothesis import HealthCheck, settings

# No deadline: these tests share their machine. What they check is bounded by pytest's own timeout.
settings.register_profile("unit", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")
