"""Pure logic: no asyncio, no sockets, no clock, no Redis."""
