# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's gdb stub, as much of its protocol as the lab needs: to stop a guest at an instruction."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Optional, Sequence

from .qmp import connect
from .run import LabError

# Numbers that gdb gives x86-64's registers.
_NAMES = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp")
REGISTERS = {**{name: number for number, name in enumerate(_NAMES)}, "rip": 16}


class Gdb:
    """A connection to the stub of a machine that is stopped; `detach` lets it run on."""

    def __init__(self, path: Path, seconds: float = 30) -> None:
        self._socket = connect(path, seconds, "QEMU's gdb stub")
        self._pending = b""
        self.ask("?", seconds)
        # Only who has asked for the description may read and write single registers.
        self.ask("qXfer:features:read:target.xml:0,ffb")

    def _byte(self, until: float) -> bytes:
        while not self._pending:
            left = until - time.monotonic()
            if left <= 0:
                raise LabError("the guest did not come to the breakpoint")
            self._socket.settimeout(left)
            try:
                self._pending = self._socket.recv(4096)
            except socket.timeout:
                continue
            if not self._pending:
                raise LabError("QEMU's gdb stub went away")
        byte, self._pending = self._pending[:1], self._pending[1:]
        return byte

    def _receive(self, seconds: float) -> str:
        until = time.monotonic() + seconds
        while self._byte(until) != b"$":
            pass
        packet = bytearray()
        while (byte := self._byte(until)) != b"#":
            packet += byte
        self._byte(until)
        self._byte(until)
        self._socket.sendall(b"+")
        return packet.decode("latin-1")

    def _send(self, packet: str) -> None:
        data = packet.encode("latin-1")
        self._socket.sendall(b"$%s#%02x" % (data, sum(data) & 0xFF))

    def ask(self, packet: str, seconds: float = 30) -> str:
        """Send a packet and return the answer."""
        self._send(packet)
        answer = self._receive(seconds)
        if not answer or answer.startswith("E"):
            raise LabError(f"QEMU's gdb stub refused {packet!r}: {answer}")
        return answer

    def run_to(self, address: int, seconds: float = 120) -> None:
        """Let the machine run until some CPU is about to execute the instruction there."""
        self.ask(f"Z1,{address:x},1")
        stopped = self.ask("c", seconds)
        if not stopped.startswith("T05"):
            raise LabError(f"the guest stopped, but not at the breakpoint: {stopped}")
        self.ask(f"z1,{address:x},1")

    def try_run_to(self, addresses: Sequence[int], seconds: float) -> Optional[int]:
        """The same with several; says to which it came.

        Where nobody comes to one in time, the machine is stopped where it is.
        """
        # It would not leave the one that it is at.
        if self.register("rip") in addresses:
            self.ask("s")
        for address in addresses:
            self.ask(f"Z1,{address:x},1")
        self._send("c")
        try:
            came = self._receive(seconds).startswith("T05")
        except LabError:
            self._socket.sendall(b"\x03")
            came = self._receive(30).startswith("T05")
        for address in addresses:
            self.ask(f"z1,{address:x},1")
        at = self.register("rip")
        return at if came and at in addresses else None

    def register(self, name: str) -> int:
        """A register of the CPU that stopped."""
        raw = bytes.fromhex(self.ask(f"p{REGISTERS[name]:x}"))
        return int.from_bytes(raw, "little")

    def set_register(self, name: str, value: int) -> None:
        """Change a register of the CPU that stopped."""
        self.ask(f"P{REGISTERS[name]:x}={value.to_bytes(8, 'little').hex()}")

    def detach(self) -> None:
        """Let the machine run on, and close the connection."""
        self.ask("D")
        self._socket.close()
