"""Charts are drawn of whatever a run has measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.charts import bars, draw, lines


def row(
    name: str, rate: float, lanes: int = 1, question: str = "atari_rgb", cores: int | None = None
) -> dict[str, Any]:
    found = {"question": question, "contestant": name, "lanes": lanes, "cores": cores, "steps_per_s": rate}
    return {**found, "spread": [rate * 0.9, rate * 1.1], "x_openenv": rate / 60}


RGB = [
    row("OpenEnv, WebSocket", 60),
    row("openenv-grpc, 1 lane, unix", 900),
    row("openenv-grpc, 32 lanes, unix", 3600, 32),
    row("openenv-grpc, 32 lanes, 4 in flight, unix", 3900, 32),
    row("raw loop, 2 processes", 8000, 2),
    {"question": "atari_rgb", "contestant": "EnvPool, 8 lanes", "lanes": 8, "skipped": "no"},
]
LANES = [
    row("openenv-grpc, 1 lane, local lane", 3000, 1, "atari_lanes"),
    row("openenv-grpc, 256 lanes, local lane", 8000, 256, "atari_lanes"),
    row("AtariVectorEnv, 256 lanes", 7000, 256, "atari_lanes"),
    row("raw loop, 1 process", 4000, 1, "atari_lanes"),
]
CORES = [
    row("openenv-grpc, 128 lanes, local lane, 1 core", 3900, 128, "atari_cores", 1),
    row("openenv-grpc, 128 lanes, local lane, 2 cores", 7900, 128, "atari_cores", 2),
    row("AtariVectorEnv, 128 lanes, 2 cores", 7000, 128, "atari_cores", 2),
    row("raw loop, 2 processes, 2 cores", 8000, 2, "atari_cores", 2),
]


def local(question: str) -> list[dict[str, Any]]:
    return [
        row("openenv-grpc, 32 lanes, local lane", 7000, 32, question),
        row("openenv-grpc, 32 lanes, 4 in flight, local lane", 7500, 32, question),
        row("raw loop, 2 processes", 8000, 2, question),
    ]


def result(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "machine": {"cores": 2, "cpu": "a CPU", "system": "Linux 6", "python": "3.11", "time": "2026-11-21T00:00:00Z"},
        "run": {"rounds": 3, "seconds": 1.0},
        "questions": {
            name: {"title": "Pong: how close?", "conditions": "frameskip 4"} for name in [*bars.GAMES, "echo"]
        }
        | {name: {"title": "Pong: what?", "conditions": "lock step"} for name in ("atari_lanes", "atari_cores")},
        "rows": rows,
    }


def drawn(rows: list[dict[str, Any]], tmp_path: Path) -> dict[str, str]:
    """The words of each chart, by its name."""
    paths = draw(result(rows), tmp_path)
    for path in paths:
        assert path.suffix == ".svg" or path.read_bytes().startswith(b"\x89PNG")
    texts = {path.stem: path.read_text() for path in paths if path.suffix == ".svg"}
    assert all(ElementTree.fromstring(text) is not None for text in texts.values())
    assert len(paths) == 2 * len(texts)
    return texts


def test_bars_and_lines(tmp_path: Path):
    assert list(drawn(RGB, tmp_path)) == ["bench-atari-rgb", "bench-atari-rgb-lanes"]


def test_lanes_and_cores_have_a_chart_of_lines_each(tmp_path: Path):
    found = drawn(LANES + CORES, tmp_path)
    assert list(found) == ["bench-atari-lanes", "bench-atari-cores"]
    # text is drawn as paths, after a comment that has its words
    for name in ("openenv-grpc, local lane", "AtariVectorEnv", "256", "raw loop, 1 process"):
        assert f"<!-- {name} -->" in found["bench-atari-lanes"]
    for name in ("openenv-grpc, local lane", "AtariVectorEnv", "raw loop", "8,000"):
        assert f"<!-- {name} -->" in found["bench-atari-cores"]


def test_a_line_has_the_fastest_at_each_place():
    found = lines._series([*RGB[:4], *CORES[1:3]], "lanes")
    rates = {name: {place: row["steps_per_s"] for place, row in points.items()} for name, points in found.items()}
    assert rates == {
        "openenv-grpc, unix": {1: 900, 32: 3900},
        "openenv-grpc, local lane": {128: 7900},
        "AtariVectorEnv": {128: 7000},
    }


def test_games_side_by_side_where_there_are_two(tmp_path: Path):
    assert "bench-atari-games" not in drawn(local("atari_rgb"), tmp_path)
    found = drawn(local("atari_rgb") + local("atari_seaquest"), tmp_path)["bench-atari-games"]
    for name in ("Pong", "Seaquest", "openenv-grpc, local lane", "7,500  (0.94)", "8,000  (1.00)"):
        assert f"<!-- {name} -->" in found
    assert "EnvPool" not in found
    assert "Breakout" not in found
