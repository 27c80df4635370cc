"""What a hostile environment gets when it asks for what is not its own: an error number, and nothing else."""

from __future__ import annotations

import os
import platform
import secrets
import socket
from collections.abc import Iterator

import pytest

from openenv_echo import EchoEnv
from tests.attacks.conftest import Attacker, Neighbour

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("neighbour"), pytest.mark.xdist_group("attacks")]
x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="the attacks know the calls of x86-64 by number")
REFUSED = {"EPERM", "EACCES", "EROFS", "ENOENT", "ENOSYS", "EINVAL", "EIO", "EISDIR"}


@x86_64
def test_calls_that_are_not_allowed(attacker: Attacker):
    found = attacker("forbidden_calls")
    assert found.pop("read") == "EBADF"  # it tells what the kernel says
    assert set(found.values()) == {"EPERM"}, found
    found = attacker("namespaces")
    assert found.pop("clone3") == "ENOSYS"
    assert set(found.values()) == {"EPERM"}, found
    assert set(attacker("other_modes").values()) <= {"SIGSYS", "SIGSEGV", "ENOSYS"}


@x86_64
def test_calls_that_are_needed(attacker: Attacker):
    found = attacker("needed_calls")
    assert found.pop("landlock") in ("ok", "EOPNOTSUPP", "ENOSYS")  # what the kernel says
    assert set(found.values()) == {"ok"}, found
    assert attacker.env.transport == "local"


def test_it_is_nobody_without_a_capability(attacker: Attacker):
    found = attacker("who")
    assert all(set(found[name]) == {"0000000000000000"} for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert (found["NoNewPrivs"], found["Seccomp"]) == (["1"], ["2"])
    assert "0" not in {*found["Uid"], *found["Gid"], *found["Groups"]}
    secret = [name for name in found["environ"] if name in os.environ and name not in ("HOME", "PATH", "PYTHONPATH")]
    assert not [name for name in secret if name not in ("LANG", "LC_CTYPE", "LC_ALL", "HOSTNAME", "PYTHONUNBUFFERED")]


def test_it_stays_nobody(attacker: Attacker):
    (user,) = set(attacker("who")["Uid"])
    found = attacker("become_root")
    assert found.pop("setuid program") == user
    assert set(found.values()) <= REFUSED, found


def test_it_writes_nowhere_but_in_its_own_places(attacker: Attacker):
    found = attacker("write_everywhere")
    assert set(found.values()) <= REFUSED, found
    places = attacker("writable_places")
    assert set(places) == {"/tmp", "/dev/shm", "/dev/mqueue", "/run/openenv"}
    for place in ("/tmp", "/dev/shm", "/dev/mqueue"):
        assert {"nosuid", "nodev", "noexec"} <= set(places[place].replace(" ", ",").split(",")), places
    ran = attacker("run_from_writable")
    assert {ran["/tmp"], ran["/dev/shm"]} == {"EACCES"}


def test_it_reads_nothing_of_the_host(attacker: Attacker):
    found = attacker("read_secrets")
    own = found.pop("/proc/1/environ"), found.pop("/proc/1/mem")  # its container's first process, of its own user
    assert own[0] in {"64 bytes", "EACCES"}
    assert own[1] in {"EIO", "EACCES", "EPERM"}
    assert set(found.values()) <= REFUSED | {"0 bytes"}, found  # what the engine masks reads as nothing


def test_it_reads_nothing_of_another_session_beside_it(attacker: Attacker):
    with EchoEnv.connect(attacker.env._carrier.address) as beside:
        beside.reset()
        found = attacker("neighbours")
        assert len(found) >= 3  # the server, its warm parent, the other session's worker
        assert {outcome for files in found.values() for outcome in files.values()} <= {"EACCES", "EPERM"}, found


def test_it_sees_nobody_else(attacker: Attacker):
    found = attacker("processes")
    assert len(found["pids"]) < 10
    assert found["hostname"] != socket.gethostname()
    assert attacker("who")["Seccomp"] == ["2"]  # it is still there: the first process does not hear its own


@pytest.fixture
def listening() -> Iterator[tuple[int, str]]:
    """A port on all of the host's addresses, and an abstract socket of the host."""
    name = f"openenv-attacks-{secrets.token_hex(4)}"
    with socket.socket() as internet, socket.socket(socket.AF_UNIX) as abstract:
        internet.bind(("", 0))
        internet.listen()
        abstract.bind("\0" + name)
        abstract.listen()
        yield internet.getsockname()[1], name


def test_it_reaches_nobody(attacker: Attacker, neighbour: Neighbour, listening: tuple[int, str]):
    port, name = listening
    with socket.create_connection(("127.0.0.1", port), 1), socket.socket(socket.AF_UNIX) as sock:
        sock.connect("\0" + name)  # we can
    own = socket.gethostbyname(socket.gethostname())
    targets = [("127.0.0.1", port), (own, port), ("172.17.0.1", port), ("10.0.0.1", 80), ("169.254.169.254", 80)]
    targets += [("fd00:ec2::254", 80), ("::1", port), ("8.8.8.8", 53), ("255.255.255.255", 9)]
    found = attacker("reach", targets, [name])
    assert found.pop("interfaces") == ["lo"]
    assert found.pop(f"abstract {name}") == "ECONNREFUSED"
    assert found.pop("dns") == "gaierror"
    nobody = {"ENETUNREACH", "ECONNREFUSED", "EADDRNOTAVAIL", "EHOSTUNREACH", "EACCES", "EAFNOSUPPORT"}
    assert set(found.values()) <= nobody, found


def test_sockets_are_of_few_kinds(attacker: Attacker):
    found = attacker("sockets")
    possible = {name for name, came in found.items() if came == "ok"}
    unix = {"1 SOCK_STREAM", "1 SOCK_DGRAM", "1 SOCK_SEQPACKET", "1 SOCK_RAW"}
    assert possible == unix | {f"{family} {kind}" for family in (2, 10) for kind in ("SOCK_STREAM", "SOCK_DGRAM")}
    assert {came for name, came in found.items() if name not in possible} == {"EPERM"}
