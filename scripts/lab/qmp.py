# SPDX-License-Identifier: LGPL-2.1-or-later
"""The QEMU machine protocol, as much of it as the lab needs."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

from .run import LabError


def connect(path: Path, seconds: float, who: str) -> socket.socket:
    """A stream to a Unix socket that WHO is about to listen on; LabError if it never does."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    until = time.monotonic() + seconds
    while True:
        try:
            stream.connect(str(path))
            return stream
        except OSError:
            if time.monotonic() > until:
                stream.close()
                raise LabError(f"{who} does not answer") from None
            time.sleep(0.05)


class Qmp:
    """A QMP connection over a Unix socket. Events are kept in `events`."""

    def __init__(self, path: Path, seconds: float = 30) -> None:
        self._socket = connect(path, seconds, "QEMU")
        self._socket.settimeout(600)
        self._file = self._socket.makefile("rw")
        self.events: list[dict[str, Any]] = []
        self._receive()
        self.command("qmp_capabilities")

    def _receive(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise LabError("QEMU went away")
        message: dict[str, Any] = json.loads(line)
        return message

    def command(self, name: str, **arguments: object) -> Any:
        """Run a command and return what it returns; LabError with QEMU's words on an error."""
        # QMP's names have dashes where Python's have underscores.
        fixed = {key.replace("_", "-"): value for key, value in arguments.items()}
        try:
            self._file.write(json.dumps({"execute": name, "arguments": fixed}) + "\n")
            self._file.flush()
            while True:
                message = self._receive()
                if "event" in message:
                    self.events.append(message)
                elif "error" in message:
                    raise LabError(f"QEMU: {name}: {message['error']['desc']}")
                else:
                    return message["return"]
        except OSError as error:
            raise LabError(f"QEMU went away: {error}") from None

    def close(self) -> None:
        """Close the connection; the machine goes on."""
        # What could not be sent any more is no loss.
        with contextlib.suppress(OSError):
            self._file.close()
        self._socket.close()
