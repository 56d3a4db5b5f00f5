# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of libvirt, leaf by leaf."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from ansible_collections.strata.virt.plugins.module_utils.engines.xml_leaves import Leaves, spelled_out

NETWORK = """<network>
  <name>lab0</name>
  <!-- said by nobody -->
  <bridge name='virbr0' stp='on'/>
  <ip address='192.0.2.1'><dhcp><range start='192.0.2.5' end='192.0.2.9'><lease expiry='1'/></range></dhcp></ip>
  <ip address='2001:DB8::1'/>
  <dns/>
  <o:opts xmlns:o='https://example.com/o'><o:option name='a/b'/><o:option name='c'/></o:opts>
</network>"""


def test_a_document_is_its_leaves():
    assert Leaves().given(ET.fromstring(NETWORK)) == {
        "name": "lab0",
        "bridge@name": "virbr0",
        "bridge@stp": "on",
        "ip[192.0.2.1]@address": "192.0.2.1",
        "ip[192.0.2.1]/dhcp/range[192.0.2.5]@start": "192.0.2.5",
        "ip[192.0.2.1]/dhcp/range[192.0.2.5]@end": "192.0.2.9",
        "ip[192.0.2.1]/dhcp/range[192.0.2.5]/lease@expiry": "1",
        "ip[2001:db8::1]@address": "2001:DB8::1",
        "dns": "",
        "{https:%2F%2Fexample.com%2Fo}opts/{https:%2F%2Fexample.com%2Fo}option[a%2Fb]@name": "a/b",
        "{https:%2F%2Fexample.com%2Fo}opts/{https:%2F%2Fexample.com%2Fo}option[c]@name": "c",
    }


def test_what_is_put_is_what_was_given_and_the_rest_stays():
    root, leaves = (
        ET.fromstring("<network><name>lab0</name><bridge delay='0'/><ip address='198.51.100.1'/></network>"),
        Leaves(),
    )
    wanted = leaves.given(ET.fromstring(NETWORK))
    leaves.put(root, wanted)
    assert wanted.items() <= leaves.given(root).items()
    assert (root.find("bridge").get("delay"), len(root.findall("ip"))) == ("0", 3)
    again = ET.tostring(root)
    leaves.put(root, wanted)
    assert ET.tostring(root) == again


def test_what_is_taken_away_leaves_nothing_behind():
    root, leaves = ET.fromstring(NETWORK), Leaves()
    gone = [path for path in leaves.given(root) if path.startswith(("ip[192", "bridge", "dns", "{"))]
    leaves.put(root, dict.fromkeys([*gone, "mtu@size"]))
    assert leaves.given(root) == {"name": "lab0", "ip[2001:db8::1]@address": "2001:DB8::1"}


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ("yes", "on", True),
        ("0x10", "16", True),
        ("2001:DB8:0::1", "2001:db8::1", True),
        ("52:54:00:AA:00:01", "52:54:00:aa:00:01", True),
        (" a ", "a", True),
        ("A", "a", False),
        ("1", "yes", False),
        ("17", "16", False),
    ],
)
def test_another_spelling_is_no_change(wanted, found, same):
    assert Leaves().settled({"x@y": wanted}, {"x@y": found}) == {"x@y": found if same else wanted}


def test_what_libvirt_tells_or_does_not_say_again_is_no_change():
    leaves = Leaves(told="@connections", silent={"port@isolated": "no"})
    root = ET.fromstring("<network connections='2'><port isolated='no'/><mtu size='1'/></network>")
    assert leaves.given(root) == {"port@isolated": "no", "mtu@size": "1"}
    assert leaves.settled(leaves.given(root), {}) == {"mtu@size": "1"}
    assert leaves.settled({"port@isolated": "yes"}, {}) == {"port@isolated": "yes"}
    assert leaves.settled({"port@isolated": None}, {}) == {"port@isolated": None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<v><capacity unit='GB'>2</capacity></v>", "<v><capacity>2000000000</capacity></v>"),
        ("<v><capacity unit='G'>2</capacity></v>", "<v><capacity>2147483648</capacity></v>"),
        ("<v><capacity unit='KiB'>2</capacity></v>", "<v><capacity>2048</capacity></v>"),
        ("<v><capacity>2</capacity></v>", "<v><capacity>2</capacity></v>"),
        ("<v><capacity unit='furlongs'>2</capacity></v>", "<v><capacity unit='furlongs'>2</capacity></v>"),
        ("<n><ip address='192.0.2.1' netmask='255.255.240.0'/></n>", "<n><ip address='192.0.2.1' prefix='20'/></n>"),
    ],
)
def test_sizes_and_networks_are_spelled_out(text, said):
    root = ET.fromstring(text)
    spelled_out(root)
    assert ET.canonicalize(ET.tostring(root, encoding="unicode")) == ET.canonicalize(said)
