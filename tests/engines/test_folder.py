"""A data folder is used by one at a time and says where its engines are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engines import folder
from engines.child import EngineError

ADDRESSES = folder.Addresses(database_url="postgresql://a:b@127.0.0.1:1/c", kafka="127.0.0.1:2")

HOLD = "import sys, pathlib\nfrom engines import folder\nwith folder.locked(pathlib.Path(sys.argv[1])):\n"
HOLD += "    print('held', flush=True)\n    sys.stdin.read()\n"


def hold(data: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLD, str(data)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_says_who_holds_it_and_is_free_when_that_one_is_killed(tmp_path: Path) -> None:
    with hold(tmp_path) as other:
        with pytest.raises(EngineError, match=f"in use by process {other.pid}"), folder.locked(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
        with folder.locked(tmp_path):
            assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_tells_where_the_engines_are_while_it_is_held(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Nothing runs on"):
        folder.addresses(tmp_path)
    with folder.locked(tmp_path):
        with pytest.raises(EngineError, match="Nothing runs on"):
            folder.addresses(tmp_path)
        folder.tell(tmp_path, ADDRESSES)
        assert folder.addresses(tmp_path) == ADDRESSES
        assert (tmp_path / "engines.json").stat().st_mode & 0o077 == 0
    with pytest.raises(EngineError, match="Nothing runs on"):
        folder.addresses(tmp_path)


def test_says_when_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"cannot be used \(Not a directory\); set HUB_DATA"):
        with folder.locked(tmp_path / "file" / "data"):
            pass
