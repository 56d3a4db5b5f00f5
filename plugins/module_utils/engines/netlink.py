# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rtnetlink (rtnetlink(7)): one socket in one network namespace; messages are pyroute2's.

Only its codecs are used, which are the same in all its versions: its sockets are synchronous up to 0.7 and asyncio
from 0.8 on, and what opens one in another namespace forks, or makes the namespace that it was to read.
"""

from __future__ import annotations

import functools
import os
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..core.errors import StrataError
from ..core.libraries import part

# linux/rtnetlink.h, linux/netlink.h
NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWRULE, DELRULE, GETRULE = 32, 33, 34
GETNSID = 90
EXCL, CREATE, REPLACE = 0x200, 0x400, 0x100
_REQUEST, _ACK, _DUMP, _INTERRUPTED = 0x1, 0x4, 0x300, 0x10
_ERROR, _DONE = 2, 3
_SOL_NETLINK, _EXT_ACK, _CAPPED, _ACK_TLVS, _MESSAGE = 270, 11, 0x100, 0x200, 1

_CLASSES = {
    **dict.fromkeys((NEWLINK, DELLINK, GETLINK, SETLINK), "ifinfmsg"),
    **dict.fromkeys((NEWADDR, DELADDR, GETADDR), "ifaddrmsg"),
    **dict.fromkeys((NEWROUTE, DELROUTE, GETROUTE), "rtmsg"),
    **dict.fromkeys((NEWRULE, DELRULE, GETRULE), "fibmsg"),
    GETNSID: "nsidmsg",
}
_BY_KERNEL = 2  # RTPROT_KERNEL
_RULE, _RULE_PROTOCOL = 12, 21  # struct fib_rule_hdr, FRA_PROTOCOL
_HEADER, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=HH")


class Refused(StrataError):
    """The kernel's answer to a request; ``errno`` says which."""

    def __init__(self, errno: int, said: str) -> None:
        super().__init__(said or os.strerror(errno))
        self.errno = errno


def _class(kind: int) -> Any:
    name = _CLASSES[kind]
    return getattr(part(f"pyroute2.netlink.rtnl.{name}", "python3-pyroute2"), name)


