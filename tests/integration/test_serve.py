"""`pixmend serve`: the local page, its limits, and what it does in a browser."""

import base64
import contextlib
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
import uvicorn
from PIL import Image
from skimage import data
from support import chromium
from support.stages import SMALL, clean_environment, command, done, stage

from pixmend.serving import app as serving
from pixmend.serving.choices import list_choices


@pytest.fixture(scope="module")
def home(module_home):
    done(stage("train", module_home, *SMALL, "--steps", "4", "--run", "whole"))
    done(stage("configure", module_home, *SMALL, "--run", "untrained"))
    return module_home


@pytest.fixture(scope="module")
def address(home):
    """The page of the home, in a thread of this process."""
    server = uvicorn.Server(uvicorn.Config(serving.make_app(home), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def ask(url, order=None, kind="application/json", **headers):
    """Return status and answer of a request, which has a body if there is an order."""
    body = order if isinstance(order, bytes) or order is None else json.dumps(order).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers | {"Content-Type": kind})) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def encode_bytes(array, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png", **options)
    return file.getvalue()


def to_url(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()


def encode(array):
    return to_url(encode_bytes(array))


def decode(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


PHOTO = np.ascontiguousarray(data.astronaut()[:120:2, :160:2])
MASK = np.zeros(PHOTO.shape[:2], np.uint8)
MASK[20:32, 30:45] = 255
BOMB = encode_bytes(np.zeros((5000, 8000), np.uint8))   # 40 million pixels in some 40 kB
REFUSED = {"bomb.png": BOMB, "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
           "notes.txt": b"text", "text.png": b"text", "empty.jpg": b""}
ORDER = {"picture": encode(PHOTO), "mask": encode(MASK), "names": ["smooth"]}


def test_page_offers_trained_runs_and_fills(address):
    choices = json.loads(ask(f"{address}/choices")[1])["choices"]
    assert "demo/whole" in choices and "smooth" in choices and not any("untrained" in name for name in choices)


def test_run_in_a_renamed_folder_has_the_name_of_the_folder(home, tmp_path):
    shutil.copytree(home / "checkpoints/demo/whole", tmp_path / "checkpoints/demo/renamed")
    assert [name for name in list_choices(tmp_path) if "/" in name] == ["demo/renamed"]


def test_picture_is_mended_by_each_choice(address):
    status, answer = ask(f"{address}/mend", ORDER | {"names": ["demo/whole", "smooth"], "is_original": True})
    results = json.loads(answer)["results"]
    assert status == 200 and [result["name"] for result in results] == ["demo/whole", "smooth"]
    for result in results:
        mended = decode(result["image"])
        assert (mended[MASK == 0] == PHOTO[MASK == 0]).all() and (mended[MASK > 0] != PHOTO[MASK > 0]).any()
        difference = (mended[MASK > 0].astype(float) - PHOTO[MASK > 0]) / 255
        assert result["rmse"] == pytest.approx(np.sqrt(np.mean(difference**2))) and result["seconds"] > 0


@pytest.mark.parametrize("order", [
    b"", b"[]", b"[" * 100_000, b"{}", ORDER | {"picture": 7}, ORDER | {"picture": "data:,x"}, ORDER | {"names": "smooth"},
    ORDER | {"names": ["../../whole"]}, ORDER | {"names": [["smooth"]]}, ORDER | {"mask": encode(MASK[:9])},
    ORDER | {"mask": encode(0 * MASK)}, ORDER | {"mask": encode(255 + 0 * MASK)}, ORDER | {"picture": ORDER["picture"][:-900]},
    *(ORDER | {"picture": to_url(content)} for content in REFUSED.values()),
])
def test_bad_requests_are_messages(address, order):
    status, answer = ask(f"{address}/mend", order)
    assert status == 400 and json.loads(answer)["error"].strip()


def test_message_about_the_kind_of_a_picture_holds_no_command(address):
    moving = encode_bytes(PHOTO, save_all=True, append_images=[Image.fromarray(PHOTO[::-1])])
    status, answer = ask(f"{address}/mend", ORDER | {"picture": to_url(moving)})
    assert status == 400 and "python" not in json.loads(answer)["error"]


def test_each_choice_mends_once(address):
    results = json.loads(ask(f"{address}/mend", ORDER | {"names": ["smooth", "harmonic", "smooth"]})[1])["results"]
    assert [result["name"] for result in results] == ["smooth", "harmonic"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
                                  "text/plain; application/json"])
def test_pages_of_other_sites_cannot_send_orders(address, kind):
    assert ask(f"{address}/mend", ORDER, kind)[0] == 415


def test_large_requests_are_refused_with_the_size_of_the_files(address, monkeypatch):
    monkeypatch.setattr(serving, "MAX_BYTES", 4_000_000)
    status, answer = ask(f"{address}/mend", b" " * 4_100_000)
    assert status == 413 and " 3 MB" in json.loads(answer)["error"]


@pytest.mark.parametrize("host", ["0.0.0.0", "0", ""])
def test_addresses_that_mean_every_one_are_refused(tmp_path, host):
    result = stage("serve", tmp_path, "--host", host)
    assert result.returncode == 2 and "--host" in result.stderr


@pytest.mark.parametrize("path", ["/app.py", "/../app.py", "/examples/nothing", "/examples/..%2Fapp.py", "/page.js/../app.py"])
def test_no_other_file_can_be_read(address, path):
    assert ask(address + path)[0] == 404


def test_requests_under_another_host_name_are_refused(address):
    assert ask(f"{address}/choices", Host="example.com")[0] == 400


@pytest.mark.long
def test_command_serves_until_it_is_interrupted(home, tmp_path):
    process = subprocess.Popen(command("serve", home, "--port", "0"), cwd=tmp_path, env=clean_environment(), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    address = next(word for word in process.stdout.readline().split() if word.startswith("http")).rstrip(".")
    before = set(home.rglob("*"))
    assert ask(f"{address}/mend", ORDER)[0] == 200
    port = address.rpartition(":")[2]
    assert stage("serve", home, "--port", port).returncode == 1
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in errors
    assert set(home.rglob("*")) == before and not list(tmp_path.iterdir())


@contextlib.contextmanager
def serve_page(tmp_path):
    """A process that serves an empty home, and the port of its page."""
    process = subprocess.Popen(command("serve", tmp_path, "--port", "0"), env=clean_environment(), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        try:
            yield process, int(re.search(r":(\d+)\.", process.stdout.readline())[1])
        finally:
            process.kill()


def send(port, body, length):
    """Send an order, or its beginning, and wait until the page has noticed, not for the answer."""
    sending = socket.create_connection(("127.0.0.1", port))
    head = f"POST /mend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    sending.sendall(head.encode() + body)
    ask(f"http://127.0.0.1:{port}/choices")
    return sending


@pytest.mark.parametrize("is_whole", [False, True])
def test_ctrl_c_ends_the_page_though_a_request_is_not_finished(tmp_path, is_whole):
    side = 1500
    mask = np.zeros((side, side), np.uint8)
    mask[9:-9, 9:-9] = 255   # takes minutes
    picture = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    body = json.dumps({"picture": encode(picture), "mask": encode(mask), "names": ["biharmonic"]}).encode()
    with serve_page(tmp_path) as (process, port), send(port, body if is_whole else body[:99], len(body)):
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0 and "Traceback" not in errors


def test_request_that_is_broken_off_leaves_no_traceback(tmp_path):
    with serve_page(tmp_path) as (process, port):
        send(port, b"{", 1000).close()
        assert ask(f"http://127.0.0.1:{port}/choices")[0] == 200
        process.send_signal(signal.SIGINT)
        assert not process.communicate(timeout=30)[1]


in_a_browser = pytest.mark.skipif(chromium.BINARY is None, reason="Chromium is not installed here")
IS_SEEN = "(e => e.offsetParent !== null && e.getBoundingClientRect().height > 0)(document.querySelector({!r}))"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium.Browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.long
@in_a_browser
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (400, False), (400, True)])
def test_picture_is_painted_and_mended_in_a_browser(browser, address, tmp_path, width, dark):
    page, photo = browser, tmp_path / "photo.png"
    Image.fromarray(PHOTO).save(photo)
    page.set_view(width=width, height=1400, dark=dark)
    page.open(address)
    wait_for(page, "document.querySelectorAll('input[name=choice]').length > 1")
    page.choose_file("#file", photo)
    wait_for(page, "!document.querySelector('#paint').hidden")
    paint(page, (20, 18), (50, 30))
    paint(page, (9, 50), (14, 50))
    page.click("#undo")
    paint(page, (60, 45), (70, 45))
    page.click("#is-original")
    page.ask("document.querySelectorAll('input[name=choice]').forEach(box => { box.checked = box.value !== 'harmonic'; })")
    page.click("#mend")
    wait_for(page, "!document.querySelector('#results').hidden")
    mask = decode(page.ask("makeMask()"))[..., 0] > 0
    assert mask[45, 65] and mask[24, 35] and not mask[50, 11]
    rows = page.ask("[...document.querySelectorAll('#rows tr')].map(row => [...row.cells].map(cell => cell.textContent))")
    links = page.ask("[...document.querySelectorAll('#rows a')].map(link => link.href)")
    assert {"smooth", "demo/whole"} <= {row[1] for row in rows} and len(links) == len(rows)
    for row, link in zip(rows, links, strict=True):
        mended = decode(link)
        assert (mended[~mask] == PHOTO[~mask]).all() and (mended[mask] != PHOTO[mask]).any()
        assert float(row[3]) == pytest.approx(np.sqrt(np.mean(((mended[mask].astype(float) - PHOTO[mask]) / 255) ** 2)), abs=1e-5)
    assert page.ask("document.documentElement.scrollWidth") <= width
    background = page.ask("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(background) < 60) if dark else (min(background) > 200)
    check_nothing_was_asked_elsewhere(page, address)


@pytest.mark.long
@in_a_browser
def test_slider_moves_between_before_and_after(browser, address):
    page = browser
    page.set_view(width=1200, height=1400)
    page.open(address)
    wait_for(page, "document.querySelectorAll('#example option').length > 1")
    page.ask("(() => { const list = document.querySelector('#example'); list.selectedIndex = 1;"
             " list.dispatchEvent(new Event('change')); })()")
    wait_for(page, "!document.querySelector('#paint').hidden")
    paint(page, (100, 90), (160, 120))
    page.click("#mend")
    wait_for(page, "!document.querySelector('#results').hidden")
    visible = "getComputedStyle(document.querySelector('#before')).clipPath"
    middle = page.ask(visible)
    page.click("#slider", at=0.1)
    assert int(page.ask("document.querySelector('#slider').value")) < 20 and page.ask(visible) != middle
    check_nothing_was_asked_elsewhere(page, address)


@pytest.mark.long
@in_a_browser
def test_result_of_an_earlier_picture_is_not_shown_beside_another_one(browser, address, tmp_path):
    page = browser
    page.set_view(width=1200, height=1400)
    page.open(address)
    wait_for(page, "document.querySelectorAll('input[name=choice]').length > 1")
    for number in range(2):
        Image.fromarray(np.rot90(PHOTO, number)).save(tmp_path / f"{number}.png")
    page.choose_file("#file", tmp_path / "0.png")
    wait_for(page, "!document.querySelector('#paint').hidden")
    paint(page, (20, 18), (50, 30))
    page.ask("(() => { const usual = fetch; window.fetch = async (...words) => {"
             " const answer = await usual(...words); await new Promise(done => { window.release = done; });"
             " return answer; }; })()")
    page.click("#mend")
    wait_for(page, "window.release !== undefined")
    page.choose_file("#file", tmp_path / "1.png")
    wait_for(page, f"picture.width === {PHOTO.shape[0]}")
    page.ask("release()")
    wait_for(page, "!document.querySelector('#mend').disabled")
    assert page.ask("document.querySelector('#results').hidden") and page.ask("document.querySelector('#before').src") == ""


@pytest.mark.long
@in_a_browser
def test_files_that_are_no_pictures_get_a_visible_message(browser, address, tmp_path):
    page = browser
    page.set_view(width=400)
    page.open(address)
    wait_for(page, "document.querySelectorAll('input[name=choice]').length > 1")
    for name in REFUSED:
        (tmp_path / name).write_bytes(REFUSED[name])
        page.ask("tell('')")
        page.choose_file("#file", tmp_path / name)
        wait_for(page, "document.querySelector('#message.error')?.textContent")
        assert page.ask(IS_SEEN.format("#message")) and page.ask("document.querySelector('#paint').hidden"), name


@pytest.mark.long
@in_a_browser
def test_same_file_can_be_chosen_again_after_another_picture(browser, address, tmp_path):
    page = browser
    page.set_view(width=1200, height=1400)
    page.open(address)
    wait_for(page, "document.querySelectorAll('#example option').length > 1")
    for name, place, wanted in (("photo", "#file", "source"), ("mask", "#mask-file", "earlier.length")):
        Image.fromarray(PHOTO).save(tmp_path / f"{name}.png")
        page.choose_file(place, tmp_path / f"{name}.png")
        wait_for(page, wanted)
        assert page.ask(f"document.querySelector('{place}').value") == ""   # with a value left, browsers see no change
    page.ask("document.querySelector('#example').selectedIndex = 1")
    page.choose_file("#file", tmp_path / "photo.png")
    wait_for(page, "document.querySelector('#example').value === ''")


@pytest.mark.long
@in_a_browser
@pytest.mark.parametrize("answer", ["new Response('Internal Server Error', {status: 500})", "Promise.reject(new Error('no'))"])
def test_page_without_a_server_says_so(browser, address, tmp_path, answer):
    page = browser
    page.set_view(width=1200, height=1400)
    page.open(address)
    wait_for(page, "document.querySelectorAll('input[name=choice]').length > 1")
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    page.choose_file("#file", tmp_path / "photo.png")
    wait_for(page, "source")
    page.ask(f"window.fetch = async () => {answer}; true")
    page.click("#mend")
    wait_for(page, "document.querySelector('#message.error')?.textContent.includes('pixmend serve')")


def check_nothing_was_asked_elsewhere(page, address):
    urls = [event["request"]["url"] for event in page.get_events("Network.requestWillBeSent")]
    assert urls and all(url.startswith((address, "data:", "blob:")) for url in urls)
    assert not page.get_events("Runtime.exceptionThrown") and not page.get_events("Log.entryAdded")


def paint(page, start, end):
    frame = page.ask("document.querySelector('#strokes').getBoundingClientRect().toJSON()")
    for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
        place = {"x": frame["x"] + x, "y": frame["y"] + y}
        page.send("Input.dispatchMouseEvent", type=kind, **place, button="left", buttons=1, clickCount=1)


def wait_for(page, condition):
    """Wait in the page itself until a condition holds."""
    page.ask("new Promise((done, fail) => { let left = 600; const look = () => { if (" + condition + ") done();"
             " else if (--left) setTimeout(look, 50); else fail(new Error('waited in vain')); }; look(); })")
