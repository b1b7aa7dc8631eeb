# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real browser without a screen, driven through its DevTools protocol.

Chromium speaks it over two pipes, a NUL after each message: no port, no library.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

#: As distributions call it; scripts/setup --dev installs the first.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
#: What each key needs besides its name.
KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    "Home": 36,
    "End": 35,
    "PageDown": 34,
    "PageUp": 33,
}
#: Seconds after which a browser that does not answer is broken.
PATIENCE = 30


class Browser:
    """One window of one browser."""

    def __init__(self, profile: Path) -> None:
        command = next(filter(None, map(shutil.which, NAMES)), None)
        assert command is not None, "no browser: scripts/setup --dev installs one"
        ours, theirs = os.pipe(), os.pipe()
        self._process = subprocess.Popen(
            # It reads from descriptor 3 and writes to 4.
            ["bash", "-c", f'exec "$0" "$@" 3<&{ours[0]} 4>&{theirs[1]}', command]
            + ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
            + ["--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND"]
            + [f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(ours[0], theirs[1]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(ours[0])
        os.close(theirs[1])
        self._to, self._from = ours[1], theirs[0]
        self._read_ahead = b""
        self._numbers = itertools.count(1)
        self._session: "str | None" = None
        #: Events that came while an answer was waited for.
        self.events: "list[dict[str, Any]]" = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        os.close(self._to)
        os.close(self._from)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> "dict[str, Any]":
        while b"\0" not in self._read_ahead:
            ready, _, _ = select.select([self._from], [], [], PATIENCE)
            assert ready, "the browser does not answer"
            piece = os.read(self._from, 1 << 16)
            assert piece, "the browser has ended"
            self._read_ahead += piece
        data, _, self._read_ahead = self._read_ahead.partition(b"\0")
        message: "dict[str, Any]" = json.loads(data)
        return message

    def call(self, method: str, **parameters: Any) -> "dict[str, Any]":
        """One command, and its answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                result: "dict[str, Any]" = answer["result"]
                return result
            self.events.append(answer)

    def open(self, url: str) -> None:
        """Load a page, until its picture is drawn if it has one."""
        self.events.clear()
        # From a fresh document: a change of the fragment alone loads nothing.
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.evaluate(
            """new Promise((done) => {
                const look = () => document.readyState === "complete" &&
                    (!document.getElementById("picture-data") ||
                     document.documentElement.classList.contains("drawn"))
                    ? done() : setTimeout(look, 10);
                look();
            })"""
        )

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript; a promise's when it is there."""
        result = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, *keys: str) -> None:
        """Real key events, as from a keyboard; then all that they set off is done."""
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            about = {
                "key": key,
                "code": f"Key{key.upper()}" if len(key) == 1 else key,
                "windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper())),
            }
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)
            # Links and forms act in a turn of the event loop of their own.
            self.evaluate(
                """new Promise((done) => {
                    const look = () => document.querySelector("[aria-busy=true]")
                        ? setTimeout(look, 5) : requestAnimationFrame(() => done());
                    setTimeout(look, 5);
                })"""
            )

    def media(self, *, scheme: str = "light", kind: str = "screen") -> None:
        """Light or dark; screen or print."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=kind, features=features)

    def size(self, width: int, height: int) -> None:
        """How large the window is."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def screenshot(self, *, whole: bool = False) -> bytes:
        """What is seen, as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])

    def complaints(self) -> "list[dict[str, Any]]":
        """What the browser had to say against the page: errors, blocked content."""
        return [
            event["params"]
            for event in self.events
            if event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")
        ]

    def requests(self) -> "list[str]":
        """Addresses of all that was asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
