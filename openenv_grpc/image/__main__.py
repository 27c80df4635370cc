"""`python -m openenv_grpc.image NAME ROOT`: finishes an installation that becomes an image.

Serves the environment once, so that a broken one breaks the build, Python's byte code of all that a server loads is
there before the file system is read-only, and the image can say what it serves. Then moves all of it to ROOT.
"""

from __future__ import annotations

import sys
from pathlib import Path

from openenv_grpc.image.finish import finish

finish(sys.argv[1], Path(sys.argv[2]))
