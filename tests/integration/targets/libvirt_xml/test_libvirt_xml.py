# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""XML as people have it, for every kind of libvirt but domains: it converges, and libvirt has what was written."""

from __future__ import annotations

import importlib
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.integration.targets.libvirt_xml.documents import ALL
from tests.integration.targets.libvirt_xml.said import leaves
from tests.lab import libvirt_api
from tests.lab.driver import UTILS, Failed, call

record = importlib.import_module(f"{UTILS}.core.record")

POOL, FOLDER = "strata-xml", Path("/var/tmp/strata-xml")
MORE = {
    "libvirt_network": {"state": "inactive"},
    "libvirt_pool": {"state": "inactive"},
    "libvirt_volume": {"pool": POOL},
    "libvirt_secret": {"data": "horse"},
}

# What libvirt says otherwise than it was written, as it should: the same in other words, or what it chooses itself.
OTHERWISE = {
    "libvirt_network": {"@connections", "ip@netmask", "ip/dhcp/host/lease@unit", "ip/dhcp/host/lease@expiry"},
    "libvirt_pool": {"capacity", "allocation", "available"},
    "libvirt_volume": {
        "key",
        "allocation",
        "capacity",
        "capacity@unit",
        "allocation@unit",
        "target/path",
        "target/permissions/label",
        "target/clusterSize@unit",
        "target/clusterSize",
        "backingStore/path",
    },
    "libvirt_nwfilter": set(),
    "libvirt_secret": set(),
}


def every(kind: str):
    return [pytest.param(kind, name, text.strip(), id=f"{kind} {name}") for name, text in ALL[kind].items()]


def dumped(kind: str, name: str) -> ET.Element | None:
    api = libvirt_api.connection()
    found = {
        "libvirt_network": lambda: (one for one in api.listAllNetworks(0) if one.name() == name),
        "libvirt_pool": lambda: (one for one in api.listAllStoragePools(0) if one.name() == name),
        "libvirt_volume": lambda: (
            one for one in api.storagePoolLookupByName(POOL).listAllVolumes(0) if one.name() == name
        ),
        "libvirt_nwfilter": lambda: (one for one in api.listAllNWFilters(0) if one.name() == name),
        "libvirt_secret": lambda: (one for one in api.listAllSecrets(0) if one.usageID() == name),
    }[kind]()
    one = next(found, None)
    return None if one is None else ET.fromstring(one.XMLDesc(0))


@pytest.fixture(scope="module", autouse=True)
def _pool():
    FOLDER.mkdir()
    call("libvirt_pool", {"name": POOL, "type": "dir", "path": str(FOLDER)})
    yield
    for kind in reversed(ALL):
        for name in reversed(ALL[kind]):
            reach = {"pool": POOL} if kind == "libvirt_volume" else {}
            call(kind, {"name": name, "state": "absent", **reach})
    call("libvirt_pool", {"name": POOL, "state": "absent"})
    shutil.rmtree(FOLDER)


@pytest.mark.parametrize(("kind", "name", "text"), [case for kind in ALL for case in every(kind)])
def test_libvirt_has_what_was_written_and_a_second_run_changes_nothing(kind, name, text):
    given = {"name": name, "xml": text, **MORE.get(kind, {})}
    forecast = call(kind, given, check=True)
    assert dumped(kind, name) is None
    done = call(kind, given)
    assert (forecast["changed"], forecast["diff"]) == (True, done["diff"])
    has = leaves(dumped(kind, name))
    said = {(path, value) for path, value in leaves(ET.fromstring(text)) if path not in OTHERWISE[kind]}
    assert said - has == set()
    again = call(kind, given)
    assert (again["changed"], again["changes"]) == (False, [])
    told = call(f"{kind}_info", {"name": [name], **({"pool": POOL} if kind == "libvirt_volume" else {})})["resources"]
    assert call(kind, {**told[0]["options"], **MORE.get(kind, {})})["changes"] == []


def test_what_others_change_of_it_is_repaired_and_what_they_add_stays():
    """Both of what has an option, and of what has none."""
    api = libvirt_api.connection()
    given = {"name": "names", "xml": ALL["libvirt_network"]["names"].strip(), "state": "inactive"}
    text = api.networkLookupByName("names").XMLDesc(0)
    edited = text.replace(">back<", ">front<").replace("9000", "1400")
    theirs = "<other xmlns='https://example.com/other'>theirs</other></metadata>"
    api.networkDefineXML(edited.replace("</metadata>", theirs))
    fields = {change["field"] for change in call("libvirt_network", given)["changes"]}
    assert fields == {"mtu", "xml[metadata/{https:%2F%2Fexample.com%2Ftier%2F1}tier]"}
    root = dumped("libvirt_network", "names")
    assert root.findtext("metadata/{https://example.com/tier/1}tier") == "back"
    assert root.findtext("metadata/{https://example.com/other}other") == "theirs"
    assert root.find("mtu").get("size") == "9000"


def test_what_a_stack_no_longer_writes_goes():
    name = "strata-xml-net"
    text = f"<network><name>{name}</name>%s<bridge name='virbr49'/></network>"
    record.save("test-libvirt-xml", {}, whole=True)  # without one, every engine would be asked for what is this stack's
    more = "<mtu size='1400'/><metadata><a:b xmlns:a='https://example.com/a' c='d'>e</a:b></metadata>"
    try:
        for document, seen in ((more, True), ("", False)):
            entry = {"name": name, "xml": text % document, "state": "inactive"}
            stack = {"name": "test-libvirt-xml", "prune": True, "resources": [{"libvirt_network": entry}]}
            assert call("stack", stack)["changed"]
            assert call("stack", stack)["changed"] is False
            root = dumped("libvirt_network", name)
            found = [root.find("mtu") is not None, root.find("metadata/{https://example.com/a}b") is not None]
            assert found == [seen, seen]
    finally:
        call("stack", {"name": "test-libvirt-xml", "prune": True, "resources": []})


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("libvirt_network", "<network><name>x</name>", "xml: is no XML"),
        ("libvirt_network", "<pool/>", "xml: is a <pool>, and not a <network>"),
        ("libvirt_pool", "<pool type='dir'><name>other</name></pool>", "xml: is of 'other'"),
        ("libvirt_network", "<network><name>x</name><speed/></network>", "extra content: speed"),
        (
            "libvirt_nwfilter",
            "<filter name='x'><rule action='drop' direction='in'><tcp vlanid='1'/></rule></filter>",
            "has no vlanid",
        ),
    ],
)
def test_what_can_not_be_is_refused(kind, text, words):
    with pytest.raises(Failed, match=words):
        call(kind, {"name": "x", "xml": text})
    assert dumped(kind, "x") is None
