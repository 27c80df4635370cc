"""`openenv-grpc rollout`: play whole episodes of an environment and write down what came of them.

`command` reads the command line and joins the others: `episodes` counts, `policies` choose actions, `play` is the
loop between both, with batches in flight, `display` shows, `records` writes.
"""

from openenv_grpc.cli.rollout.command import rollout

__all__ = ["rollout"]
