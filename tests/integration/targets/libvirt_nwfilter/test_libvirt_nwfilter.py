# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_nwfilter, looked at through libvirt's own binding and the rules of the host's firewall."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.lab import libvirt_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

ENGINE = "engines.libvirt_filters.Filters"
GUEST = "strata-test-filtered"


def found(name: str):
    filters = libvirt_api.connection().listAllNWFilters(0)
    return next((one for one in filters if one.name() == name), None)


def look(name: str) -> dict | None:
    one = found(name)
    if one is None:
        return None
    root = ET.fromstring(one.XMLDesc(0))
    return {
        "chain": root.get("chain"),
        "priority": root.get("priority"),
        "parts": [(part.tag, *sorted(part.attrib.items())) for part in root if part.tag != "uuid"],
        "packets": [
            (packet.tag, {name: plain(value) for name, value in packet.items()}) for packet in root.findall("rule/*")
        ],
    }


def plain(text: str) -> str:
    return str(int(text, 16)) if text.startswith("0x") else text


def edited(name: str, old: str, new: str) -> None:
    text = found(name).XMLDesc(0)
    assert old in text
    libvirt_api.connection().nwfilterDefineXML(text.replace(old, new))


def rule(action: str, direction: str = "in", priority: int = 500) -> tuple:
    return ("rule", ("action", action), ("direction", direction), ("priority", str(priority)))


SSH = {"action": "accept", "direction": "in", "protocol": "tcp", "attributes": {"dstportstart": 22, "dstportend": 22}}
WEB = {"action": "accept", "direction": "in", "protocol": "tcp", "attributes": {"dstportstart": 80, "state": "NEW"}}
REST = {"action": "drop", "direction": "inout", "priority": 1000, "protocol": "all"}


class TestLibvirtNwfilter(Convergence):
    case = Case(
        kind="libvirt_nwfilter",
        info="libvirt_nwfilter_info",
        a={"rules": [{"filterref": "clean-traffic", "parameters": {"IP": "192.0.2.10"}}, SSH, REST]},
        b={"chain": "ipv4-lab", "priority": -300, "rules": [WEB, SSH]},
        look=look,
        seen_a={
            "chain": "root",
            "parts": [("filterref", ("filter", "clean-traffic")), rule("accept"), rule("drop", "inout", 1000)],
            "packets": [("tcp", {"dstportstart": "22", "dstportend": "22"}), ("all", {})],
        },
        seen_b={"chain": "ipv4-lab", "priority": "-300", "parts": [rule("accept"), rule("accept")]},
        drifts={
            "a rule changed": lambda name: edited(name, "dstportend='22'", "dstportend='2222'"),
            "a parameter changed": lambda name: edited(name, "192.0.2.10", "192.0.2.11"),
            "a rule more": lambda name: edited(name, "</filter>", "<rule action='accept' direction='out'/></filter>"),
            "rules in another order": lambda name: edited(
                name, "</uuid>", "</uuid><rule action='accept' direction='inout' priority='1000'><all/></rule>"
            ),
            "gone": lambda name: found(name).undefine(),
        },
        touches=(f"{ENGINE}.define", f"{ENGINE}.undefine", "engines.libvirt_objects.set_note"),
        bad=(
            ("rules", [{"action": "drop"}]),
            ("rules", [{"action": "wave", "direction": "in"}]),
            ("rules", [{**SSH, "attributes": {"vlanid": 3}}]),
            ("rules", [{"filterref": "strata-none"}]),
            ("priority", 5000),
        ),
        bad_names=("", "a/../b"),
    )

    @property
    def name(self) -> str:
        return self.case.name

    def test_those_of_libvirt_are_left_as_they_are(self):
        before = found("clean-traffic").XMLDesc(0)
        for spec in ({"rules": []}, {"state": "absent"}):
            with pytest.raises(Failed, match="comes with libvirt, and others count on it as it is"):
                call("libvirt_nwfilter", {"name": "clean-traffic", **spec})
        assert call("libvirt_nwfilter", {"name": "clean-traffic"})["changed"] is False
        assert found("clean-traffic").XMLDesc(0) == before

    def test_each_of_libvirts_own_says_what_it_says_again(self):
        told = call("libvirt_nwfilter_info", {})["resources"]
        assert len(told) > 20
        done = call("stack", {"name": self.owner, "resources": [{self.case.kind: one["options"]} for one in told]})
        assert [one for one in done["resources"] if one["changed"]] == []
        copies = [{**one["options"], "name": f"{self.name}-{one['name']}"} for one in told]
        self.made.update(one["name"] for one in copies)
        call("stack", {"name": self.owner, "resources": [{self.case.kind: one} for one in copies]})
        for one in told:
            assert look(f"{self.name}-{one['name']}") == look(one["name"])

    def test_one_in_use_changes_for_the_card_that_has_it_and_stays(self, tmp_path):
        self.apply({"rules": [SSH, REST]})
        file = tmp_path / "domain.xml"
        file.write_text(
            f"<domain type='qemu'><name>{GUEST}</name><memory unit='MiB'>16</memory><os><type>hvm</type></os><devices>"
            "<interface type='ethernet'><target dev='stratafilter0'/>"
            f"<filterref filter='{self.name}'/></interface></devices></domain>"
        )
        run("virsh", "create", "--paused", str(file))
        try:
            assert "dpt:22" in firewall()
            self.apply({"rules": [WEB, REST]})
            assert ("dpt:80" in firewall(), "dpt:22" in firewall()) == (True, False)
            with pytest.raises(Failed, match=rf"is in use by {GUEST}\. Take it from their cards"):
                self.apply({"state": "absent"})
            assert look(self.name) is not None
        finally:
            run("virsh", "destroy", GUEST)

    def test_a_part_stays_as_long_as_its_whole(self):
        whole = self.case.another(self.name, "-whole")
        entries = [
            {"libvirt_nwfilter": {"name": whole, "rules": [{"filterref": self.name}]}},
            {"libvirt_nwfilter": {"name": self.name, "rules": [SSH]}},
        ]
        stack = {"name": self.owner, "prune": True, "resources": entries}
        assert call("stack", stack)["changed"]
        assert call("stack", stack)["changed"] is False
        with pytest.raises(Failed, match=f"is a part of {whole}"):
            self.apply({"state": "absent"})
        call("stack", {**stack, "resources": []})
        assert (look(self.name), look(whole)) == (None, None)


def firewall() -> str:
    return run("iptables", "--list", "--numeric")
