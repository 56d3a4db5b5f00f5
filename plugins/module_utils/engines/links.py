# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links of this host and of its named network namespaces: read in bulk, changed one message at a time."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..core.errors import StrataError
from ..core.waiting import until
from . import link_values as words
from . import namespaces, netlink, tuntap
from .netlink import Netlink, Refused

HOST = ""
"""The namespace that the module runs in, among names of namespaces."""

_NO_NSID = (None, -1, 0xFFFFFFFF)
_BRIEF = {"IFLA_EXT_MASK": 0x8}  # linux/rtnetlink.h: RTEXT_FILTER_SKIP_STATS, half of each message
_UNKNOWN = "Unknown device type"  # net/core/rtnetlink.c: rtnl_newlink_create
_ETHERNET = 1500  # linux/if_ether.h: ETH_DATA_LEN
_BUSY = 5.0  # seconds that a link may outlive the namespace of its peer


@dataclass(frozen=True)
class Snapshot:
    """One dump of links and one of addresses.

    Attributes:
        links: The messages, as mappings.
        addresses: The messages, as mappings.
        places: The names of namespaces by the numbers that this one knows them by (ip-netns(8): nsid), as far as asked.
        routes: Those of a named namespace, where they were asked for.
        rules: Those of a named namespace, where they were asked for.
        identity: What tells a named namespace from every other one.
    """

    links: list[dict[str, Any]]
    addresses: list[dict[str, Any]]
    places: dict[int, str] = field(default_factory=dict)
    routes: list[dict[str, Any]] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)
    identity: str = ""

    @cached_property
    def names(self) -> dict[str, dict[str, Any]]:
        return {link["IFLA_IFNAME"]: link for link in self.links}

    @cached_property
    def numbers(self) -> dict[int, dict[str, Any]]:
        return {link["index"]: link for link in self.links}

    @cached_property
    def addressed(self) -> dict[int, list[dict[str, Any]]]:
        """The addresses by the numbers of their links."""
        found: dict[int, list[dict[str, Any]]] = {}
        for address in self.addresses:
            found.setdefault(address["index"], []).append(address)
        return found

    def name(self, index: int) -> str | None:
        return self.numbers[index]["IFLA_IFNAME"] if index in self.numbers else None


class View:
    """What is there, each namespace read when it is first asked for and at most once."""

    def __init__(self, world: World, routed: bool = False) -> None:
        self._world = world
        self._routed = routed
        self._snapshots: dict[str, Snapshot | None] = {}

    def of(self, netns: str) -> Snapshot | None:
        """One namespace; None where there is none of that name."""
        if netns not in self._snapshots:
            self._snapshots[netns] = self._world.snapshot(netns, self._routed)
        return self._snapshots[netns]

    def _there(self, netns: str) -> Snapshot:
        found = self.of(netns)
        if found is None:
            raise StrataError(f"the network namespace {netns!r} went away meanwhile", hint="Run again")
        return found

    def values(self, netns: str, link: Mapping[str, Any]) -> dict[str, Any]:
        """The canonical values of one link."""
        here = self._there(netns)
        values = words.observed(link, here.addressed.get(link["index"], []))
        values["master"] = here.name(link["IFLA_MASTER"]) if link.get("IFLA_MASTER") else ""
        if values["type"] == "veth":
            values["peer"] = self._peer(netns, here, link)
        else:
            values["parent"] = self._parent(netns, here, link)
        values["alias"] = link.get("IFLA_IFALIAS") or ""
        return values

    def _elsewhere(self, netns: str, here: Snapshot, link: Mapping[str, Any]) -> str | None:
        """The namespace of what a link is tied to; None where it has no name."""
        number = link.get("IFLA_LINK_NETNSID")
        if number in _NO_NSID:
            return netns
        if number not in here.places:
            here.places.update(self._world.places(netns))
        return here.places.get(int(number or 0))

    def _tied(self, netns: str, link: Mapping[str, Any], index: int) -> tuple[str, dict[str, Any]] | None:
        here = self.of(netns)
        place = None if here is None else self._elsewhere(netns, here, link)
        there = None if place is None else self.of(place)
        if place is None or there is None:
            return None
        found = there.numbers.get(index)
        return None if found is None else (place, found)

    def _peer(self, netns: str, here: Snapshot, link: Mapping[str, Any]) -> dict[str, Any]:
        tied = self._tied(netns, link, link.get("IFLA_LINK") or 0)
        if tied is None:
            return {}
        place, peer = tied
        there = self._there(place)
        values = words.observed(peer, there.addressed.get(peer["index"], []))
        master = there.name(peer["IFLA_MASTER"]) if peer.get("IFLA_MASTER") else ""
        kept = {name: values[name] for name in ("mtu", "mac", "up", "addresses", "link_locals")}
        return {"name": peer["IFLA_IFNAME"], "netns": place, "master": master, **kept}

    def _parent(self, netns: str, here: Snapshot, link: Mapping[str, Any]) -> str | None:
        data = (link.get("IFLA_LINKINFO") or {}).get("IFLA_INFO_DATA") or {}
        index = (
            data.get("IFLA_VXLAN_LINK") or link.get("IFLA_LINK") if isinstance(data, dict) else link.get("IFLA_LINK")
        )
        tied = self._tied(netns, link, index) if index else None
        return None if tied is None else str(tied[1]["IFLA_IFNAME"])


