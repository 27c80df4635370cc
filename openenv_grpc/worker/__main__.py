"""`python -m openenv_grpc.worker CONTROL_FD MODULE:CLASS NAME`: the warm parent, started by the server."""

import sys

from openenv_grpc.worker.parent import main

main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
