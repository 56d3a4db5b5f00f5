# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual networks of libvirt, by the leaves of their XML that are declared."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import BOOL, INT, LINE, MAC, MAP, TEXT
from ..core.errors import StrataError
from ..core.field import Field, Role, structure, table
from ..core.plan import Change, Effect, Layer, Plan, State
from ..engines import domain_xml
from ..engines.domain_xml import Leaf
from ..engines.libvirt_networks import Networks
from ..engines.libvirt_uri import DEFAULT
from ..engines.network_values import Attributes
from ..engines.network_xml import SKELETON, Forward, Interfaces, Ip, Options, Ranges, Rows, Tags, family
from ..engines.xml_leaves import Leaves
from ..engines.xml_places import Sole, on_off, yes, yes_no
from . import libvirt_network_fields as words
from . import libvirt_xml
from .libvirt_stored import STATES, LibvirtStored

_V4, _V6 = family(4), family(6)
_BRIDGE, _MAC = Leaf("bridge", "name"), Leaf("mac", "address")
_RANGES, _HOSTS = (words.DHCP.row[0].codec, words.DHCP.row[1].codec)


def _hosts(version: int) -> Rows:
    within = _V4 if version == 4 else _V6
    return Rows("dhcp/host", words.HOST, words.host_key, "IP_DHCP_HOST", within)


def _named(*fields: str) -> Any:
    return lambda row: ".".join(str(row.get(field, "")) for field in fields)


_DNS_HOSTS = Rows("dns/host", words.DNS_HOST, _named("ip"), "DNS_HOST")
_DNS_TXT = Rows("dns/txt", words.DNS_TXT, _named("name"), "DNS_TXT")
_DNS_SRV = Rows("dns/srv", words.DNS_SRV, words.srv_key, "DNS_SRV")
_FORWARDERS = Rows("dns/forwarder", words.FORWARDER, words.forwarder_key)
_ROUTES = Rows("route", words.ROUTE, _named("to"))
_INTERFACES = Interfaces("forward/interface", words.INTERFACE, _named("dev"), "FORWARD_INTERFACE")
_PORTGROUPS = Rows("portgroup", words.PORTGROUP, _named("name"), "PORTGROUP", modify=True)


def _table(at: Rows) -> Any:
    return table(*at.row, key=at.key)


