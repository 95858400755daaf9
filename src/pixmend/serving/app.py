"""The local page: choose a picture, paint what is missing, and compare what runs and fills make of it.

Starlette, because the page needs five routes and a canvas of its own: Gradio's editor has no mask that can be dropped beside the
picture and asks other hosts for fonts, and FastAPI adds schemas that one form does not need. Nothing is written to the disk,
and nothing is asked of another host.
"""

import asyncio
import base64
import binascii
import json
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from pixmend.data import decode
from pixmend.data.encode import encode_jpeg
from pixmend.data.picture_files import ADVICE, Picture, decode_picture, encode_picture
from pixmend.errors import UserError
from pixmend.mending import masks, pictures
from pixmend.mending.restorers import Restorer
from pixmend.serving.choices import list_choices, list_examples

MAX_BYTES, MAX_PIXELS = 40_000_000, 16_000_000   # of a request, in base 64; and of a picture
EXAMPLE_SIDE = 512
FOLDER = Path(__file__).parent
LOOPBACK = ("127.0.0.1", "localhost")
JSON = "application/json"   # which a page of another site cannot send: browsers ask first, and nothing here answers that
HEADERS = {"Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:", "X-Content-Type-Options": "nosniff",
           "Cache-Control": "no-store"}


class Page:
    """The routes of the page, and the restorers that were opened."""

    def __init__(self, home: Path) -> None:
        self.choices, self.examples = list_choices(home), list_examples()
        self.opened: dict[str, Restorer] = {}
        self.lock = threading.Lock()   # one picture is mended at a time: each takes all cores

    async def show_file(self, request: Request) -> Response:
        return FileResponse(FOLDER / {"/": "page.html"}.get(request.url.path, request.url.path[1:]), headers=HEADERS)

    async def list_choices(self, request: Request) -> Response:
        known = {"choices": list(self.choices), "examples": list(self.examples), "pixels": MAX_PIXELS}
        return JSONResponse(known, headers=HEADERS)

    async def show_example(self, request: Request) -> Response:
        photo = self.examples.get(request.path_params["name"])
        if photo is None:
            return JSONResponse({"error": "There is no such example."}, 404)
        image = photo.decode()
        scale = EXAMPLE_SIDE / max(image.shape[:2])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return Response(encode_jpeg(small.reshape(*small.shape[:2], -1)), media_type="image/jpeg", headers=HEADERS)

    async def mend(self, request: Request) -> Response:
        """Mend the picture of a request; a mistake is a message with the status 400, too large a request one with 413."""
        if request.headers.get("content-type") != JSON:
            return JSONResponse({"error": f"A request must be {JSON}. Load the page again."}, 415)
        try:
            body = await read_body(request)
            if body is None:
                most = MAX_BYTES * 3 / 4 / 1e6
                return JSONResponse({"error": f"The files of picture and mask are larger than {most:.0f} MB together. `pixmend "
                                              f"mend` takes more."}, 413)
            return JSONResponse(await run_in_threadpool(partial(self.mend_order, parse_order(body))), headers=HEADERS)
        except UserError as error:
            return JSONResponse({"error": str(error)}, 400)
        except (ClientDisconnect, asyncio.CancelledError):   # nobody waits for the answer, or the page is ended
            return Response(status_code=503)

    def mend_order(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return what each choice of an order makes of its picture: the picture, seconds and RMSE."""
        picture = read_data("The picture", order["picture"])
        height, width = picture.colours.shape[:2]
        mask = masks.to_mask("The mask", read_data("The mask", order["mask"]), (height, width))
        if not mask.any():
            raise UserError("Nothing is painted. Paint over what is missing.")
        results = [self.mend_by(name, picture, mask, is_original=bool(order.get("is_original"))) for name in order["names"]]
        return {"results": results, "missing": float(mask.mean())}

    def mend_by(self, name: str, picture: Picture, mask: np.ndarray, *, is_original: bool) -> dict[str, Any]:
        if name not in self.choices:
            raise UserError(f"There is no run and no fill {name!r} here.")
        with self.lock:
            if name not in self.opened:
                self.opened[name] = self.choices[name].open()
            began = time.perf_counter()
            mended = pictures.mend_picture(picture, mask, self.opened[name])
            seconds = time.perf_counter() - began
        data = base64.b64encode(encode_picture(mended, with_metadata=False)).decode()
        rmse = pictures.compute_rmse(mended, picture, mask) if is_original else None
        return {"name": name, "seconds": seconds, "rmse": rmse, "image": f"data:image/png;base64,{data}"}


async def read_body(request: Request) -> bytes | None:
    """Return the body of a request; None if it is too large."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BYTES:
            return None
    return body


def parse_order(body: bytes) -> dict[str, Any]:
    """Return the order of a request: the picture and the mask in base 64, the names of what mends it."""
    try:
        order = json.loads(body)
        names = order["names"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError
        data = {key: base64.b64decode(order[key].partition(",")[2], validate=True) for key in ("picture", "mask")}
        return {**order, **data, "names": list(dict.fromkeys(names))}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise UserError("The request is not one of this page. Load the page again.") from None


def read_data(label: str, data: bytes) -> Picture:
    """Return the picture in the bytes of a file; one with too many pixels is refused before it is decoded."""
    packed = decode.parse_data(label, data, ADVICE)
    if packed.height * packed.width > MAX_PIXELS:
        raise UserError(f"{label} has {packed.height * packed.width / 1e6:.0f} million pixels; this page takes "
                        f"{MAX_PIXELS / 1e6:.0f} million. `pixmend mend` takes more.")
    return decode_picture(label, packed)


def make_app(home: Path, hosts: tuple[str, ...] = LOOPBACK) -> Starlette:
    """Return the page of a home; requests under other host names, and orders that pages of other sites can send, are refused."""
    page = Page(home)
    routes = [*(Route(path, page.show_file) for path in ("/", "/page.js", "/page.css")), Route("/choices", page.list_choices),
              Route("/examples/{name}", page.show_example), Route("/mend", page.mend, methods=["POST"])]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))])
