# SPDX-License-Identifier: LGPL-2.1-or-later
"""One virtual machine without hardware virtualisation, its memory in files of the host."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Optional

from .elfcore import Segment, read_notes
from .kernels import Kernel
from .qmp import Qmp
from .run import LabError, tool

MIB = 1 << 20
GIB = 1 << 30

# The legacy video and ROM area; what the machine has there is not memory.
LOW_HOLE = (0xA0000, 0x100000)


VIRTIO_MEM = "virtio-mem"


@dataclass(frozen=True)
class Hardware:
    """What a recipe asks of the machine."""

    memory_mib: int = 1024
    slots: int = 0
    max_mib: int = 0
    cpus: int = 2
    # thread=multi and -cpu max now and then miscompile.
    cpu: str = "Haswell"
    devices: tuple[str, ...] = ()
    # A virtio-mem device: so large, and so much of it asked for at the start.
    virtio_mem_mib: int = 0
    virtio_mem_requested_mib: int = 0
    # NUMA nodes: as much memory and as many processors in each.
    nodes: int = 1


@dataclass
class Dimm:
    """A DIMM that was plugged while the machine ran."""

    name: str
    size: int
    file: Path
    phys: int = 0


# How often a machine is looked at for all of its processors being idle.
REST_TRIES = 200


@dataclass
class Machine:
    """A running guest. Use it as a context manager: the end kills QEMU."""

    kernel: Kernel
    hardware: Hardware
    initramfs: Path
    cmdline: str
    work: Path
    dimms: dict[str, Dimm] = field(default_factory=dict)

    def __enter__(self) -> Machine:
        self.rams = [self.work / f"ram{node}" for node in range(self.hardware.nodes)]
        self.console = self.work / "console.log"
        self.disk = self.work / "truth.raw"
        with open(self.disk, "wb") as file:
            file.truncate(2 * GIB)
        hw = self.hardware
        memory = f"{hw.memory_mib}M"
        if hw.slots:
            memory += f",slots={hw.slots},maxmem={hw.max_mib}M"
        size = hw.memory_mib * MIB // hw.nodes
        # The kernel maps what it is given: fixed serial ports, no video, no network.
        argv = [
            tool("qemu-system-x86_64", "qemu-system-x86"),
            *("-nodefaults", "-display", "none", "-no-reboot", "-no-user-config"),
            *("-accel", "tcg,thread=single", "-cpu", hw.cpu, "-smp", str(hw.cpus)),
            *("-m", memory, "-machine", "q35" if hw.nodes > 1 else "q35,memory-backend=ram0"),
            *("-device", "vmcoreinfo"),
            *("-chardev", f"file,id=console,path={self.console}", "-serial", "chardev:console"),
            "-chardev",
            f"socket,id=host,path={self.work / 'host.sock'},server=on,wait=off",
            *("-serial", "chardev:host"),
            "-drive",
            f"if=none,id=truth,file={self.disk},format=raw,cache=unsafe",
            *("-device", "nvme,drive=truth,serial=lab"),
            *("-qmp", f"unix:{self.work / 'qmp.sock'},server=on,wait=off"),
            *("-kernel", str(self.kernel.vmlinuz), "-initrd", str(self.initramfs)),
            *("-append", self.cmdline),
        ]
        for node, ram in enumerate(self.rams):
            argv += [
                "-object",
                f"memory-backend-file,id=ram{node},share=on,mem-path={ram},size={size}",
            ]
            if hw.nodes > 1:
                cpus = hw.cpus // hw.nodes
                argv += [
                    "-numa",
                    f"node,nodeid={node},memdev=ram{node},"
                    f"cpus={node * cpus}-{node * cpus + cpus - 1}",
                ]
        if hw.virtio_mem_mib:
            self.dimms[VIRTIO_MEM] = Dimm(
                VIRTIO_MEM, hw.virtio_mem_mib * MIB, self.work / f"dimm-{VIRTIO_MEM}"
            )
            argv += [
                "-object",
                f"memory-backend-file,id=mem-{VIRTIO_MEM},share=on,reserve=off,"
                f"mem-path={self.dimms[VIRTIO_MEM].file},size={hw.virtio_mem_mib}M",
                "-device",
                f"virtio-mem-pci,id={VIRTIO_MEM},memdev=mem-{VIRTIO_MEM},"
                f"requested-size={hw.virtio_mem_requested_mib}M",
            ]
        for device in hw.devices:
            argv += ["-device", device]
        with open(self.work / "qemu.log", "wb") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._open = contextlib.ExitStack()
        self._open.callback(self.kill)
        try:
            self.qmp = self._open.enter_context(contextlib.closing(Qmp(self.work / "qmp.sock")))
            self._host = self._open.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            self._host.connect(str(self.work / "host.sock"))
            self._host.settimeout(1)
        except (OSError, LabError):
            self._open.close()
            raise LabError("QEMU did not start: " + self._log_tail()) from None
        self._pending = b""
        if hw.virtio_mem_mib:
            (device,) = self.qmp.command("query-memory-devices")
            self.dimms[VIRTIO_MEM].phys = device["data"]["memaddr"]
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def kill(self) -> None:
        """End QEMU, at once."""
        self.process.kill()
        self.process.wait()

    def _log_tail(self) -> str:
        text = (self.work / "qemu.log").read_text(errors="replace").strip()
        return text.splitlines()[-1] if text else "no message"

    def console_text(self) -> str:
        """What the guest's console said so far."""
        if not self.console.exists():
            return ""
        return self.console.read_text(errors="replace")

    def hear(self, seconds: float) -> str:
        """The next line that the guest says to the host; LabError when it dies before."""
        until = time.monotonic() + seconds
        while b"\n" not in self._pending:
            if self.process.poll() is not None:
                raise LabError("the guest died: " + self._death())
            if time.monotonic() > until:
                raise LabError(f"the guest said nothing for {seconds:.0f} s: " + self._death())
            try:
                data = self._host.recv(4096)
            except socket.timeout:
                continue
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode(errors="replace")

    def say(self, line: str) -> None:
        """Answer the guest."""
        self._host.sendall(line.encode() + b"\n")

    def _death(self) -> str:
        """The console's first line of a crash, or its last line."""
        lines = self.console_text().splitlines()
        for line in lines:
            if any(word in line for word in ("Kernel panic", "BUG:", "Oops", "general protection")):
                return line.strip()
        return lines[-1].strip() if lines else self._log_tail()

    def plug_dimm(self, name: str, mib: int) -> Dimm:
        """Hot-add a DIMM; returns once the machine has it, not the kernel."""
        dimm = Dimm(name, mib * MIB, self.work / f"dimm-{name}")
        self.qmp.command(
            "object-add",
            qom_type="memory-backend-file",
            id=f"mem-{name}",
            share=True,
            mem_path=str(dimm.file),
            size=dimm.size,
        )
        self.qmp.command("device_add", driver="pc-dimm", id=name, memdev=f"mem-{name}")
        for device in self.qmp.command("query-memory-devices"):
            if device["data"].get("id") == name:
                dimm.phys = device["data"]["addr"]
        self.dimms[name] = dimm
        return dimm

    def unplug_dimm(self, name: str) -> None:
        """Ask the guest to give a DIMM back."""
        self.qmp.command("device_del", id=name)

    def drop_dimm(self, name: str) -> None:
        """Take away what was behind a DIMM that the guest gave back."""
        until = time.monotonic() + 20
        while any(d["data"].get("id") == name for d in self.qmp.command("query-memory-devices")):
            if time.monotonic() > until:
                raise LabError(f"DIMM {name} was not ejected")
            time.sleep(0.1)
        self.qmp.command("object-del", id=f"mem-{name}")
        self.dimms.pop(name).file.unlink()

    def segments(self) -> list[Segment]:
        """All memory of the machine, by guest-physical address."""
        size = self.hardware.memory_mib * MIB
        # pc_q35: with this much and more, what is above 2 GiB begins at 4 GiB.
        low = 2 * GIB if size >= 0xB0000000 else size
        found = [
            *self._ram(0, LOW_HOLE[0], 0),
            *self._ram(LOW_HOLE[1], low - LOW_HOLE[1], LOW_HOLE[1]),
            *self._ram(4 * GIB, size - low, low),
        ]
        for dimm in self.dimms.values():
            found.append(Segment(dimm.phys, dimm.size, dimm.file, 0))
        return sorted(found, key=lambda segment: segment.phys)

    def _ram(self, phys: int, size: int, offset: int) -> Iterator[Segment]:
        """RAM from an offset in all of it on: a file a node, one behind the other."""
        each = self.hardware.memory_mib * MIB // self.hardware.nodes
        while size:
            node, at = divmod(offset, each)
            part = min(size, each - at)
            yield Segment(phys, part, self.rams[node], at)
            phys, size, offset = phys + part, size - part, offset + part

    def stop_at_rest(self) -> None:
        """Stop the machine while all of its processors are idle, or after a while anyway.

        A processor in the kernel may have pages in hand: an audit is then careful with what
        it says, and a dump that faults are planted in must not be like that by chance.
        """
        for _ in range(REST_TRIES):
            self.qmp.command("stop")
            registers = self.qmp.command("human-monitor-command", command_line="info registers -a")
            halted = re.findall(r"\bHLT=(\d)", str(registers))
            if halted and set(halted) == {"1"}:
                return
            self.qmp.command("cont")
            time.sleep(0.02)
        self.qmp.command("stop")

    def notes(self) -> bytes:
        """Registers and VMCOREINFO, as QEMU writes them. The machine must be stopped."""
        path = self.work / "notes.elf"
        self.qmp.command(
            "dump-guest-memory", paging=False, protocol=f"file:{path}", begin=0, length=4096
        )
        notes = read_notes(path)
        path.unlink()
        if b"VMCOREINFO" not in notes:
            raise LabError("the dump has no VMCOREINFO: qemu_fw_cfg did not load in the guest")
        return notes

    def qemu_dump(self, path: Path, form: Optional[str] = None) -> None:
        """QEMU's own dump of everything: ELF, or a kdump form. The machine must be stopped."""
        options = {"format": form} if form else {}
        self.qmp.command("dump-guest-memory", paging=False, protocol=f"file:{path}", **options)
