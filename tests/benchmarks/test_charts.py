"""Charts are drawn of whatever a run has measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.charts import draw


def row(name: str, rate: float, lanes: int = 1) -> dict[str, Any]:
    found = {"question": "atari_rgb", "contestant": name, "lanes": lanes, "steps_per_s": rate}
    return {**found, "spread": [rate * 0.9, rate * 1.1], "x_openenv": rate / 60}


def test_bars_and_lines(tmp_path: Path):
    rows = [
        row("OpenEnv, WebSocket", 60),
        row("openenv-grpc, 1 lane, unix", 900),
        row("openenv-grpc, 32 lanes, unix", 3600, 32),
        row("openenv-grpc, 32 lanes, 4 in flight, unix", 3900, 32),
        row("raw loop, 2 processes", 8000, 2),
        {"question": "atari_rgb", "contestant": "EnvPool, 8 lanes", "lanes": 8, "skipped": "no"},
    ]
    result = {
        "machine": {"cores": 2, "cpu": "a CPU", "system": "Linux 6", "python": "3.11", "time": "2026-11-21T00:00:00Z"},
        "run": {"rounds": 3, "seconds": 1.0},
        "questions": {"atari_rgb": {"title": "Pong: how close?", "conditions": "frameskip 4"}, "echo": {}},
        "rows": rows,
    }
    paths = draw(result, tmp_path)
    stems = ["bench-atari-rgb", "bench-atari-rgb-lanes"]
    assert [path.name for path in paths] == [f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")]
    for path in paths:
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG") if path.suffix == ".png" else ElementTree.fromstring(data) is not None
