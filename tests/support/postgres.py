"""A PostgreSQL server of a test's own: in a folder of its own, on a loopback port, under a password, and gone afterwards."""

import contextlib
import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

PASSWORD = "s3cret-w0rd"
NO_ROOT = ("postgres", "nobody")   # PostgreSQL refuses to run as root


def tool(name):
    """A command of the server, on the path or where Debian keeps it."""
    return shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))[::-1]), None)


def installed():
    return bool(tool("initdb") and tool("pg_ctl"))


def user():
    """Whom the server runs as: this user, or where that is root another one."""
    if os.geteuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in NO_ROOT if name in names)


def free_port():
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


@contextlib.contextmanager
def server():
    """`with server() as url`: the URL of an empty database."""
    folder, port = Path(tempfile.mkdtemp(prefix="pg-")), free_port()
    (folder / "password").write_text(PASSWORD)
    if user():
        for path in (folder, folder / "password"):
            shutil.chown(path, user())
    run = lambda *command: subprocess.run(command, user=user(), cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: E731
    data, log = folder / "data", folder / "log"
    run(tool("initdb"), "-D", data, "-U", "sweeper", "-A", "scram-sha-256", "--pwfile", folder / "password", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    run(tool("pg_ctl"), "-D", data, "-l", log, "-o", options, "-w", "start")
    try:
        yield f"postgresql://sweeper:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        run(tool("pg_ctl"), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)
