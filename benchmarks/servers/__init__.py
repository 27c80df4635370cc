"""The servers of contestants that are not ours. Each tells its address on stdout and ends when its stdin does.

Standard library alone: OpenEnv's server runs in an environment of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading


def serving_at(address: str, directory: str = "") -> None:
    """Tell the benchmark that this server serves; end with it and remove the directory of its socket."""
    print(json.dumps({"address": address}), flush=True)
    threading.Thread(target=_end_with_stdin, args=(directory,), daemon=True).start()


def _end_with_stdin(directory: str) -> None:
    sys.stdin.read()
    if directory:
        shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)
