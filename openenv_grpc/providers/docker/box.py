"""The private directory of a container, and the sockets through which it is reached.

    /dev/shm/openenv-ID/             0700, the host's alone: the container never sees it
        owner                        whose it is
        env.sock, env.sock.local     links to the container's sockets, once they are checked
        box/                         the one thing that host and container share: /run/openenv in there
            lifeline.sock            ours, until the container has connected
            env.sock, env.sock.local the container's

The law of this file: what lies in `box` is the container's, at every moment, and may be swapped for something else
between two calls. So it is never opened by name, never followed, never written to. Sockets are linked into the
directory above, where the container cannot reach, and looked at there.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openenv_grpc.errors import ServerUnavailable, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

INSIDE = "/run/openenv"
ADDRESS = f"unix:{INSIDE}/env.sock"
LIFELINE = f"{INSIDE}/lifeline.sock"
CONTAINER_USER = 65532
"""Who the environment is, where the client is root: nobody else's number."""
_TMPFS = 0x01021994
"""What `statfs(2)` says of it (linux/magic.h)."""
_NAME = re.compile(r"openenv-[0-9a-f]{16}\Z")
_SOCKETS = ("env.sock", "env.sock.local")


def user() -> int:
    """The user (and group) inside a container: the client's own, but never root."""
    return os.geteuid() or CONTAINER_USER


def group() -> int:
    """The group inside a container."""
    return os.getegid() if os.geteuid() else CONTAINER_USER


def bases() -> list[Path]:
    """Where private directories are made, best first.

    All are in memory: there what a container writes is charged to its own limit, and on a disk it would have none.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    found = [Path("/dev/shm"), *([Path(runtime)] if runtime else []), Path(tempfile.gettempdir())]
    return [base for base in found if os.access(base, os.W_OK | os.X_OK) and in_memory(base)]


def in_memory(path: Path) -> bool:
    """Whether a directory lies in a tmpfs."""
    facts = ctypes.create_string_buffer(512)
    found = ctypes.CDLL(None).statfs(os.fsencode(path), facts) == 0
    return found and int.from_bytes(facts.raw[: struct.calcsize("l")], sys.byteorder) == _TMPFS


@dataclass(frozen=True)
class Box:
    """One private directory."""

    root: Path

    @classmethod
    def make(cls, lease_id: str, owner: str, expires: float) -> Box:
        """Make one.

        Raises:
            Unsupported: There is nowhere to.
        """
        for base in bases():
            box = cls(base / f"openenv-{lease_id}")
            with contextlib.suppress(PermissionError):
                box.root.mkdir(mode=0o700)
                facts = {"owner": owner, "lease": lease_id, "expires": expires}
                (box.root / "owner").write_text(json.dumps(facts))
                box.shared.mkdir(mode=0o700)
                if user() != os.geteuid():
                    os.chown(box.shared, user(), group())
                return box
        msg = (
            "there is no directory in memory to share with a container: none of /dev/shm, XDG_RUNTIME_DIR and the "
            "temporary directory is a tmpfs that this user can write to; mount one: mount -t tmpfs tmpfs /dev/shm"
        )
        raise Unsupported(msg, field="provider")

    @property
    def shared(self) -> Path:
        """What the container sees."""
        return self.root / "box"

    @property
    def address(self) -> str:
        """Where clients reach the server, once it is linked."""
        return f"unix:{self.path}"

    @property
    def path(self) -> str:
        """The socket behind that address."""
        return str(self.root / _SOCKETS[0])

    def listen(self) -> socket.socket:
        """The lifeline's socket, for one connection. Call it before the container is started."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path = self.shared / "lifeline.sock"
            listener.bind(str(path))
            os.chmod(path, 0o666)  # what lies above it lets nobody else pass
            listener.listen(1)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener

    def link(self) -> None:
        """Take the container's sockets where it cannot change them any more.

        Raises:
            ServerUnavailable: It has none, or something else in their place.
        """
        for name in _SOCKETS:
            mine = self.root / name
            try:
                os.link(self.shared / name, mine, follow_symlinks=False)
            except FileNotFoundError:
                if name == _SOCKETS[0]:
                    msg = "the container says that it serves, and there is no socket"
                    raise ServerUnavailable(msg) from None
                continue  # it offers no local lane
            except OSError as error:
                msg = f"the container's socket cannot be used: {error.strerror}"
                raise ServerUnavailable(msg) from None
            if not stat.S_ISSOCK(os.lstat(mine).st_mode):
                os.unlink(mine)
                msg = "the container has something else than a socket in its place"
                raise ServerUnavailable(msg)

    def move(self, generation: int) -> str:
        """Have the server reached at another address, and no more at the one before; the new one is returned."""
        before = [name for name in os.listdir(self.root) if name.startswith("env")]
        for name in before:
            suffix = ".sock.local" if name.endswith(".local") else ".sock"
            os.rename(self.root / name, self.root / f"env-{generation}{suffix}")
        return f"unix:{self.root}/env-{generation}.sock"

    def remove(self) -> None:
        """Remove it with all that the container left there. Call it when the container is gone."""
        remove_tree(self.root)


def remove_tree(path: Path) -> None:
    """Remove a tree that may be of any depth, with files of any mode; nothing outside it is touched."""
    with contextlib.suppress(OSError, RecursionError):
        shutil.rmtree(path)
    if not path.exists():
        return
    # Deeper than Python's recursion, or closed to us by its modes: neither program follows links on its way.
    for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf", "--one-file-system"]):
        subprocess.run([*command, "--", str(path)], stdin=subprocess.DEVNULL, capture_output=True, check=False)


@dataclass(frozen=True)
class Found:
    """A private directory that was found."""

    root: Path
    owner: str
    lease: str
    expires: float


def find_boxes() -> Iterator[Found]:
    """All private directories of this user, with what their owners wrote. Others are not looked at."""
    for base in bases():
        for root in base.glob("openenv-*"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                status = os.lstat(root)
                mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
                if mine and _NAME.match(root.name):
                    facts = json.loads((root / "owner").read_text())
                    yield Found(root, str(facts["owner"]), str(facts["lease"]), float(facts["expires"]))
