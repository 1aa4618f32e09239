"""The direction of imports: main -> hub -> streams -> models, hub -> actors, and never upward."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: What the modules of each folder may import of ours: folders, or single modules of one.
MAY = {
    "models": set[str](),
    "analytics": set[str](),
    "actors": set[str](),
    "engines": set[str](),
    "streams": {"settings", "models", "analytics"},
    "hub": {
        "settings",
        "models",
        "analytics",
        "actors",
        "streams.topics",
        "streams.envelope",
        "streams.kafka",
        "streams.log",
    },
}
OURS = {*MAY, "settings", "main", "up", "tests", "bench", "examples"}


def imported(file: Path) -> Iterator[str]:
    """Dotted names of ours that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name for name in names if name.split(".")[0] in OURS)


@pytest.mark.parametrize("folder", MAY)
def test_arrows_point_downward(folder: str) -> None:
    allowed = {folder, *MAY[folder]}
    wrong = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (ROOT / folder).rglob("*.py")
        for name in imported(file)
        if not any(name == one or name.startswith(f"{one}.") for one in allowed)
    }
    assert not wrong


def test_finds_an_arrow_that_points_upward(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("def f():\n    from hub import routes\n    import streams.log\n    import json\n")
    assert list(imported(file)) == ["hub.routes", "streams.log"]
