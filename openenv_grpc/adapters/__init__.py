"""Adapters: environments behind a server as other libraries expect them, one file per library."""