class World:
    """The host's own socket, and the way into its namespaces.

    Attributes:
        netns: The namespace that the resources of this engine are in.
        latest: What was read last.
    """

    def __init__(self, netns: str = HOST) -> None:
        self.netns = netns
        self.latest = View(self)
        self._host = namespaces.connect(HOST)

    @contextlib.contextmanager
    def at(self, netns: str) -> Iterator[Netlink]:
        """A socket in a namespace. Only the host's stays open: a thousand namespaces would be too many files."""
        if netns == HOST:
            yield self._host
            return
        with namespaces.connect(netns) as socket:
            yield socket

    def look(self, routed: bool = False) -> View:
        """Forget what was read, and read again what is asked for, with the routes of namespaces or without."""
        self.latest = View(self, routed)
        return self.latest

    def snapshot(self, netns: str, routed: bool = False) -> Snapshot | None:
        if netns and not namespaces.exists(netns):
            return None
        with self.at(netns) as socket:
            links = socket.dump(netlink.GETLINK, _BRIEF)
            addresses = socket.dump(netlink.GETADDR)
            places = {}
            if netns and any(link.get("IFLA_LINK_NETNSID") not in _NO_NSID for link in links):
                places = self._numbers(socket, [HOST])
            if not netns or not routed:
                return Snapshot(links, addresses, places)
            return Snapshot(
                links,
                addresses,
                places,
                socket.dump(netlink.GETROUTE, unless=netlink.route_by_kernel),
                socket.dump(netlink.GETRULE, unless=netlink.rule_by_kernel),
                namespaces.identity(netns),
            )

    def marked(self, alias: str) -> list[str]:
        """The links of this engine's namespace that have an alias."""
        if self.netns and not namespaces.exists(self.netns):
            return []
        with self.at(self.netns) as socket:
            links = socket.dump(netlink.GETLINK, _BRIEF, unless=netlink.lacking(alias.encode()))
        return [link["IFLA_IFNAME"] for link in links if link.get("IFLA_IFALIAS") == alias]

    def places(self, netns: str) -> dict[int, str]:
        """The names of all named namespaces by the numbers that one of them knows them by."""
        with self.at(netns) as socket:
            return self._numbers(socket, [*namespaces.names(), HOST])

    @staticmethod
    def _numbers(socket: Netlink, names: list[str]) -> dict[int, str]:
        numbers = {}
        for name in names:
            with contextlib.suppress(StrataError), namespaces.handle(name) as opened:
                number = socket.ask(netlink.GETNSID, {"NETNSA_FD": opened}).get("NETNSA_NSID")
                if number not in _NO_NSID:
                    numbers[int(number or 0)] = name
        return numbers

    def names(self) -> list[str]:
        """The named namespaces."""
        return namespaces.names()

    def stale(self, netns: str) -> bool:
        """Whether there is a file of that name, and no namespace."""
        return os.path.lexists(namespaces.path(netns)) and not namespaces.exists(netns)

    def sysctls(self, netns: str, keys: list[str]) -> dict[str, str | None]:
        return namespaces.sysctls(netns, keys)

    def usual_sysctls(self, keys: list[str]) -> dict[str, str | None]:
        return namespaces.usual_sysctls(keys)

    # Changing.

    def index(self, socket: Netlink, name: str) -> int:
        """The number of a link.

        Raises:
            StrataError: There is none of that name.
        """
        try:
            found = socket.ask(netlink.GETLINK, {"IFLA_IFNAME": name})
        except Refused as refused:
            if refused.errno != errno.ENODEV:
                raise
            raise StrataError(f"there is no link {name!r}") from None
        return int(found["index"])

    def create(self, netns: str, name: str, values: Mapping[str, Any]) -> None:
        """Make a link of ``values['type']`` with what can't be given later."""
        kind = values["type"]
        own = values.get(words.group_of(kind) or "") or {}
        if kind in ("tun", "tap"):
            namespaces.inside(netns, lambda: tuntap.create(name, kind, own.get("owner"), own.get("group")))
            return
        attributes: dict[str, Any] = {
            "IFLA_IFNAME": name,
            "IFLA_ADDRESS": values.get("mac"),
            "IFLA_MTU": values.get("mtu"),
        }
        if kind == "bridge" and values.get("mtu") is not None:
            # One that is changed later is kept; one from the beginning follows that of the ports (net/bridge/br_if.c:
            # br_mtu_auto_adjust).
            attributes["IFLA_MTU"] = _ETHERNET if values["mtu"] != _ETHERNET else _ETHERNET + 1
        with contextlib.ExitStack() as opened:
            home = self._home(netns, values.get("parent"))
            socket = opened.enter_context(self.at(home))
            if home != netns:
                attributes["IFLA_NET_NS_FD"] = opened.enter_context(namespaces.handle(netns))
            attributes["IFLA_LINKINFO"] = information = words.information(kind, own)
            if values.get("parent"):
                index = self.index(socket, values["parent"])
                if kind == "vxlan":
                    information["IFLA_INFO_DATA"] = {**information["IFLA_INFO_DATA"], "IFLA_VXLAN_LINK": index}
                else:
                    attributes["IFLA_LINK"] = index
            if kind == "veth":
                information["IFLA_INFO_DATA"] = {"VETH_INFO_PEER": self._other_end(opened, netns, values["peer"])}
            self._make(socket, kind, name, attributes)

    @staticmethod
    def _other_end(opened: contextlib.ExitStack, netns: str, peer: Mapping[str, Any]) -> dict[str, Any]:
        """The peer, made straight where it belongs: moved there later, it would be in the way of its namesakes."""
        place = peer.get("netns", HOST)
        end = {"IFLA_IFNAME": peer["name"], "IFLA_ADDRESS": peer.get("mac"), "IFLA_MTU": peer.get("mtu")}
        if place != netns:
            end["IFLA_NET_NS_FD"] = opened.enter_context(namespaces.handle(place))
        return end

    def _home(self, netns: str, parent: str | None) -> str:
        """Where the parent of a link is: in its own namespace, else on the host."""
        if not parent or not netns:
            return netns
        with self.at(netns) as socket:
            try:
                self.index(socket, parent)
            except StrataError:
                return HOST
        return netns

    @staticmethod
    def _make(socket: Netlink, kind: str, name: str, attributes: Mapping[str, Any]) -> None:
        def made() -> bool:
            try:
                socket.tell(netlink.NEWLINK, attributes, netlink.CREATE | netlink.EXCL)
            except Refused as refused:
                if refused.errno == errno.EEXIST and kind == "veth":
                    return False
                own = attributes["IFLA_LINKINFO"]["IFLA_INFO_DATA"]
                if refused.errno == errno.EOPNOTSUPP and (_UNKNOWN in refused.message or not own):
                    module = words.MODULES.get(kind, kind)
                    raise StrataError(
                        f"this kernel has no links of type {kind}",
                        option="type",
                        hint=f"Load the module {module} (modprobe {module}), or install the package of the kernel's "
                        "further modules",
                    ) from None
                raise StrataError(f"the kernel refuses it: {refused.message}") from None
            return True

        # The kernel takes a namespace down in its own time: a peer from before may still hold its name.
        until(made, f"a name to become free: one end of {name} is there already", _BUSY)

    def configure(
        self, netns: str, name: str, kind: str | None, values: Mapping[str, Any], had: tuple[str, ...]
    ) -> None:
        """Give a link these values.

        Args:
            netns: Its namespace.
            name: Its name.
            kind: Its type.
            values: What to set; what isn't in it stays.
            had: The addresses that it has, of those that are managed.
        """
        with self.at(netns) as socket:
            index = self.index(socket, name)
            own = (
                values.get(words.group_of(kind) or "") if kind not in ("tun", "tap", "vxlan", "vlan", "veth") else None
            )
            attributes = {
                "IFLA_MTU": values.get("mtu"),
                "IFLA_ADDRESS": values.get("mac"),
                "IFLA_IFALIAS": values.get("alias"),
                "IFLA_LINKINFO": words.information(str(kind), own) if own else None,
            }
            if any(value is not None for value in attributes.values()):
                # rtnetlink has type-specific data in RTM_NEWLINK only (net/core/rtnetlink.c: __rtnl_newlink).
                try:
                    socket.tell(netlink.NEWLINK, attributes, index=index)
                except Refused as refused:
                    said = ", ".join(
                        sorted(key for key in ("mtu", "mac", words.group_of(kind)) if key and values.get(key))
                    )
                    raise StrataError(f"the kernel refuses this {said}: {refused.message}") from None
            if values.get("master") is not None:
                self._enslave(socket, index, values["master"])
            if values.get("up") is not None:
                self._switch(socket, index, values["up"])
            if values.get("addresses") is not None:
                self._address(socket, index, had, values["addresses"])

    @staticmethod
    def _switch(socket: Netlink, index: int, up: bool) -> None:
        socket.tell(netlink.SETLINK, {}, index=index, flags=words.UP if up else 0, change=words.UP)

    def _enslave(self, socket: Netlink, index: int, master: str) -> None:
        number = self.index(socket, master) if master else 0
        try:
            socket.tell(netlink.SETLINK, {"IFLA_MASTER": number}, index=index)
        except Refused as refused:
            if refused.errno != errno.EPERM:
                raise
            # bonding takes no ports that are up (drivers/net/bonding/bond_main.c: bond_enslave).
            self._switch(socket, index, False)
            socket.tell(netlink.SETLINK, {"IFLA_MASTER": number}, index=index)

    @staticmethod
    def _address(socket: Netlink, index: int, had: tuple[str, ...], wanted: tuple[str, ...]) -> None:
        for text in had:
            if text not in wanted:
                fields, attributes = words.message_of(text, index)
                try:
                    socket.tell(netlink.DELADDR, attributes, **fields)
                except Refused as refused:
                    if refused.errno != errno.EADDRNOTAVAIL:  # it went with the one whose secondary it was
                        raise
        for text in wanted:  # all: what was secondary to one that is gone went, too (promote_secondaries)
            fields, attributes = words.message_of(text, index)
            socket.tell(netlink.NEWADDR, attributes, netlink.CREATE | netlink.REPLACE, **fields)

    def ports(self, netns: str, master: str) -> list[str]:
        """The links whose master a link is."""
        snapshot = self.snapshot(netns)
        links = {} if snapshot is None else snapshot.names
        number = links.get(master, {}).get("index")
        return [name for name, link in links.items() if link.get("IFLA_MASTER") == number and number is not None]

    def remove(self, netns: str, name: str) -> None:
        """Remove a link; one that isn't there is fine, and so is one whose namespace isn't."""
        if netns and not namespaces.exists(netns):
            return
        with self.at(netns) as socket:
            try:
                socket.tell(netlink.DELLINK, {"IFLA_IFNAME": name})
            except Refused as refused:
                if refused.errno == errno.EOPNOTSUPP:
                    raise StrataError("is made by a driver, and can't be removed", hint="Set up: false") from None
                if refused.errno != errno.ENODEV:
                    raise
