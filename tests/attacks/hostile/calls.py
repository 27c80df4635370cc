"""System calls by number, what came of them as text: `ok`, the error's name, or the signal that ended who tried."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

X86_64 = {
    "read": 0, "ptrace": 101, "syslog": 103, "modify_ldt": 154, "pivot_root": 155, "chroot": 161, "acct": 163,
    "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "reboot": 169, "sethostname": 170, "iopl": 172,
    "ioperm": 173, "init_module": 175, "quotactl": 179, "lookup_dcookie": 212, "clock_settime": 227, "mbind": 237,
    "set_mempolicy": 238, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "migrate_pages": 256,
    "unshare": 272, "move_pages": 279, "perf_event_open": 298, "fanotify_init": 300, "open_by_handle_at": 304,
    "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313,
    "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "memfd_secret": 447,
}  # fmt: skip
"""Numbers of `arch/x86/entry/syscalls/syscall_64.tbl`. Another machine has others: there the tests skip these."""


def outcome(attempt: Callable[[], Any]) -> str:
    """What came of an attempt: `ok`, or the name of the error number."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "ok"


def system_call(number: int, *arguments: Any) -> str:
    """One system call; `ok` or the error's name."""
    ctypes.set_errno(0)
    found = _libc.syscall(ctypes.c_long(number), *(ctypes.c_long(value) for value in arguments))
    return "ok" if found >= 0 else errno.errorcode.get(ctypes.get_errno(), "unknown")


def in_child(attempt: Callable[[], str], timeout_s: int = 10) -> str:
    """The same in a process of its own, whose end by a signal is an outcome too."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(timeout_s)
            os.write(writing, attempt().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return text or (signal.Signals(-code).name if code < 0 else f"exit {code}")


def forbidden_calls() -> dict[str, str]:
    """All calls of the table, with arguments that are harmless should they be allowed."""
    found = {}
    for name, number in X86_64.items():
        if name == "unshare":
            arguments: tuple[int, ...] = (0x1000_0000,)  # CLONE_NEWUSER
        elif name in ("modify_ldt", "ptrace", "kcmp"):
            arguments = (0, os.getppid(), 0, 0, 0)
        else:
            arguments = (-1, 0, 0, 0, 0, 0) if name != "memfd_secret" else (0,)
        found[name] = in_child(lambda number=number, arguments=arguments: system_call(number, *arguments))
    return found


def namespaces() -> dict[str, str]:
    """Every kind of namespace, by clone and by clone3."""
    found = {}
    for name, flag in {
        "mount": 0x0002_0000, "cgroup": 0x0200_0000, "uts": 0x0400_0000, "ipc": 0x0800_0000, "user": 0x1000_0000,
        "pid": 0x2000_0000, "network": 0x4000_0000,
    }.items():  # fmt: skip
        for way, flags in ((name, flag), (f"user and {name}", flag | 0x1000_0000)):
            found[f"clone {way}"] = in_child(lambda flags=flags: system_call(56, flags | signal.SIGCHLD, 0, 0, 0, 0))
            found[f"unshare {way}"] = in_child(lambda flags=flags: system_call(272, flags))
    found["clone3"] = in_child(lambda: system_call(435, 0, 0))
    return found


def _machine_code(code: bytes) -> str:
    memory = _libc.mmap
    memory.restype = ctypes.c_void_p
    memory.argtypes = [ctypes.c_void_p, *[ctypes.c_long] * 5]
    address = memory(None, 4096, 7, 0x22, -1, 0)  # read, write, execute; private, anonymous
    ctypes.memmove(address, code, len(code))
    result = ctypes.CFUNCTYPE(ctypes.c_long)(address)()
    return "ok" if result >= 0 else errno.errorcode.get(-result, "unknown")


def other_modes() -> dict[str, str]:
    """The kernel's 32-bit doors: `int 0x80` (socketcall hides its family from filters) and the x32 numbers."""
    return {
        # push rbx; mov eax, 20 (getpid); int 0x80; pop rbx; ret
        "int 0x80": in_child(lambda: _machine_code(b"\x53\xb8\x14\0\0\0\xcd\x80\x5b\xc3")),
        "x32": in_child(lambda: system_call(0x4000_0000 | 39)),
    }


def needed_calls() -> dict[str, str]:
    """What servers, workers and event loops must be able to do."""

    def seal() -> None:
        fd = os.memfd_create("needed", os.MFD_ALLOW_SEALING)
        fcntl.fcntl(fd, 1033, 0x10 | 0xF)  # F_ADD_SEALS: all of them

    def pass_on() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(ours, [b"x"], [0])
        os.close(socket.recv_fds(theirs, 1, 1)[1][0])

    attributes = struct.pack("=IIQiIQQQ", 48, 0, 0, 0, 0, 100_000, 0, 0)
    return {
        "seals": outcome(seal),
        "descriptors": outcome(pass_on),
        "sched_setaffinity": in_child(lambda: outcome(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))),
        "sched_setattr": in_child(lambda: "ok" if _libc.syscall(314, 0, attributes, 0) == 0 else "EPERM"),
        "prctl": in_child(lambda: "ok" if _libc.prctl(1, signal.SIGKILL) == 0 else "EPERM"),
        "pidfd": outcome(lambda: os.close(os.pidfd_open(os.getpid()))),
        "eventfd": outcome(lambda: os.close(os.eventfd(0))),
        "threads": outcome(threading.Thread(target=int).start),
        "landlock": system_call(444, 0, 0, 1),
        "asyncio": outcome(lambda: asyncio.run(asyncio.create_subprocess_exec("/bin/true"))),
    }