def _listed(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Attributes as pyroute2 takes them: nested mappings become lists of pairs."""
    return [
        (name, {"attrs": _listed(value)} if isinstance(value, Mapping) else value)
        for name, value in values.items()
        if value is not None
    ]


def _request(kind: int, flags: int, fields: Mapping[str, Any], attributes: Mapping[str, Any]) -> bytes:
    message = _class(kind)()
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = _listed(attributes)
    message["header"]["type"] = kind
    message["header"]["flags"] = flags
    message.encode()
    return bytes(message.data)


@functools.cache
def _dump_request(kind: int, attributes: tuple[tuple[str, Any], ...]) -> bytes:
    """What asks for all objects of a sort: the same in every namespace, and dearer to encode than to send."""
    return _request(kind, _REQUEST | _DUMP, {}, dict(attributes))


_WANTED = re.compile(
    r"(IFLA_(IFNAME|MTU|ADDRESS|MASTER|LINK|LINK_NETNSID|IFALIAS|LINKINFO|INFO_KIND|INFO_DATA|(VLAN|MACVLAN|IPVLAN|VXLAN|TUN)_.*"
    r"|BR_(VLAN_FILTERING|STP_STATE|FORWARD_DELAY)|BOND_(MODE|MIIMON))"
    r"|IFA_(ADDRESS|LOCAL|FLAGS)|RTA_(DST|GATEWAY|OIF|PRIORITY|TABLE)|FRA_.*|NETNSA_NSID)"
)
"""The attributes that somebody here reads. The others stay undecoded, which is most of the work."""

_wanted = functools.lru_cache(maxsize=None)(_WANTED.fullmatch)


def _plain(message: Any) -> dict[str, Any]:
    """A message without its classes: fields, and attributes by name."""
    found = {key: value for key, value in message.items() if key not in ("attrs", "header", "event")}
    for attribute in message.get("attrs", ()):
        if _wanted(attribute[0]):
            value = attribute[1]  # decoded now
            found[attribute[0]] = _plain(value) if isinstance(value, dict) and "attrs" in value else value
    return found


def route_by_kernel(data: bytes, place: int) -> bool:
    """Whether a message is about a route that the kernel made by itself (struct rtmsg: rtm_protocol)."""
    return data[place + _HEADER.size + 5] == _BY_KERNEL


def rule_by_kernel(data: bytes, place: int) -> bool:
    """Whether a message is about a rule that every namespace has (linux/fib_rules.h)."""
    end = place + _HEADER.unpack_from(data, place)[0]
    place += _HEADER.size + _RULE
    while place < end:
        length, sort = _ATTRIBUTE.unpack_from(data, place)
        if sort == _RULE_PROTOCOL:
            return data[place + _ATTRIBUTE.size] == _BY_KERNEL
        place += max((length + 3) & ~3, _ATTRIBUTE.size)
    return False


def lacking(words: bytes) -> Callable[[bytes, int], bool]:
    """Whether a message has these words nowhere, found out without decoding it."""

    def lacks(data: bytes, place: int) -> bool:
        length, *_others = _HEADER.unpack_from(data, place)
        return data.find(words, place, place + length) < 0

    return lacks


class Netlink:
    """A socket.

    Args:
        inside: Runs a function in the namespace that the socket is to belong to; None: the caller's own.
    """

    def __init__(self, inside: Callable[[Callable[[], socket.socket]], socket.socket] | None = None) -> None:
        _class(GETLINK)  # whoever lacks the library is told before anything is touched
        self._socket = inside(self._opened) if inside else self._opened()
        self._turn = threading.Lock()
        self._sequence = 0

    @staticmethod
    def _opened() -> socket.socket:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        opened.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        opened.bind((0, 0))
        return opened

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def dump(
        self,
        kind: int,
        attributes: Mapping[str, Any] | None = None,
        unless: Callable[[bytes, int], bool] | None = None,
    ) -> list[dict[str, Any]]:
        """All objects of a sort, consistent: one that the kernel says changed meanwhile is read again.

        Args:
            kind: The sort.
            attributes: What narrows it.
            unless: Passes over a message, from the bytes that it is in and its place there.
        """
        with self._turn:
            while True:
                self._send(_dump_request(kind, tuple((attributes or {}).items())))
                answers = list(self._answers(kind, unless))
                if not any(flags & _INTERRUPTED for flags, _message in answers):
                    return [message for _flags, message in answers if message is not None]

    def ask(self, kind: int, attributes: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
        """One object."""
        with self._turn:
            self._send(_request(kind, _REQUEST | _ACK, fields, attributes))
            return next((message for _flags, message in self._answers(kind) if message is not None), {})

    def tell(self, kind: int, attributes: Mapping[str, Any], how: int = 0, **fields: Any) -> None:
        """Change something.

        Raises:
            Refused: The kernel did not do it.
        """
        with self._turn:
            self._send(_request(kind, _REQUEST | _ACK | how, fields, attributes))
            list(self._answers(kind))

    def _send(self, request: bytes) -> None:
        self._sequence += 1
        length, kind, flags, _sequence, port = _HEADER.unpack_from(request)
        self._socket.send(_HEADER.pack(length, kind, flags, self._sequence, port) + request[_HEADER.size :])

    def _answers(
        self, kind: int, unless: Callable[[bytes, int], bool] | None = None
    ) -> Iterator[tuple[int, dict[str, Any] | None]]:
        made = _class(kind)
        refused: Refused | None = None
        while True:
            data = self._socket.recv(1 << 20)
            place = 0
            while place < len(data):
                length, sort, flags, sequence, _port = _HEADER.unpack_from(data, place)
                if sequence == self._sequence:
                    if sort == _ERROR:
                        refused = self._refused(data[place : place + length], flags)
                    if sort in (_ERROR, _DONE):
                        if refused is not None:
                            raise refused
                        yield flags, None
                        return
                    if unless is None or not unless(data, place):
                        message = made(data, offset=place)
                        message.decode()
                        yield flags, _plain(message)
                    else:
                        yield flags, None
                place += (length + 3) & ~3

    @staticmethod
    def _refused(data: bytes, flags: int) -> Refused | None:
        """What an acknowledgement says is wrong, in the kernel's own words where it has some; None: nothing."""
        (code,) = struct.unpack_from("=i", data, _HEADER.size)
        if code == 0:
            return None
        (echoed,) = struct.unpack_from("=I", data, _HEADER.size + 4)
        place = _HEADER.size + 4 + (_HEADER.size if flags & _CAPPED else (echoed + 3) & ~3)
        said = ""
        while flags & _ACK_TLVS and place + 4 <= len(data):
            length, sort = _ATTRIBUTE.unpack_from(data, place)
            if sort == _MESSAGE:
                said = data[place + 4 : place + length].rstrip(b"\0").decode(errors="replace")
            place += max((length + 3) & ~3, 4)
        return Refused(-code, said)
