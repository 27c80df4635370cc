"""How a container is started: every setting of the wall, in one place."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING, Any

from openenv_grpc.errors import InvalidArgument, ProtocolMismatch, Unsupported
from openenv_grpc.protection import ISOLATION
from openenv_grpc.providers.base import LeaseState, LeaseStatus
from openenv_grpc.providers.docker.box import ADDRESS, INSIDE, LIFELINE, Box, group, user
from openenv_grpc.providers.lifeline import harmless
from openenv_grpc.providers.owner import owner_id
from openenv_grpc.providers.profiles import GVISOR, GVISOR_ADVICE
from openenv_grpc.session.token import VARIABLE
from openenv_grpc.specs import PROTOCOL_REVISION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openenv_grpc.providers.base import Lease
    from openenv_grpc.providers.docker.engine import EngineFacts
    from openenv_grpc.providers.profiles import Profile
    from openenv_grpc.specs import Isolation

LABEL = "org.openenv."
_TMP = "/tmp"


def check_engine(facts: EngineFacts, profile: Profile) -> None:
    """Refuse a profile that this machine cannot give, instead of giving less.

    Raises:
        Unsupported: It cannot; the message says what to install or to change.
    """
    if profile.runtime and profile.runtime not in facts.runtimes:
        known = ", ".join(sorted(facts.runtimes))
        msg = f"the engine has no runtime {profile.runtime!r} (it has {known})"
        raise Unsupported(msg + (f"; {GVISOR_ADVICE}" if profile.runtime == GVISOR.runtime else ""), field="profile")
    needed = {"memory", "cpus", "pids"} | ({"swap"} if facts.has_swap else set())
    if missing := sorted(needed - facts.limits):
        msg = (
            f"the engine says that it cannot limit {', '.join(missing)}: boot Linux with cgroup_enable=memory "
            "swapaccount=1, or with cgroup version 2 (systemd.unified_cgroup_hierarchy=1)"
        )
        raise Unsupported(msg, field="profile")
    if "seccomp" not in facts.security:
        msg = "the engine filters no system calls: its kernel needs CONFIG_SECCOMP, its runtime seccomp"
        raise Unsupported(msg, field="profile")
    if odd := facts.security & {"rootless", "userns"}:
        msg = (
            f"the engine maps users ({', '.join(sorted(odd))}), so that its containers cannot use the sockets of this "
            "user; use an engine without userns-remap, run as root"
        )
        raise Unsupported(msg, field="provider")


def check_image(name: str, image: Mapping[str, Any]) -> str:
    """The id of an image that can be run here.

    Raises:
        ProtocolMismatch: It speaks another revision.
        InvalidArgument: It wants writable disk, which has no limit.
    """
    config = image.get("Config") or {}
    revision = (config.get("Labels") or {}).get(f"{LABEL}protocol-revision", str(PROTOCOL_REVISION))
    if revision != str(PROTOCOL_REVISION):
        msg = f"{name} speaks protocol revision {revision}, this client {PROTOCOL_REVISION}; build it again"
        raise ProtocolMismatch(msg, field="image")
    if volumes := sorted(set(config.get("Volumes") or ()) - {INSIDE, _TMP}):
        msg = f"{name} declares volumes ({', '.join(volumes)}), disk without a limit; build it without VOLUME"
        raise InvalidArgument(msg, field="image")
    return str(image["Id"])


def image_of(environment: str) -> str:
    """The image that `openenv-grpc build` makes of an environment.

    Raises:
        InvalidArgument: It is no name of an environment.
    """
    if not environment or not environment.replace("-", "").replace("_", "").isalnum() or not environment.isascii():
        msg = (
            f"{environment!r} is no name of an environment; the docker provider runs images: build one with "
            "`openenv-grpc build NAME`, or name an image"
        )
        raise InvalidArgument(msg, field="environment")
    return f"openenv-{environment.lower()}:latest"


@functools.cache
def _seccomp() -> str:
    """Our list of system calls; the engine takes it in line."""
    text = resources.files("openenv_grpc.providers").joinpath("seccomp.json").read_text()
    return json.dumps(json.loads(text), separators=(",", ":"))


def container_config(
    image: str,
    box: Box,
    profile: Profile,
    facts: EngineFacts,
    *,
    isolation: Isolation,
    labels: Mapping[str, str],
    token: str | None = None,
    arguments: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What to ask the engine for, in the terms of its API.

    Args:
        image: Its id: a name could come to mean another image meanwhile.
        box: The private directory.
        profile: How to hold it.
        facts: What the engine can do.
        isolation: What the server is told of it.
        labels: The container's.
        token: What the server asks of its clients. Who may use the engine can read it, and is root.
        arguments: Further ones for the server.
    """
    secret = [] if token is None else [f"{VARIABLE}={token}"]
    return {
        "Image": image,
        "Cmd": ["--address", ADDRESS, "--lifeline", LIFELINE, *arguments],
        "User": f"{user()}:{group()}",
        "Hostname": "openenv",
        "Env": [f"{ISOLATION}={json.dumps(asdict(isolation))}", f"HOME={_TMP}", *secret],
        "Labels": dict(labels),
        "Healthcheck": {"Test": ["NONE"]},  # we ask ourselves; it would start a process every few seconds
        "HostConfig": _host_config(box, profile, facts),
    }


