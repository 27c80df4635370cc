"""Hostile servers in the directory that they share with the host: the provider follows nothing, waits for nobody.

`tests/providers/test_docker.py` has the plain ones (no socket, a link, a file, a FIFO).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from openenv_echo import EchoEnv
from openenv_grpc.errors import OpenEnvError
from openenv_grpc.providers.base import EnvironmentSource, find_provider
from openenv_grpc.providers.docker.box import find_boxes
from openenv_grpc.providers.owner import owner_id
from openenv_grpc.providers.running import start
from tests.attacks.conftest import SMALL, Attacker, Neighbour
from tests.attacks.hostile.box import MODES

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("neighbour"), pytest.mark.xdist_group("attacks")]
DEADLINE_S = 5.0
REFUSED = {
    "link up": "something else than a socket",
    "link to a directory": "something else than a socket",
    "lane is a link": "something else than a socket",
    "lane is a fifo": "something else than a socket",
    "mute": "no server answers",
    "closed": "",
    "swapping": "",
    "other lifeline": "not reported in time",
    "knocking": "",
    "shouting": "exit code 3",
    "silent": "not reported in time",
    "long line": "longer than any",
    "slow line": "did not serve in time",
    "deep line": "none that it may write",
    "odd line": "none that it may write",
    "failure with escapes": "]0;attack",
    "hangs up": "hung up",
}


@pytest.mark.parametrize("mode", REFUSED)
def test_a_server_that_abuses_what_it_shares(image_of: Callable[..., str], mode: str):
    image = image_of("/venv/bin/python", "-m", "hostile.box")
    source = EnvironmentSource("hostile", image=image, profile=SMALL, limits={"mode": list(MODES).index(mode)})
    provider = find_provider("docker")
    before = {found.root for found in find_boxes() if found.owner == owner_id()}
    begin = time.monotonic()
    with pytest.raises(OpenEnvError) as caught:
        start(provider, source, DEADLINE_S)
    assert time.monotonic() - begin < DEADLINE_S + 12
    assert REFUSED[mode] in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)
    assert {found.root for found in find_boxes() if found.owner == owner_id()} == before


def test_sockets_that_are_replaced_when_it_serves(fresh: Attacker, neighbour: Neighbour):
    """The client's address is a link of the host's own: what the container does to its names is its own affair."""
    shared = Path(fresh.directory) / "box"
    fresh("swap", "/run/openenv")
    assert (shared / "env.sock").is_symlink()  # nobody looks there any more
    with EchoEnv.connect(f"unix:{fresh.directory}/env.sock") as env:
        assert env.reset().observation.message == ""
        assert env.transport == "local"
    assert fresh("who")["Seccomp"] == ["2"]


def test_nobody_else_can_look_in(attacker: Attacker):
    assert os.stat(attacker.directory).st_mode & 0o777 == 0o700
    assert os.stat(attacker.directory).st_uid == os.geteuid()
    names = set(os.listdir(attacker.directory))
    assert {"env.sock", "env.sock.local", "box"} <= names
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{attacker.directory}/env.sock")
