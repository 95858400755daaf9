"""One page in a headless Chromium, controlled with the DevTools protocol over a pipe; standard library only."""

import base64
import json
import os
import select
import shutil
import subprocess
import time

BINARY = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars")
TIMEOUT = 60  # seconds for an answer


class Browser:
    """`with Browser(profile) as page: page.open(url); page.ask("document.title")`; `events` lists what the page did."""

    def __init__(self, profile):
        self.events, self.buffer, self.number, self.session = [], b"", 0, None
        theirs_in, self.to = os.pipe()
        self.back, theirs_out = os.pipe()
        command = [BINARY, *QUIET, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        # The protocol's pipes are descriptors 3 and 4, whatever numbers they have here.
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(["bash", "-c", shell, "bash", *command], pass_fds=(theirs_in, theirs_out),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)

    def __enter__(self):
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self.session = None
        self.send("Browser.close")
        self.process.wait(TIMEOUT)
        os.close(self.to)
        os.close(self.back)

    def send(self, method, **params):
        """Send a command and return its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (message := self.receive()).get("id") != self.number:
            self.events.append(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    def receive(self):
        ends = time.monotonic() + TIMEOUT
        while b"\0" not in self.buffer:
            if not select.select([self.back], [], [], max(0, ends - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer.")
            self.buffer += os.read(self.back, 1 << 20)
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def open(self, url):
        self.events = []
        self.send("Page.navigate", url=url)
        while not self.get_events("Page.loadEventFired"):
            self.events.append(self.receive())

    def get_events(self, *methods):
        return [event["params"] for event in self.events if event.get("method") in methods]

    def ask(self, expression):
        """Return the value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def click(self, element, *, at=0.5):
        """Click into the middle of the element that a selector finds, or at another share of its width."""
        self.ask(f"document.querySelector({element!r}).scrollIntoView({{block: 'center', inline: 'center'}})")
        box = self.ask(f"document.querySelector({element!r}).getBoundingClientRect().toJSON()")
        place = {"x": box["x"] + box["width"] * at, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, **place, button="left", clickCount=1)

    def choose_file(self, element, path):
        """Give the file to the input that a selector finds."""
        node = self.send("Runtime.evaluate", expression=f"document.querySelector({element!r})")["result"]["objectId"]
        self.send("DOM.setFileInputFiles", files=[str(path)], objectId=node)

    def press(self, key, code):
        for kind in ("rawKeyDown", "char", "keyUp") if key == "Enter" else ("rawKeyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def set_view(self, *, width, height=900, dark=False, media="screen"):
        """Show the page in a window of this size, in a light or a dark scheme, on a screen or on paper."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def pdf(self):
        return base64.b64decode(self.send("Page.printToPDF", preferCSSPageSize=True)["data"])

    def screenshot(self):
        return base64.b64decode(self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"])
