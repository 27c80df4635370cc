"""Profiles of containers: what an environment is held by, under a name that one can see and ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.specs import Isolation

MIB = 1 << 20


@dataclass(frozen=True)
class Profile:
    """How a container is held. All have no capabilities, no new privileges, no root user, and all the limits.

    Make one of your own with `dataclasses.replace(HARDENED, name="large", memory_bytes=8 << 30)`.

    Attributes:
        name: What `env.isolation` calls it.
        runtime: What runs the container: "" is the engine's default, `runsc` is gVisor.
        memory_bytes: Memory of all its processes, `/tmp` and all else it writes included; it gets no swap.
        cpus: Cores' worth of processor time; 0 is all that the host has.
        pids: Processes and threads at the same time.
        open_files: File descriptors of one process.
        tmp_bytes: Size of `/tmp`.
        shm_bytes: Size of `/dev/shm`.
        read_only: The root file system cannot be written to.
        network: `none`, or `bridge`: the engine's network, and through it the world.
        seccomp: Our own list of system calls (`seccomp.md`), not the engine's longer one.
    """

    name: str
    runtime: str = ""
    memory_bytes: int = 2048 * MIB
    cpus: float = 0.0
    pids: int = 512
    open_files: int = 4096
    tmp_bytes: int = 64 * MIB
    shm_bytes: int = 16 * MIB
    read_only: bool = True
    network: str = "none"
    seccomp: bool = True

    def __post_init__(self) -> None:
        """Check.

        Raises:
            InvalidArgument: A limit that is none, or a network that is not one of the two.
        """
        for name in ("memory_bytes", "pids", "open_files", "tmp_bytes", "shm_bytes"):
            if getattr(self, name) <= 0:
                msg = "a container has this limit; give a positive number"
                raise InvalidArgument(msg, field=name)
        if not 0 <= self.cpus < 1 << 16:
            msg = f"{self.cpus} is no number of cores"
            raise InvalidArgument(msg, field="cpus")
        if self.network not in ("none", "bridge"):
            msg = f"{self.network!r} is neither none nor bridge"
            raise InvalidArgument(msg, field="network")

    @property
    def cores(self) -> float:
        """Cores' worth of processor time in force: an engine refuses more than the host has."""
        most = float(os.cpu_count() or 1)
        return min(self.cpus or most, most)

    def isolation(self, runtime: str) -> Isolation:
        """What a container has that is started with it.

        Args:
            runtime: The engine's default one, for a profile that names none.
        """
        held = self.memory_bytes, round(self.cores, 3), self.pids
        return Isolation(self.name, self.runtime or runtime, *held, self.read_only, self.network)


HARDENED = Profile("hardened")
GVISOR = Profile("gvisor", runtime="runsc")
GVISOR_ADVICE = (
    "apt install runsc, and in /etc/docker/daemon.json "
    '{"runtimes": {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--host-uds=all", "--network=none"]}}}'
)
"""What to do where an engine has no such runtime. Without the first argument containers reach no socket of ours."""
"""As hardened, with a kernel of its own between environment and host."""
OPEN = Profile("open", read_only=False, network="bridge", seccomp=False)
"""For environments that need the network, or write to their own files."""
PROFILES = {profile.name: profile for profile in (HARDENED, GVISOR, OPEN)}


def find_profile(name: str | Profile) -> Profile:
    """The profile of that name; a profile itself is returned as it is.

    Raises:
        InvalidArgument: There is none.
    """
    if isinstance(name, Profile):
        return name
    if name not in PROFILES:
        msg = f"no profile {name!r}; there are: {', '.join(PROFILES)}"
        raise InvalidArgument(msg, field="profile")
    return PROFILES[name]
