"""Open a local page on which pictures are mended; Ctrl-C ends it."""

import contextlib
import os
import socket
import threading
from ipaddress import ip_address
from pathlib import Path

from pixmend.config import Settings
from pixmend.errors import FlagError, UserError

SECONDS_TO_END = 1   # for requests, when Ctrl-C ends the page


def main(settings: Settings) -> None:
    """Serve the page until Ctrl-C."""
    try:
        import uvicorn

        from pixmend.serving.app import LOOPBACK, make_app
    except ModuleNotFoundError as error:
        raise UserError(f"The page needs the package {error.name}: ./set_up.sh web (without a checkout: pip install "
                        f"'pixmend[web]').") from None
    app = make_app(Path(settings.home), (*LOOPBACK, settings.host))
    with open_socket(settings) as listening:
        if ip_address(listening.getsockname()[0]).is_unspecified:   # also written as 0 or an empty text
            raise FlagError(f"--host {settings.host} is no address that a browser can open. Give this machine's own address, "
                            f"which other machines use.")
        print(f"The page is at http://{settings.host}:{listening.getsockname()[1]}. Ctrl-C ends it.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=SECONDS_TO_END)).run([listening])
        if threading.active_count() > 1:   # a picture is still being mended, which would be waited for; nothing of it is kept
            os._exit(0)


def open_socket(settings: Settings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port))
    except OSError as error:
        raise UserError(f"The page cannot be served at {settings.host}:{settings.port} ({error.strerror or error}). "
                        f"Choose another --port or --host.") from None
