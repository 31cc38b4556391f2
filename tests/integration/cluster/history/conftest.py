from __future__ import annotations

from tests.integration.cluster.conftest import bus, loop_factory, redis_bus, redis_process

__all__ = ("bus", "loop_factory", "redis_bus", "redis_process")
