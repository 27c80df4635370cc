"""`python -m openenv_grpc.server …`: the same as `openenv-grpc serve …`."""

import sys

from openenv_grpc.cli import main

sys.exit(main(["serve", *sys.argv[1:]]))
