"""The host's kernel and this process: what the wall and the local lane stand on. What can be tried is tried."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from openenv_grpc.providers.doctor.finding import Finding, State
from openenv_grpc.session.local import SHAREABLE

MIB = 1 << 20
SHM_WANTED = 256 * MIB
OLDEST_KERNEL = (5, 1)
"""Of the seal that keeps shared memory from being written by who receives it."""
SCHEDULER_KERNEL = (6, 12)
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_VERSION = 1
_CLONE_NEWUSER = 0x1000_0000


def examine() -> list[Finding]:
    """All about the host."""
    checks = (
        kernel,
        cpus,
        python,
        shared_memory,
        temporary,
        memfd,
        fd_passing,
        namespaces,
        landlock,
        bubblewrap,
        apparmor,
    )
    return [check() for check in checks]


def kernel() -> Finding:
    """Linux, and which."""
    release = platform.release()
    version = tuple(int(part) for part in release.replace("-", ".").split(".")[:2] if part.isdecimal())
    found = f"{platform.system()} {release} {platform.machine()}"
    if platform.system() != "Linux" or version < OLDEST_KERNEL:
        return Finding("kernel", State.MISSING, found, "Linux 5.1 or later is needed", needed=True)
    if version < SCHEDULER_KERNEL:
        return Finding(
            "kernel", State.LIMITED, found, "from 6.12 on relaying threads get short time slices", needed=True
        )
    return Finding("kernel", State.WORKS, found, needed=True)


def cpus() -> Finding:
    """Cores that this process may use."""
    usable, there = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    if usable == 1:
        return Finding("cores", State.LIMITED, "1", "client and environment take turns; two or more are faster")
    return Finding("cores", State.WORKS, f"{usable} of {there}" if usable < there else str(usable))


def python() -> Finding:
    """This interpreter."""
    found = f"{platform.python_implementation()} {platform.python_version()}"
    return Finding("Python", State.WORKS, found, needed=True)


def shared_memory(path: str = "/dev/shm") -> Finding:
    """Where private directories are made: in memory, what a container writes there is charged to it."""
    kind = file_system(path)
    if kind != "tmpfs" or not os.access(path, os.W_OK):
        where = f"{path} is {kind or 'not there'}"
        advice = "mount a tmpfs there; until then containers need XDG_RUNTIME_DIR or the temporary directory to be one"
        return Finding("shared memory", State.LIMITED, where, advice)
    space = os.statvfs(path)
    size, free = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
    found = f"{path}: tmpfs of {size // MIB:,} MiB, {free // MIB:,} free"
    if free < SHM_WANTED:
        return Finding("shared memory", State.LIMITED, found, f"make it larger: mount -o remount,size=1g {path}")
    return Finding("shared memory", State.WORKS, found)


def temporary() -> Finding:
    """Whether containers can be given file systems in memory."""
    known = Path("/proc/filesystems").read_text().split() if os.path.exists("/proc/filesystems") else []
    if "tmpfs" not in known:
        return Finding("tmpfs", State.MISSING, "the kernel has none", "it needs CONFIG_TMPFS", needed=True)
    return Finding("tmpfs", State.WORKS, "a container's /tmp lies in memory, of a fixed size", needed=True)


def file_system(path: str) -> str:
    """The kind of file system that is mounted exactly there; "" for none."""
    found = ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split(" ")
        if where == path:
            found = kind
    return found


def memfd() -> Finding:
    """Memory that can be sealed before it is shared."""
    try:
        fd = os.memfd_create("openenv", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        try:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SHAREABLE)
        finally:
            os.close(fd)
    except OSError as error:
        return Finding("sealed memory", State.MISSING, str(error), "Linux 5.1 or later is needed", needed=True)
    return Finding("sealed memory", State.WORKS, "memfd with seals: the local lane", needed=True)


def fd_passing() -> Finding:
    """File descriptors through unix sockets."""
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            socket.send_fds(ours, [b"x"], [theirs.fileno()])
            _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
            for fd in fds:
                os.close(fd)
    except OSError as error:
        return Finding("descriptor passing", State.MISSING, str(error), "the local lane will not be used")
    return Finding("descriptor passing", State.WORKS, "unix sockets with SOCK_SEQPACKET: the local lane")


def namespaces() -> Finding:
    """User namespaces, which sandboxes use, and which widen what a user may ask of a kernel."""
    code = f"import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare({_CLONE_NEWUSER}) != 0)"
    tried = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    who = "root" if os.geteuid() == 0 else "this user"
    if tried.returncode == 0:
        return Finding("user namespaces", State.WORKS, f"{who} can make them; hardened containers cannot")
    advice = (
        "only for sandboxes of your own on this host: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone"
    )
    return Finding("user namespaces", State.MISSING, f"{who} cannot make them", advice)


def landlock() -> Finding:
    """A wall inside the wall: a process that locks itself in."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_LANDLOCK_VERSION))
    if version >= 1:
        return Finding("Landlock", State.WORKS, f"ABI {version}")
    advice = "Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK, and landlock in the boot option lsm="
    return Finding("Landlock", State.MISSING, os.strerror(ctypes.get_errno()), advice)


def bubblewrap() -> Finding:
    """The program bwrap."""
    path = shutil.which("bwrap")
    if path is None:
        return Finding("bubblewrap", State.MISSING, "no program bwrap", "nothing here needs it; apt install bubblewrap")
    told = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return Finding("bubblewrap", State.WORKS, told.stdout.strip() or path)


def apparmor() -> Finding:
    """A second opinion on what a container may open."""
    try:
        enabled = Path("/sys/module/apparmor/parameters/enabled").read_text().strip() == "Y"
    except OSError:
        enabled = False
    if enabled:
        return Finding("AppArmor", State.WORKS, "enabled; containers get the engine's profile")
    advice = "containers are held without it; a kernel of Debian or Ubuntu has it (apt install apparmor)"
    return Finding("AppArmor", State.MISSING, "not enabled", advice)
