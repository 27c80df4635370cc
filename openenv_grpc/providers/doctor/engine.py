"""The Docker engine: whether it answers, and what it says it can do. It says so itself; nothing is tried here."""

from __future__ import annotations

import json
from importlib import metadata, resources
from typing import Any

from openenv_grpc.errors import OpenEnvError, Unsupported, harmless
from openenv_grpc.providers.doctor.finding import Finding, State
from openenv_grpc.providers.profiles import GVISOR, GVISOR_ADVICE, HARDENED

OLDEST = (20, 10)
"""Engines before it did not know of `clone3`, and gave containers the host's cgroup namespace."""
DISK_LIMITS = ("btrfs", "zfs")
"""Storage drivers that can limit a container's disk by themselves; overlay2 needs xfs with quotas."""


def examine() -> list[Finding]:
    """All about the engine; without one only that."""
    sdk = client_library()
    if sdk.state is State.MISSING:
        return [sdk, Finding("engine", State.MISSING, "not asked: there is no SDK", sdk.advice, needed=True)]
    info, engine = ask()
    if not info:
        return [sdk, engine]
    return [sdk, engine, hardened(info), limits(info), seccomp(info), cgroups(info), storage(info), gvisor(info)]


def client_library() -> Finding:
    """The docker SDK for Python."""
    advice = "pip install 'openenv-grpc[docker]'"
    try:
        import openenv_grpc.providers.docker  # noqa: F401 - whether it can be imported is the question
    except Unsupported:
        return Finding("docker SDK", State.MISSING, "not installed", advice, needed=True)
    return Finding("docker SDK", State.WORKS, metadata.version("docker"), needed=True)


def ask() -> tuple[dict[str, Any], Finding]:
    """What the engine says about itself; nothing where it does not answer."""
    from openenv_grpc.providers.docker.engine import connect, translated

    try:
        client = connect()
        try:
            with translated("asking the engine"):
                info: dict[str, Any] = client.info()
        finally:
            client.close()
    except OpenEnvError as error:
        reason, _, advice = error.message.partition(";")
        return {}, Finding("engine", State.MISSING, harmless(reason), harmless(advice.strip()), needed=True)
    version = str(info.get("ServerVersion", "?"))
    found = f"Docker {version}, {info.get('OperatingSystem', '?')}"
    if info.get("OSType") != "linux":
        return {}, Finding("engine", State.MISSING, found, "use an engine that runs Linux containers", needed=True)
    if _version(version) < OLDEST:
        return info, Finding("engine", State.LIMITED, found, "update it: 20.10 or later", needed=True)
    return info, Finding("engine", State.WORKS, harmless(found), needed=True)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())


def hardened(info: dict[str, Any]) -> Finding:
    """The provider's own opinion on the hardened profile."""
    from openenv_grpc.providers.docker.container import check_engine
    from openenv_grpc.providers.docker.engine import _read_facts

    try:
        check_engine(_read_facts(info), HARDENED)
    except Unsupported as error:
        return Finding(
            "hardened profile", State.MISSING, "the engine cannot give it", harmless(error.message), needed=True
        )
    return Finding("hardened profile", State.WORKS, "the engine can give all of it", needed=True)


def limits(info: dict[str, Any]) -> Finding:
    """Which limits it enforces."""
    names = {"MemoryLimit": "memory", "SwapLimit": "swap", "CpuCfsQuota": "cpus", "PidsLimit": "processes"}
    missing = [name for key, name in names.items() if not info.get(key)]
    have = ", ".join(name for name in names.values() if name not in missing)
    if not missing:
        return Finding("limits", State.WORKS, have)
    advice = f"no limit of {', '.join(missing)}: boot with cgroup_enable=memory swapaccount=1, or with cgroup version 2"
    return Finding("limits", State.LIMITED, have or "none", advice)


def security(info: dict[str, Any]) -> dict[str, str]:
    """The engine's security options by name: `name=seccomp,profile=default`."""
    options = {}
    for text in info.get("SecurityOptions") or ():
        name, _, rest = text.removeprefix("name=").partition(",")
        options[name] = harmless(rest)
    return options


def seccomp(info: dict[str, Any]) -> Finding:
    """Filters of system calls, and our own list."""
    profile = json.loads(resources.files("openenv_grpc.providers").joinpath("seccomp.json").read_text())
    allowed = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    if "seccomp" not in security(info):
        advice = "the engine's kernel needs CONFIG_SECCOMP_FILTER, its runtime libseccomp"
        return Finding("seccomp", State.MISSING, "the engine filters no system calls", advice, needed=True)
    return Finding("seccomp", State.WORKS, f"our list of {len(allowed)} calls is used", needed=True)


def cgroups(info: dict[str, Any]) -> Finding:
    """The version of the kernel's groups."""
    version = str(info.get("CgroupVersion", "1"))
    found = f"version {version}, driver {info.get('CgroupDriver', '?')}"
    if version == "2":
        return Finding("cgroups", State.WORKS, found)
    return Finding(
        "cgroups",
        State.LIMITED,
        found,
        "version 2 also limits what is swapped and written: boot with systemd.unified_cgroup_hierarchy=1",
    )


def storage(info: dict[str, Any]) -> Finding:
    """Where images and writable layers lie."""
    driver = str(info.get("Driver", "?"))
    status = {str(key): str(value) for key, value in info.get("DriverStatus") or ()}
    found = f"{driver} on {status.get('Backing Filesystem', info.get('DockerRootDir', '?'))}"
    if driver in DISK_LIMITS:
        return Finding("storage driver", State.WORKS, found)
    advice = "it limits no disk; the hardened profile writes none. Profile open can fill it"
    return Finding("storage driver", State.LIMITED, harmless(found), advice)


def gvisor(info: dict[str, Any]) -> Finding:
    """A second kernel between environment and host: the profile gvisor."""
    if GVISOR.runtime in (info.get("Runtimes") or ()):
        return Finding("gVisor", State.WORKS, "the engine has the runtime runsc: profile gvisor")
    advice = f"for profile gvisor: {GVISOR_ADVICE}"
    return Finding("gVisor", State.MISSING, "the engine has no runtime runsc", advice)
