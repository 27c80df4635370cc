"""Echo: says back what it is told. The template to copy for an environment of your own."""

from openenv_echo_server.environment import EchoEnvironment

__all__ = ["EchoEnvironment"]
