"""The server process: a router. It opens sessions, relays frames, enforces limits; it runs no environment code."""
