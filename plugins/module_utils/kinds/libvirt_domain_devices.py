# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's other devices: of the host, to be seen and heard by, and those that there is one of."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.codec import BOOL, INT, LINE, PATH, TEXT, Codec, parse_line
from ..core.errors import StrataError
from ..core.field import Field, structure, table
from ..core.plan import HIDDEN, Change, Effect, State
from ..engines.domain_devices import Listen, PciAddress, Plain, Port, UsbIds
from ..engines.domain_machine import Agent, Serial, Single, Watchdog
from ..engines.domain_xml import Flag, Leaf
from ..engines.xml_places import on_off, yes, yes_no
from .libvirt_domain_fields import Row, number, text, word

AGENT = "org.qemu.guest_agent.0"


def _parse_pci(value: Any) -> str:
    found = re.fullmatch(r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", str(value).lower())
    if found is None:
        raise ValueError("is no address on PCI: write one such as 0000:03:00.0, as lspci -D prints it")
    domain, *others = found.groups()
    return "{}:{}:{}.{}".format(domain or "0000", *others)


def _parse_usb(value: Any) -> str:
    text = str(value).lower()
    if not re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", text):
        raise ValueError("is no vendor and product: write them as lsusb prints them, such as 046d:c52b")
    return text


def _parse_password(value: Any) -> str:
    text = parse_line(value)
    if text.startswith(HIDDEN):
        raise ValueError("is what is shown in place of one")
    return text


HOSTDEV = (
    Field("pci", Codec(_parse_pci), PciAddress()),
    Field("usb", Codec(_parse_usb), UsbIds()),
    Field("managed", BOOL, Leaf("", "managed", yes, yes_no), default=True),
    number("boot_order", "boot", "order"),
)
CHANNEL = (
    Field("name", LINE, Leaf("target", "name"), required=True),
    word("type", "", "type", "unix", "spicevmc", "pty", "qemu-vdagent", default="unix"),
    Field("path", PATH, Leaf("source", "path")),
)
GRAPHICS = (
    Field("type", TEXT, Leaf("", "type"), choices=("vnc", "spice"), required=True),
    Field("listen", LINE, Listen()),
    Field("port", INT, Port()),
    number("websocket", "", "websocket"),
    replace(text("keymap", "", "keymap"), public=True),
    Field("password", Codec(_parse_password, show=lambda text: HIDDEN), Leaf("", "passwd"), secret=True),
)
FILESYSTEM = (
    Field("target", LINE, Leaf("target", "dir"), required=True),
    Field("source", PATH, Leaf("source", "dir"), required=True),
    word("driver", "driver", "type", "path", "virtiofs", default="path"),
    word("access_mode", "", "accessmode", "passthrough", "mapped", "squash"),
    number("queue", "driver", "queue"),
    Field("read_only", BOOL, Flag("readonly"), default=False),
)
SERIAL = (
    word("type", "", "type", "pty", "file", "unix", "null", "stdio", default="pty"),
    Field("path", PATH, Leaf("source", "path")),
)
VIDEO = (
    Field("model", LINE, Leaf("model", "type"), required=True),
    number("vram", "model", "vram"),
    number("heads", "model", "heads"),
)
RNG = (
    word("model", "", "model", "virtio", "virtio-transitional", "virtio-non-transitional", default="virtio"),
    word("backend", "backend", "model", "random", "builtin", default="random"),
    Field("device", PATH, Leaf("backend")),
    number("rate_bytes", "rate", "bytes"),
    number("rate_period", "rate", "period"),
)
_ACTIONS = ("reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi")
WATCHDOG = (
    word("model", "", "model", "i6300esb", "ib700", "diag288"),
    word(
        "action", "", "action", "reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi", default="reset"
    ),
)
TPM = (
    word("model", "", "model", "tpm-tis", "tpm-crb"),
    word("backend", "backend", "type", "emulator", "passthrough", default="emulator"),
    word("version", "backend", "version", "1.2", "2.0"),
    Field("device", PATH, Leaf("backend/device", "path")),
)
BALLOON = (
    word("model", "", "model", "virtio", "none", default="virtio"),
    Field("autodeflate", BOOL, Leaf("", "autodeflate", yes, on_off), default=False),
    Field("free_page_reporting", BOOL, Leaf("", "freePageReporting", yes, on_off), default=False),
    number("stats_period", "stats", "period"),
)


def _cid(number: int) -> None:
    if number < 3:  # vsock(7): 0 to 2 are the hypervisor, the loopback and the host
        raise ValueError("must be 3 or more")


VSOCK = (
    word("model", "", "model", "virtio", default="virtio"),
    Field("auto_cid", BOOL, Leaf("cid", "auto", yes, yes_no)),
    number("cid", "cid", "address", _cid),
)


def _hostdev(row: Row) -> ET.Element:
    kind = "pci" if "pci" in row else "usb"
    return ET.Element("hostdev", {"mode": "subsystem", "type": kind, "managed": "yes"})


def _channel(row: Row) -> ET.Element:
    channel = ET.Element("channel", {"type": row.get("type", "unix")})
    ET.SubElement(channel, "target", {"type": "virtio"})
    return channel


def _graphics(row: Row) -> ET.Element:
    return ET.Element("graphics", {"type": row["type"], "port": "-1", "autoport": "yes"})


def _filesystem(row: Row) -> ET.Element:
    return ET.Element("filesystem", {"type": "mount"})


def _type(row: Row) -> str:
    return str(row.get("type"))


def hostdev_key(row: Row) -> str:
    return str(row.get("pci") or row.get("usb"))


def _named(name: str, row: tuple[Field, ...], devices: Plain, effect: Effect) -> Field:
    return Field(name, table(*row, key=devices.key), devices, effect, default=())


def _single(name: str, tag: str, row: tuple[Field, ...], **fresh: str) -> Field:
    return Field(name, structure(*row), Single(tag, row, fresh), Effect.RESTART)


FIELDS = (
    _named(
        "hostdevs",
        HOSTDEV,
        Plain("hostdev", HOSTDEV, hostdev_key, _hostdev, lambda one: bool(PciAddress().get(one) or UsbIds().get(one))),
        Effect.LIVE,
    ),
    Field("guest_agent", BOOL, Agent(AGENT), Effect.RESTART, default=False),
    _named(
        "channels",
        CHANNEL,
        Plain(
            "channel",
            CHANNEL,
            lambda row: str(row.get("name")),
            _channel,
            lambda one: one.find("target[@name]") is not None and not Agent(AGENT).made(one),
        ),
        Effect.LIVE,
    ),
    _named(
        "graphics",
        GRAPHICS,
        Plain("graphics", GRAPHICS, _type, _graphics, lambda one: one.get("type") in ("vnc", "spice")),
        Effect.LIVE,
    ),
    _named(
        "filesystems",
        FILESYSTEM,
        Plain(
            "filesystem",
            FILESYSTEM,
            lambda row: str(row.get("target")),
            _filesystem,
            lambda one: one.get("type") == "mount" and one.find("source[@dir]") is not None,
        ),
        Effect.RESTART,
    ),
    Field("serial", structure(*SERIAL), Serial(SERIAL), Effect.RESTART),
    _single("video", "video", VIDEO),
    _single("rng", "rng", RNG, model="virtio", backend="random"),
    Field("watchdog", structure(*WATCHDOG), Watchdog("watchdog", WATCHDOG, {"model": "i6300esb"}), Effect.RESTART),
    _single("tpm", "tpm", TPM, backend="emulator"),
    _single("balloon", "memballoon", BALLOON, model="virtio"),
    _single("vsock", "vsock", VSOCK),
)
PLUGGED = ("hostdevs", "channels")
"""What comes and goes while a domain runs."""


def check(spec: Mapping[str, Any]) -> None:
    """Refuse what doesn't go together.

    Raises:
        StrataError: It names the option and the value.
    """
    for row in spec.get("hostdevs", ()):
        if ("pci" in row) == ("usb" in row):
            raise StrataError("is a device on pci or on usb", option="hostdevs", value=dict(row))
    if any(row["name"] == AGENT for row in spec.get("channels", ())):
        raise StrataError("is the option guest_agent", option="channels.name", value=AGENT)
    vsock = spec.get("vsock", {})
    if vsock.get("auto_cid") and "cid" in vsock:
        raise StrataError("is chosen by auto_cid", option="vsock.cid", value=vsock["cid"])


def check_shared(spec: Mapping[str, Any], state: State) -> None:
    """Refuse virtiofs where it couldn't see the guest's memory."""
    if not any(row.get("driver") == "virtiofs" for row in spec.get("filesystems", ())):
        return
    backing = {**(state.config.get("memory_backing") or {}), **spec.get("memory_backing", {})}
    cells = spec.get("numa_cells", state.config.get("numa_cells", ()))
    if backing.get("access") != "shared" and not any(cell.get("memory_access") == "shared" for cell in cells):
        raise StrataError(
            "needs memory that it can see, too",
            option="filesystems.driver",
            value="virtiofs",
            hint="Write memory_backing: {source: memfd, access: shared}",
        )


def cost(change: Change, state: State) -> Effect:
    had, has = change.before, change.after
    if change.field in PLUGGED:
        return Effect.LIVE if had is None or has is None else Effect.RESTART
    if had is None or has is None:
        return Effect.RESTART
    moved = {name for name in has if has[name] != had.get(name)}
    return Effect.LIVE if moved <= {"password"} else Effect.RESTART  # a password shows as the same
