"""A Redis for the TypeScript client's tests. It prints its URL, and ends with its standard input.

Run: python -m tests.browser.redis_program
"""

from __future__ import annotations

import sys

from crosswire.testing.redis_process import RedisProcess


def main() -> None:
    """Run until nobody holds the other end of standard input."""
    with RedisProcess() as redis:
        print(redis.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
