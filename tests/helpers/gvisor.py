"""A Docker engine of the tests' own, with gVisor as a runtime: the machine's engine is left as it is."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers.containers import engine
from tests.helpers.images import STATE, alone
from tests.helpers.processes import until

NAMESPACE = "openenv-gvisor"


def runsc() -> Path:
    """The program of gVisor: the machine's, else that of Debian's package, which is unpacked and not installed."""
    if found := shutil.which("runsc"):
        return Path(found)
    target = STATE / "gvisor"
    program = target / "usr/bin/runsc"
    with alone():
        if not program.is_file():
            target.mkdir(exist_ok=True)
            get = "apt-get download runsc"
            script = f"({get} || {{ apt-get update && {get}; }}) && dpkg -x runsc_*.deb ."
            done = subprocess.run(["sh", "-c", script], cwd=target, capture_output=True, timeout=120, check=False)
            if done.returncode:
                pytest.skip("needs gVisor: there is no runsc, and no package of it")
    return program


@contextlib.contextmanager
def own_engine(runtimes: dict[str, list[str]], *images: str) -> Iterator[str]:
    """The address of an engine that has gVisor under these names, with these arguments, and has these images."""
    if os.geteuid() or not shutil.which("dockerd") or not shutil.which("ip"):
        pytest.skip("needs root, Docker's daemon and iproute2, to start an engine")
    program = str(runsc())
    with _bridge() as bridge, tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        settings = {
            "runtimes": {key: {"path": program, "runtimeArgs": arguments} for key, arguments in runtimes.items()},
            "storage-driver": engine("info", "--format", "{{.Driver}}"),
            "data-root": f"{root}/data",
            "exec-root": f"{root}/run",
            "pidfile": f"{root}/pid",
            "hosts": [address := f"unix://{root}/docker.sock"],
            "bridge": bridge,  # without one it would remove the machine's engine's
            "iptables": False,
            "ip-forward": False,
            "ip-masq": False,
        }
        (root / "daemon.json").write_text(json.dumps(settings))
        command = ["dockerd", "--config-file", f"{root}/daemon.json", "--containerd-namespace", NAMESPACE]
        command += ["--containerd-plugins-namespace", f"{NAMESPACE}-plugins"]
        with open(root / "log", "wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as daemon:
            try:
                until(lambda: (root / "docker.sock").exists() or daemon.poll() is not None, 30, "an engine")
                assert daemon.poll() is None, (root / "log").read_text()
                for image in images:
                    pipe = f"docker --host {engine_address()} save {image} | docker --host {address} load"
                    subprocess.run(["sh", "-c", pipe], check=True, capture_output=True, timeout=120)
                yield address
            finally:
                for process in psutil.process_iter(["cmdline"]):
                    if address in (process.info["cmdline"] or []):  # a guardian, which waits for engines to come back
                        process.kill()
                daemon.terminate()
                daemon.wait(30)


@contextlib.contextmanager
def _bridge() -> Iterator[str]:
    """A network of the engine's own, which leads nowhere."""
    name = f"openenv{os.getpid() % 10**7}"
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True, timeout=10)
    try:
        subprocess.run(["ip", "address", "add", "192.0.2.1/28", "dev", name], check=True, timeout=10)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True, timeout=10)


def engine_address() -> str:
    """The machine's engine."""
    return engine("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
