"""Atari 2600 games, emulated by the Arcade Learning Environment (ale-py)."""

from openenv_atari_server.environment import AtariEnvironment

__all__ = ["AtariEnvironment"]