class LibvirtNetwork(LibvirtStored):
    kind = "libvirt_network"
    rank = 50
    tag = "network"
    skeleton = SKELETON
    fields = (
        policy.name(),
        policy.state(*STATES),
        policy.restart(),
        Field("force", BOOL, role=Role.POLICY, given=False),
        Field("uri", LINE, role=Role.CONNECT, given=DEFAULT),
        Field("forward", structure(*words.FORWARD), Forward(words.FORWARD), Effect.RESTART),
        Field("forward_interfaces", _table(_INTERFACES), _INTERFACES, Effect.LIVE, default=(), role=Role.DERIVED),
        Field("title", LINE, Leaf("title"), Effect.RESTART),
        Field("description", TEXT, Leaf("description"), Effect.RESTART),
        Field("guest_ipv6", BOOL, Leaf("", "ipv6", yes, yes_no, absent=False), Effect.RESTART, default=False),
        Field("trust_guest_rx_filters", BOOL, words.TRUSTING, Effect.RESTART, default=False),
        Field("bridge", LINE, _BRIDGE, Effect.RESTART),
        Field("mac_table", TEXT, Sole("bridge", "macTableManager"), Effect.RESTART, choices=("kernel", "libvirt")),
        Field("isolated_ports", BOOL, Sole("port", "isolated", yes, yes_no, absent=False), Effect.RESTART, False),
        Field("stp", BOOL, Leaf("bridge", "stp", yes, on_off), Effect.RESTART, default=True),
        Field("delay", INT, Leaf("bridge", "delay", int), Effect.RESTART, default=0),
        Field("zone", LINE, Sole("bridge", "zone"), Effect.RESTART),
        Field("mac", MAC, Sole("mac", "address", MAC.parse), Effect.RESTART),
        Field("mtu", INT, Sole("mtu", "size", int), Effect.RESTART, check=words.MTU_CHECK),
        Field("virtualport", LINE, Sole("virtualport", "type"), Effect.RESTART),
        Field("virtualport_parameters", MAP, Attributes("virtualport/parameters"), Effect.RESTART, default={}),
        Field("vlans", words.VLANS, Tags(), Effect.RESTART, default=()),
        Field("inbound", words.RATE, words.rate("inbound"), Effect.RESTART),
        Field("outbound", words.RATE, words.rate("outbound"), Effect.RESTART),
        Field("domain", LINE, Sole("domain", "name"), Effect.RESTART),
        Field(
            "domain_local_only",
            BOOL,
            Sole("domain", "localOnly", yes, yes_no, absent=False),
            Effect.RESTART,
            default=False,
        ),
        Field(
            "domain_register",
            BOOL,
            Sole("domain", "register", yes, yes_no, absent=False),
            Effect.RESTART,
            default=False,
        ),
        Field("ip", structure(*words.IP), Ip(4, words.IP), Effect.RESTART),
        Field("dhcp_ranges", _RANGES, Ranges(4), Effect.LIVE, default=(), role=Role.DERIVED),
        Field("dhcp_hosts", _HOSTS, _hosts(4), Effect.LIVE, default=(), role=Role.DERIVED),
        Field("ip6", structure(*words.IP), Ip(6, words.IP), Effect.RESTART),
        Field("dhcp6_ranges", _RANGES, Ranges(6), Effect.LIVE, default=(), role=Role.DERIVED),
        Field("dhcp6_hosts", _HOSTS, _hosts(6), Effect.LIVE, default=(), role=Role.DERIVED),
        Field("routes", _table(_ROUTES), _ROUTES, Effect.RESTART, default=()),
        Field("dns_enabled", BOOL, words.flag("dns", "enable"), Effect.RESTART, default=True),
        Field("dns_forward_plain_names", BOOL, words.flag("dns", "forwardPlainNames"), Effect.RESTART, default=True),
        Field("dns_forwarders", _table(_FORWARDERS), _FORWARDERS, Effect.RESTART, default=()),
        Field("dns_hosts", _table(_DNS_HOSTS), _DNS_HOSTS, Effect.LIVE, default=()),
        Field("dns_txt", _table(_DNS_TXT), _DNS_TXT, Effect.LIVE, default=()),
        Field("dns_srv", _table(_DNS_SRV), _DNS_SRV, Effect.LIVE, default=()),
        Field("portgroups", _table(_PORTGROUPS), _PORTGROUPS, Effect.LIVE, default=()),
        Field("dnsmasq_options", words.LINES, Options(), Effect.RESTART, default=()),
        Field("autostart", BOOL, effect=Effect.NEXT_BOOT, default=False),
        libvirt_xml.field(Leaves(told="@connections"), Effect.RESTART),
    )

    # What was declared.

    def check(self) -> None:
        for option, version in (("ip", 4), ("ip6", 6)):
            words.check_hosts(option, version, self.spec.get(option))
        forward = self.spec.get("forward", {})
        mode = forward.get("mode")
        if mode == "bridge" and not (self.spec.get("bridge") or forward.get("dev") or forward.get("interfaces")):
            raise StrataError("is needed with forward.mode bridge: a bridge of the host", option="bridge")
        if mode == "hostdev" and not (forward.get("pf") or forward.get("addresses")):
            raise StrataError("needs the functions to hand out: forward.pf, or forward.addresses", option="forward")
        if mode not in (None, "hostdev"):
            for leaf in ("pf", "addresses", "managed", "driver"):
                if forward.get(leaf):
                    raise StrataError("needs forward.mode hostdev", option=f"forward.{leaf}", value=forward[leaf])
        if mode in (*words.MACVTAP, "hostdev"):
            for option in ("ip", "ip6", "domain", "dns_hosts", "stp", "delay", "routes"):
                if self.spec.get(option):
                    raise StrataError(
                        f"can't go with forward.mode {mode}: libvirt does nothing there but connect cards",
                        option=option,
                        value=self.options[option],
                    )
        if mode != "nat":
            for option in ("nat_addresses", "nat_ports", "nat_ipv6"):
                if mode is not None and option in forward:
                    raise StrataError("needs forward.mode nat", option=f"forward.{option}", value=forward[option])

    def settings(self, state: State) -> dict[str, Any]:
        want = super().settings(state)
        for option in ("bridge", "mac"):
            if want.get(option, "") is None:
                del want[option]  # libvirt chose it where nobody declared it, and would choose another one
        if "forward" in want:
            block = dict(want["forward"] or {"interfaces": ()})
            if "interfaces" in block:
                want["forward_interfaces"] = tuple({"dev": name} for name in block.pop("interfaces"))
                want["forward"] = None if want["forward"] is None else block
            if want["forward"] == {}:
                del want["forward"]
        for option, prefix in (("ip", "dhcp"), ("ip6", "dhcp6")):
            if option not in want:
                continue
            block = want[option]
            dhcp = {"ranges": (), "hosts": ()} if block is None else block.get("dhcp", {})
            if block is not None:
                want[option] = {leaf: value for leaf, value in block.items() if leaf != "dhcp"}
            if want[option] == {}:
                del want[option]
            want.update({f"{prefix}_{leaf}": value for leaf, value in dhcp.items()})
        return want

    @classmethod
    def options_of(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        return super().options_of(cls._folded(values))

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        return super().export(name, replace(state, config=cls._folded(state.config)))

    @staticmethod
    def _folded(values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with DHCP in its place among the options."""
        config = dict(values)
        for option, prefix in (("ip", "dhcp"), ("ip6", "dhcp6")):
            dhcp = {leaf: config.get(f"{prefix}_{leaf}") for leaf in ("ranges", "hosts")}
            dhcp = {leaf: value for leaf, value in dhcp.items() if value}
            if config.get(option) and dhcp:
                config[option] = {**config[option], "dhcp": dhcp}
            for leaf in ("ranges", "hosts"):
                config.pop(f"{prefix}_{leaf}", None)
        if config.get("forward") == {"mode": "isolated"}:
            del config["forward"]
        interfaces = config.pop("forward_interfaces", ())
        if interfaces and config.get("forward"):
            config["forward"] = {**config["forward"], "interfaces": tuple(row["dev"] for row in interfaces)}
        return config

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Networks:
        return Networks(spec.get("uri") or DEFAULT)

    @classmethod
    def facts_of(cls, root: ET.Element) -> dict[str, Any]:
        return {"bridge": _BRIDGE.get(root), "mac": _MAC.get(root)}

    def observe(self, engine: Networks, state: State) -> State:
        state = super().observe(engine, state)
        if state.status != "active" or not self._interrupts(super().plan(state)):
            return state
        return replace(state, facts={**state.facts, "guests": engine.guests(self.name)})

    # What is to be done.

    @staticmethod
    def _interrupts(plan: Plan) -> bool:
        return plan.state.status == "active" and bool({"restart", "stop", "remove"} & set(plan.steps))

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        if self._interrupts(plan):
            guests = state.facts.get("guests", {})
            # Those of the same stack may go before it does: whether they did shows when it is its turn.
            mine = bool(self.owner) and self.target == "absent"
            self._refuse(name for name, owner in guests.items() if not mine or owner != self.owner)
        return plan

    def _refuse(self, guests: Iterable[str]) -> None:
        named = ", ".join(sorted(guests))
        if named and not self.spec["force"]:
            raise StrataError(
                f"is in use by {named}, and stopping it cuts them off",
                hint="Shut them down first, or set force: true",
            )

    def cost(self, change: Change, state: State) -> Effect:
        live = state.live or {}
        if change.field.startswith("dhcp_") and not live.get("ip"):
            return Effect.RESTART
        if change.field.startswith("dhcp6_") and not live.get("ip6"):
            return Effect.RESTART
        return change.effect

    def update(self, engine: Networks, plan: Plan) -> None:
        """Bring the entries of tables into the running network, one at a time."""
        stored = domain_xml.parse(engine.stored(self.name))
        for change in plan.changes:
            if change.layer is not Layer.LIVE or change.effect is not Effect.LIVE:
                continue
            (live,) = [domain_xml.parse(one.running or "") for one in engine.described([self.name])]
            field = self.field(change.field)
            if isinstance(field.at, Ranges):
                due = field.at.updates(live, plan.want[field.name])
            else:
                old, new = (field.keyed(field.at.get(root)) for root in (live, stored))
                key = str(change.key)
                due = field.at.updates(live, old.get(key), None if change.after is None else new[key])
            for command, xml in due:
                engine.update(self.name, command, field.at.section, xml, field.at.parent(live))

    def stop(self, engine: Any, plan: Plan) -> None:
        self._refuse(engine.guests(self.name))
        super().stop(engine, plan)

    def remove(self, engine: Any, plan: Plan) -> None:
        self._refuse(engine.guests(self.name))
        super().remove(engine, plan)
