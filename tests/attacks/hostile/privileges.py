"""Attempts to become somebody, to read what is the host's, and to write where nothing may be written."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from typing import Any

from hostile.calls import in_child, outcome, system_call

_libc = ctypes.CDLL(None, use_errno=True)


def who() -> dict[str, Any]:
    """Users, groups and what the kernel says about this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    keys = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups")
    return {key: status[key].split() for key in keys} | {"environ": sorted(os.environ)}


def become_root() -> dict[str, str]:
    """Every way to be user 0 or to have a capability."""

    def setuid_program() -> str:
        found = subprocess.run(["/opt/setuid-id", "-u"], capture_output=True, text=True, check=False)
        return found.stdout.strip() or found.stderr.strip()

    def map_users() -> str:
        return outcome(lambda: Path("/proc/self/uid_map").write_text("0 0 1"))

    return {
        "setuid": in_child(lambda: outcome(lambda: os.setuid(0))),
        "setgid": in_child(lambda: outcome(lambda: os.setgid(0))),
        "setgroups": in_child(lambda: outcome(lambda: os.setgroups([0]))),
        "setresuid": in_child(lambda: outcome(lambda: os.setresuid(-1, 0, -1))),
        "ambient": in_child(lambda: "ok" if _libc.prctl(47, 2, 21, 0, 0) == 0 else "EPERM"),
        "new privileges again": in_child(lambda: "ok" if _libc.prctl(38, 0, 0, 0, 0) == 0 else "EINVAL"),
        "uid_map": in_child(map_users),
        "setuid program": setuid_program(),
        "nice": in_child(lambda: outcome(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))),
        "raise limit": in_child(_raise_limit),
        "oom_score_adj": in_child(lambda: outcome(lambda: Path("/proc/self/oom_score_adj").write_text("-1000"))),
        "device": outcome(lambda: os.mknod("/tmp/sda", 0o60666, os.makedev(8, 0))),
        "device in the shared directory": outcome(lambda: os.mknod("/run/openenv/mem", 0o20666, os.makedev(1, 1))),
    }


def _raise_limit() -> str:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))
    except (ValueError, OSError):
        return "EPERM"
    return "ok"


WRITES = [
    "/attack", "/etc/passwd", "/etc/ld.so.preload", "/usr/attack", "/usr/bin/python3", "/opt/attack", "/var/attack",
    "/var/tmp/attack", "/home/attack", "/root/attack", "/run/attack", "/dev/attack", "/srv/attack",
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/proc/sys/kernel/hostname", "/proc/irq/0/smp_affinity",
    "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/fs/cgroup/attack",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/proc/1/mem", "/proc/1/oom_score_adj",
]  # fmt: skip
READS = [
    "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/proc/1/root/etc/shadow",
    "/proc/1/environ", "/proc/1/mem", "/etc/shadow", "/proc/kcore", "/proc/kmsg", "/dev/kmsg", "/dev/mem", "/dev/sda",
    "/dev/vda", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware/dmi/tables/DMI",
    "/sys/kernel/security/apparmor/profiles", "/sys/kernel/debug/tracing/trace", "/proc/scsi/scsi",
]  # fmt: skip


def write_everywhere() -> dict[str, str]:
    """Plain writes to where no one may write, and cgroup files that a host's helper program would obey."""
    found = {path: outcome(lambda path=path: _append(path)) for path in WRITES}
    for controller in sorted(Path("/sys/fs/cgroup").glob("*")):
        for name in ("release_agent", "notify_on_release", "cgroup.procs", "devices.allow", "memory.limit_in_bytes"):
            path = controller / name
            if path.exists():
                found[str(path)] = outcome(lambda path=path: _append(str(path), b"1"))
        if controller.is_dir():
            found[f"{controller}/attack"] = outcome(lambda controller=controller: (controller / "attack").mkdir())
    remount = 0x20 | 0x1000  # MS_REMOUNT | MS_BIND
    found["remount /"] = in_child(lambda: system_call(165, 0, 0, 0, remount, 0))
    return found


def _append(path: str, data: bytes = b"attack") -> None:
    with open(path, "ab", buffering=0) as file:
        file.write(data)


def read_secrets() -> dict[str, str]:
    """Files of the host, of its kernel, and of root. What is masked reads as nothing."""

    def look(path: str) -> str:
        length = 0

        def read() -> None:
            nonlocal length
            with open(path, "rb") as file:
                length = len(file.read(64))

        found = outcome(read)
        return f"{length} bytes" if found == "ok" else found

    return {path: look(path) for path in READS}


def neighbours() -> dict[str, dict[str, str]]:
    """What can be read of this container's other processes but the first, by process and file."""
    others = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, os.getpid())]
    files = ("mem", "environ", "maps", "fd/0", "root/etc/hostname", "map_files")

    def look(path: str) -> str:
        return outcome(lambda: os.close(os.open(path, os.O_RDONLY)))

    return {pid: {name: look(f"/proc/{pid}/{name}") for name in files} for pid in others}


def writable_places() -> dict[str, str]:
    """Every directory in which a file can be made, with its file system's options."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    options = {fields[1]: f"{fields[2]} {fields[3]}" for fields in mounts}
    found = {}
    for top, directories, _ in os.walk("/"):
        directories[:] = [name for name in directories if os.path.join(top, name) not in ("/proc", "/sys")]
        name = os.path.join(top, ".attack")
        if outcome(lambda name=name: os.close(os.open(name, os.O_CREAT | os.O_WRONLY))) == "ok":
            os.unlink(name)
            found[top] = options.get(top, "")
    return found


def processes() -> dict[str, Any]:
    """Whom one can see and signal: nobody but those of this container."""
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    names = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode() for pid in pids]
    return {
        "pids": pids,
        "names": names,
        "signal init": outcome(lambda: os.kill(1, 9)),
        "hostname": os.uname().nodename,
    }


def run_from_writable() -> dict[str, str]:
    """Programs that were written here and are to be run."""
    found = {}
    for directory in ("/tmp", "/dev/shm", "/run/openenv"):
        path = os.path.join(directory, "program")
        with open(path, "wb") as file:
            file.write(Path("/bin/true").read_bytes())
        os.chmod(path, 0o755)
        found[directory] = outcome(lambda path=path: subprocess.run([path], check=True))
        os.unlink(path)
    return found