def _host_config(box: Box, profile: Profile, facts: EngineFacts) -> dict[str, Any]:
    return {
        "Runtime": profile.runtime or facts.default_runtime,
        "Init": True,
        "Privileged": False,
        "CapAdd": [],
        "CapDrop": ["ALL"],
        "SecurityOpt": _security(profile, facts),
        "ReadonlyRootfs": profile.read_only,
        "NetworkMode": profile.network,
        "PublishAllPorts": False,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "Mounts": [
            {
                "Type": "bind",
                "Source": str(box.shared),
                "Target": INSIDE,
                "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
            }
        ],
        "Tmpfs": {_TMP: f"rw,nosuid,nodev,noexec,mode=1777,size={profile.tmp_bytes}"},
        "ShmSize": profile.shm_bytes,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}},
        **_limits(profile),
    }


def _limits(profile: Profile) -> dict[str, Any]:
    return {
        "Memory": profile.memory_bytes,
        "MemorySwap": profile.memory_bytes,  # memory and swap together: no swap
        "NanoCpus": int(profile.cores * 1e9),
        "PidsLimit": profile.pids,
        "OomScoreAdj": 500,  # where the host itself runs out, containers go before what runs beside them
        "Ulimits": [
            {"Name": "nofile", "Soft": profile.open_files, "Hard": profile.open_files},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
    }


def _security(profile: Profile, facts: EngineFacts) -> list[str]:
    found = ["no-new-privileges:true"]
    if profile.seccomp:
        found.append(f"seccomp={_seccomp()}")
    if "apparmor" in facts.security:
        found.append("apparmor=docker-default")
    return found


def labels_of(lease: Lease, profile: Profile) -> dict[str, str]:
    """What `openenv-grpc ps` and the reaper go by, beside the container's name."""
    return {f"{LABEL}run.{name}": value for name, value in lease.labels.items()} | {
        f"{LABEL}lease": lease.id,
        f"{LABEL}owner": owner_id(),
        f"{LABEL}expires": f"{lease.expires:.3f}",
        f"{LABEL}run": lease.labels.get("run", ""),
        f"{LABEL}profile": profile.name,
        f"{LABEL}image": lease.details["image"],
        f"{LABEL}directory": lease.details["directory"],
    }


def status_of(state: Mapping[str, Any], profile: Profile) -> LeaseStatus:
    """What the state of a container, as the engine tells it, means for its lease."""
    if state.get("Paused"):
        return LeaseStatus(LeaseState.PAUSED)
    if state.get("Running") or state.get("Status") == "created":
        return LeaseStatus(LeaseState.RUNNING)
    code = state.get("ExitCode")
    if state.get("OOMKilled"):
        limit = f"{profile.memory_bytes / (1 << 20):,.0f} MiB"
        return LeaseStatus(LeaseState.ENDED, f"out of memory (its limit is {limit}), exit code {code}")
    error = f" ({harmless(str(state['Error']))[:500]})" if state.get("Error") else ""
    return LeaseStatus(LeaseState.ENDED, f"exit code {code}{error}")
