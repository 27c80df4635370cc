"""The Docker engine, as far as a build needs it."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
import tempfile
import time
import uuid
from typing import TYPE_CHECKING, Any

from openenv_grpc.cli.build.wheels import Interpreter
from openenv_grpc.errors import EnvironmentFailed, InvalidArgument, ServerUnavailable, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Report = Callable[[str, int | None, int | None], None]  # a step, its number, how many there are

BUILD_LABEL = "org.openenv.build"
"""On everything that one build makes, so that a build that fails can be swept away."""
TAIL_LINES = 25
SWEEP_S = 10.0
"""How long the engine may take to end the step of a build that was interrupted."""
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
_ASK = """
import json, os, platform, sys
print(json.dumps(["%d.%d" % sys.version_info[:2], platform.machine(), os.confstr("CS_GNU_LIBC_VERSION").split(".")[1]]))
"""


class Engine:
    """A connection to the Docker engine that DOCKER_HOST names, or the local one."""

    def __init__(self) -> None:
        """Connect.

        Raises:
            Unsupported: The docker package is not installed.
            ServerUnavailable: No engine answers.
        """
        try:
            import docker
        except ImportError:
            msg = "building images needs the docker package: pip install 'openenv-grpc[docker]'"
            raise Unsupported(msg) from None
        self._errors: Any = docker.errors
        try:
            self._client: Any = docker.from_env(timeout=600)
            self._client.ping()
        except (docker.errors.DockerException, OSError) as error:
            msg = f"no Docker engine answers ({error}); is it installed, running, and may you use it?"
            raise ServerUnavailable(msg) from None

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def ensure(self, base: str, tell: Callable[[str], None]) -> None:
        """Pull the base image if it is not here.

        Raises:
            InvalidArgument: It is neither here nor to be had.
        """
        with contextlib.suppress(self._errors.ImageNotFound):
            self._client.images.get(base)
            return
        tell(f"pulling {base}")
        try:
            self._client.images.pull(base) if ":" in base or "@" in base else self._client.images.pull(base, "latest")
        except self._errors.APIError as error:
            msg = (
                f"the image is not here and could not be pulled ({error.explanation}); without a registry, "
                "scripts/base-image makes one: build with --base openenv-base"
            )
            raise InvalidArgument(msg, field=base) from None

    def interpreter(self, base: str) -> Interpreter:
        """Ask an image for its Python.

        Raises:
            InvalidArgument: It has none.
        """
        try:
            with self._container(base, entrypoint=["python3", "-c", _ASK], network_disabled=True) as container:
                self._client.api.start(container)
                self._client.api.wait(container, timeout=60)
                answer = self._client.api.logs(container).decode(errors="replace").strip()
            version, machine, glibc = json.loads(answer)
        except self._errors.APIError as error:
            msg = f"has no python3 that runs: {error.explanation}"
            raise InvalidArgument(msg, field=base) from None
        except ValueError:
            msg = f"its python3 does not say its version and that of its glibc, but: {answer[-500:]}"
            raise InvalidArgument(msg, field=base) from None
        return Interpreter(version, machine, int(glibc))

    def build(self, context: Path, arguments: Mapping[str, str], target: str | None, report: Report) -> str:
        """Build a stage of the context's Dockerfile without a network; the image's id is returned.

        Raises:
            EnvironmentFailed: A step failed; the message has the end of its output.
        """
        with _packed(context) as archive:
            lines = self._client.api.build(
                fileobj=archive,
                custom_context=True,
                decode=True,
                rm=True,
                forcerm=True,
                network_mode="none",
                buildargs=dict(arguments),
                target=target or "",
            )
            return _follow(lines, report)

    def read(self, image: str, path: str) -> bytes:
        """A file of an image, which is not started for that."""
        with self._container(image) as container:
            chunks, _ = self._client.api.get_archive(container, path)
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                file = archive.extractfile(archive.getmembers()[0])
                return file.read() if file is not None else b""

    @contextlib.contextmanager
    def _container(self, image: str, **arguments: Any) -> Iterator[str]:
        """A container that is removed again, whatever comes."""
        name = f"openenv-build-{uuid.uuid4().hex[:12]}"
        try:
            yield self._client.api.create_container(image, name=name, **arguments)["Id"]
        finally:
            with contextlib.suppress(self._errors.NotFound):
                self._client.api.remove_container(name, force=True)

    def size(self, image: str) -> int:
        """Bytes of an image, its base included."""
        return int(self._client.images.get(image).attrs["Size"])

    def tag(self, image: str, name: str) -> None:
        """Name an image; the one that had the name goes, if it was built here and has no other name or use."""
        former = self._client.api.images(name, quiet=True, filters={"label": BUILD_LABEL})
        repository, _, tag = (
            name.partition("@")[0].rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "")
        )
        self._client.api.tag(image, repository, tag or "latest")
        for each in former:
            if each != image and not self._client.images.get(each).tags:
                self._removed(each)

    def sweep(self, build: str, keep: str | None, *, quiet_s: float = 0.0) -> None:
        """Remove what a build needed or, having failed, left.

        Args:
            build: Its name.
            keep: The image that it made, if it did.
            quiet_s: How long nothing new may have come: the engine goes on for a moment when nobody waits any longer.
        """
        deadline = time.monotonic() + SWEEP_S + quiet_s
        quiet = time.monotonic()
        while time.monotonic() < deadline:
            left = self._left(build, keep)
            if left:
                quiet = time.monotonic()
            elif time.monotonic() >= quiet + quiet_s:
                return
            if not any(list(map(self._removed, left))):  # a step's container may use it still
                time.sleep(0.1)

    def _left(self, build: str, keep: str | None) -> list[str]:
        """The images of a build, without the one that is kept and those that it is made of."""
        found = self._client.api.images(all=True, filters={"label": f"{BUILD_LABEL}={build}"})
        parents = {image["Id"]: image["ParentId"] for image in found}
        while keep is not None and keep in parents:
            keep = parents.pop(keep)
        return list(parents)

    def _removed(self, image: str) -> bool:
        try:
            self._client.api.remove_image(image)
        except self._errors.APIError:  # it has children, which go first, or a container uses it
            return False
        return True


@contextlib.contextmanager
def _packed(context: Path) -> Iterator[Any]:
    """A context as the engine takes it: the same bytes for the same files."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for path in sorted(context.rglob("*")):
                archive.add(path, path.relative_to(context).as_posix(), recursive=False, filter=_plain)
        file.seek(0)
        yield file


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _follow(lines: Any, report: Report) -> str:
    """Report the steps of a build as the engine does them; the image's id is returned.

    Raises:
        EnvironmentFailed: One failed.
    """
    said: list[str] = []
    image = ""
    for line in lines:
        text = line.get("stream", "").rstrip()
        if "error" in line:
            msg = f"{line['error'].strip()}; the end of the build's log:\n" + "\n".join(said[-TAIL_LINES:])
            raise EnvironmentFailed(msg)
        image = line.get("aux", {}).get("ID", image)
        if step := _STEP.match(text):
            report(step[3], int(step[1]), int(step[2]))
            said.clear()
        if text:
            said.append(text)
    return image
