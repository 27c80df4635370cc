"""What is built: the project that an environment lies in, and what its wheel says about it."""

from __future__ import annotations

import json
import zipfile
from configparser import ConfigParser
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from openenv_grpc.errors import InvalidArgument

GROUP = "openenv_grpc.environments"
PLACES = ("servers/{module}", "{module}", "src/{module}", ".")
"""Where in a project an environment's Dockerfile may lie."""


@dataclass(frozen=True)
class Project:
    """A folder with a `pyproject.toml`, and the environment that is asked for if it has several."""

    folder: Path
    environment: str | None


@dataclass(frozen=True)
class Built:
    """An environment in a wheel.

    Attributes:
        wheel: The file.
        extra: Of the environment's name, such as `[atari]`, where the distribution has one; else empty.
        environment: Its name.
        version: The distribution's.
        dockerfile: In the project.
    """

    wheel: Path
    extra: str
    environment: str
    version: str
    dockerfile: Path


def find_project(what: str | None) -> Project:
    """The project of an installed environment's name, or of a folder; of this folder when nothing is said.

    Raises:
        InvalidArgument: There is none; the message says what to do.
    """
    for entry in metadata.entry_points(group=GROUP):
        if entry.name == what and entry.dist is not None:
            folder = checkout(entry.dist)
            if folder is None:
                msg = "is installed, but not from a folder that is still here; say the folder of its project instead"
                raise InvalidArgument(msg, field=what)
            return Project(folder, what)
    folder = Path(what or ".").resolve()
    if (folder / "pyproject.toml").is_file():
        return Project(folder, None)
    msg = "is neither an installed environment nor a folder with a pyproject.toml"
    raise InvalidArgument(msg, field=what or str(folder))


def checkout(distribution: metadata.Distribution) -> Path | None:
    """The folder that a distribution was installed from, if it was one and is still there."""
    text = distribution.read_text("direct_url.json")
    url = urlsplit(json.loads(text).get("url", "") if text else "")
    folder = Path(unquote(url.path))
    return folder if url.scheme == "file" and (folder / "pyproject.toml").is_file() else None


def read_wheel(project: Project, wheel: Path) -> Built:
    """What a project's wheel holds.

    Raises:
        InvalidArgument: No environment, several of them, or no Dockerfile.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = {name.rpartition("/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        headers = HeaderParser().parsestr(archive.read(names["METADATA"]).decode())
        entries = ConfigParser(delimiters=("=",))
        entries.read_string(archive.read(names["entry_points.txt"]).decode() if "entry_points.txt" in names else "")
    environments = dict(entries[GROUP]) if GROUP in entries else {}
    name = _one_of(environments, project)
    extras = headers.get_all("Provides-Extra") or []
    return Built(
        wheel=wheel,
        extra=f"[{name}]" if name in extras else "",
        environment=name,
        version=headers["Version"],
        dockerfile=_dockerfile(project, environments[name].partition(":")[0].partition(".")[0]),
    )


def _one_of(environments: dict[str, str], project: Project) -> str:
    if project.environment in environments:
        return project.environment
    if len(environments) == 1:
        return next(iter(environments))
    found = f"several environments ({', '.join(environments)}): say which" if environments else f"nothing in {GROUP}"
    msg = f"its pyproject.toml names {found}"
    raise InvalidArgument(msg, field=str(project.folder))


def _dockerfile(project: Project, module: str) -> Path:
    for place in PLACES:
        path = project.folder / place.format(module=module) / "Dockerfile"
        if path.is_file():
            return path
    msg = f"no Dockerfile, neither beside the package {module} nor in the folder itself"
    raise InvalidArgument(msg, field=str(project.folder))
