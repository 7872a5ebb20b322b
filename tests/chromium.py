"""A real headless browser for tests of pages: Chromium, spoken to over a pipe, with nothing to install.

`--remote-debugging-pipe` has the browser read commands of its debugging protocol from file descriptor 3 and
write answers to 4, each a JSON object that ends in a zero byte.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
REQUIRED = "COVID_SYNTH_BROWSER_TESTS"
"""Environment variable: set, the tests of pages fail where there is no browser instead of being skipped."""

PATIENCE = 60.0
KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Tab": 9, "Escape": 27, " ": 32}


def find() -> str | None:
    """The browser that CHROMIUM names, or the first on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def need() -> None:
    """Skip the test where there is no browser; fail it where `REQUIRED` is set."""
    if find() is not None:
        return
    reason = "no Chromium on this machine; CHROMIUM may name one"
    if os.environ.get(REQUIRED):
        pytest.fail(f"{reason} ({REQUIRED} is set)")
    pytest.skip(reason)


class Browser:
    """A running browser; `page()` gives a fresh page with a storage of its own."""

    def __init__(self, program: str, profile: str) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # bash, because other shells take one digit for a descriptor only.
        launch = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                launch,
                "bash",
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-extensions",
                "--hide-scrollbars",
                "--mute-audio",
                "--force-device-scale-factor=1",
                f"--user-data-dir={profile}",
                "--remote-debugging-pipe",
                "about:blank",
            ],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of a command; events that arrive before it are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._out, content) :]
        deadline = time.monotonic() + PATIENCE
        while (answer := self._read(deadline)).get("id") != self._number:
            if "method" in answer:
                self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def wait(self, method: str, session: str) -> dict[str, Any]:
        """The parameters of the next event of that kind, one that came already included."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for event in self.events:
                if event["method"] == method and event.get("sessionId") == session:
                    self.events.remove(event)
                    return event["params"]
            event = self._read(deadline)
            if "method" in event:
                self.events.append(event)

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser does not answer")
            chunk = os.read(self._in, 1 << 20)
            if not chunk:
                raise RuntimeError(f"the browser ended with {self._process.wait(10)}")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    @contextmanager
    def page(self, width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Page]:
        """A page in a context of its own: no storage, cookies or cache of another test."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        try:
            target = self.send("Target.createTarget", url="about:blank", browserContextId=context)
            attached = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            page = Page(self, attached["sessionId"], context)
            page.resize(width, height)
            page.scheme("dark" if dark else "light")
            yield page
        finally:
            self.send("Target.disposeBrowserContext", browserContextId=context)
            self.events.clear()

    def close(self) -> None:
        """End the browser."""
        try:
            self.send("Browser.close")
        except (RuntimeError, OSError):
            self._process.kill()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        os.close(self._out)
        os.close(self._in)


class Page:
    """A page: what a person sees and presses, and what the browser had to say."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser, self._session, self._context = browser, session, context
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.send(method, self._session, **parameters)

    def open(self, path: Path) -> None:
        """Load the page from file://."""
        self.send("Page.navigate", url=path.absolute().as_uri())
        self._browser.wait("Page.loadEventFired", self._session)

    def reload(self) -> None:
        self.send("Page.reload")
        self._browser.wait("Page.loadEventFired", self._session)

    def js(self, expression: str) -> Any:
        """The value of an expression, or of the promise that it gives."""
        result = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, condition: str | Callable[[], bool]) -> None:
        """Wait until an expression or a function is true; a fixed wait is too short on a busy machine."""
        deadline = time.monotonic() + PATIENCE
        while not (condition() if callable(condition) else self.js(condition)):
            assert time.monotonic() < deadline, "it did not become true"
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        """What is visible of an element."""
        return self.js(f"document.querySelector({json.dumps(selector)}).innerText")

    def count(self, selector: str) -> int:
        """How many elements there are that are not hidden."""
        return self.js(
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            ".filter(e => e.getClientRects().length).length"
        )

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element."""
        box = self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        """Press and release keys, by the names that JavaScript has for them."""
        for key in keys:
            code = KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
            typed = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            for kind in ("keyDown", "keyUp"):
                more = {"text": typed} if typed and kind == "keyDown" else {}
                self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def choose(self, selector: str, value: str) -> None:
        """Set a field, as a person would, with its events."""
        self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value ="
            f" {json.dumps(value)}; for (const t of ['input', 'change'])"
            " e.dispatchEvent(new Event(t, {bubbles: true})); })()"
        )

    def resize(self, width: int, height: int) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def scheme(self, value: str) -> None:
        """Prefer "dark" or "light"."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def downloads_to(self, folder: Path) -> None:
        self._browser.send(
            "Browser.setDownloadBehavior",
            behavior="allow",
            browserContextId=self._context,
            downloadPath=str(folder),
        )

    def screenshot(self, path: Path, whole: bool = False) -> Path:
        """A PNG of what is seen, or of the whole page."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def names(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader is told of, in order."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions, so far."""
        self.js("0")
        found = []
        for event in self._browser.events:
            content = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(content["exceptionDetails"]))
            if event["method"] == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning"):
                found.append(str(content["args"]))
            if event["method"] == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
                found.append(content["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Addresses that the page asked for, its own and those it carries left out."""
        self.js("0")
        found = [
            event["params"]["request"]["url"]
            for event in self._browser.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in found if not url.startswith(("data:", "file:", "blob:"))]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the screen."""
        return self.js("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@contextmanager
def running() -> Iterator[Browser]:
    """A browser for as long as the block lasts."""
    program = find()
    assert program is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            yield browser
        finally:
            browser.close()
