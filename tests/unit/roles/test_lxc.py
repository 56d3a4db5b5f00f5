# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""roles/lxc/files/look.py, on a tree of files that stands for a host."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

LOOK = Path(__file__).resolve().parents[3] / "roles" / "lxc" / "files" / "look.py"
spec = importlib.util.spec_from_file_location("lxc_look", LOOK)
lxc_look = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lxc_look)

FILES = {
    "system": "/etc/lxc/lxc.conf",
    "default": "/etc/lxc/default.conf",
    "net": ["/etc/default/lxc-net", "/etc/sysconfig/lxc-net"],
    "usernet": "/etc/lxc/lxc-usernet",
}
NOTHING = {"bridge": None, "address": None, "dhcp_range": None, "dhcp_max": None, "domain": None}
DEFAULT = "# theirs\nlxc.net.0.type = veth\nlxc.net.0.link = lxcbr0\nlxc.cap.drop = a\nlxc.cap.drop = b\n"
DNSMASQ = "dnsmasq\0--listen-address\0{}\0--dhcp-range\0{}\0--dhcp-lease-max={}\0--interface={}\0"


class Host:
    """A host whose bridge runs as lxc-net has it by itself."""

    def __init__(self, root):
        self.root = root
        self.unit = {"ActiveState": "active", "LoadState": "loaded"}
        self.links = {"eth0": ("10.0.2.15", 24)}
        self.bridge("lxcbr0", "10.0.3.1", 24, "10.0.3.2,10.0.3.254", 253)

    def bridge(self, name, address, prefix, addresses, number, more=""):
        self.links = {"eth0": self.links["eth0"], name: (address, prefix)}
        self.put("/run/lxc/dnsmasq.pid", "77\n")
        self.put("/proc/77/cmdline", DNSMASQ.format(address, addresses, number, name) + more)

    def put(self, path, content=""):
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)

    def run(self, *argv):
        if argv[0] == "lxc-config":
            return "lxc.lxcpath\nlxc.bdev.zfs.root\n"
        return json.dumps(
            [
                {"ifname": name, "addr_info": [{"local": address, "prefixlen": prefix}]}
                for name, (address, prefix) in self.links.items()
            ]
        )


@pytest.fixture
def host(tmp_path, monkeypatch):
    made = Host(tmp_path)
    monkeypatch.setattr(lxc_look, "ROOT", str(tmp_path))
    monkeypatch.setattr(lxc_look, "run", made.run)
    monkeypatch.setattr(lxc_look, "facts", lambda: made.unit)
    monkeypatch.setattr(lxc_look, "complaints", lambda old, new: [])
    made.put("/etc/lxc/default.conf", DEFAULT)
    made.put("/etc/default/lxc-net", 'USE_LXC_BRIDGE="true" # theirs\n')
    return made


def look(net=None, **more):
    nothing = {"system": {}, "default": {}, "words": {}, "users": [], "hide": False}
    seen = lxc_look.look({"files": FILES, **nothing, "net": {**NOTHING, **(net or {})}, **more})
    return {**seen, "files": {file["path"].rpartition("/")[2]: file["content"] for file in seen["files"]}}


@pytest.mark.usefixtures("host")
def test_where_nothing_is_declared_there_is_nothing_to_do():
    seen = look()
    assert (seen["refused"], seen["files"], seen["commands"]) == ([], {}, [])


@pytest.mark.usefixtures("host")
def test_files_of_others_change_in_those_words_alone():
    wanted = {"lxc.net.0.link": "br0", "lxc.cap.drop": ["c", "b"], "lxc.net.0.type": None, "lxc.tty.max": 4}
    new = look(default=wanted)["files"]["default.conf"]
    assert new == "# theirs\nlxc.net.0.link = br0\nlxc.cap.drop = c\nlxc.cap.drop = b\nlxc.tty.max = 4\n"
    assert lxc_look.patched(new, wanted, "{} = {}") == new
    assert lxc_look.patched("A='x y'\n", {"A": "x y"}, '{}="{}"') == "A='x y'\n"


def test_an_address_brings_its_network(host):
    seen = look({"address": "10.98.0.1/26", "bridge": "br-lxc", "domain": "lxc.test"})
    assert lxc_look.words(seen["files"]["lxc-net"]) == {
        "USE_LXC_BRIDGE": "true",
        "LXC_BRIDGE": "br-lxc",
        "LXC_ADDR": "10.98.0.1",
        "LXC_NETMASK": "255.255.255.192",
        "LXC_NETWORK": "10.98.0.0/26",
        "LXC_DHCP_RANGE": "10.98.0.2,10.98.0.62",
        "LXC_DHCP_MAX": "61",
        "LXC_DOMAIN": "lxc.test",
    }
    assert seen["refused"] == []
    assert seen["first"] == [["systemctl", "stop", "lxc-net.service"]]
    assert seen["commands"] == [["systemctl", "start", "lxc-net.service"]]
    assert look({"address": "10.98.0.60/26"})["files"]["lxc-net"].count("10.98.0.1,10.98.0.59") == 1
    host.put("/etc/default/lxc-net", seen["files"]["lxc-net"])
    host.bridge("br-lxc", "10.98.0.1", 26, "10.98.0.2,10.98.0.62", 61, "-s\0lxc.test\0")
    assert look({"address": "10.98.0.1/26", "bridge": "br-lxc", "domain": "lxc.test"})["commands"] == []


def test_what_it_runs_without_is_brought_in(host):
    own = {"address": "10.0.3.1/24"}
    assert look(own)["commands"] == []  # nothing that it would go by differently
    host.links["lxcbr0"] = ("10.0.3.9", 24)
    assert look(own)["left"] == ["lxcbr0 has not the address 10.0.3.1/24"]
    host.bridge("lxcbr0", "10.0.3.1", 24, "10.0.3.7,10.0.3.9", 253, "-s\0old\0")
    assert look({**own, "domain": ""})["left"] == [
        "dnsmasq has not --dhcp-range 10.0.3.2,10.0.3.254",
        "dnsmasq has a domain",
    ]
    host.bridge("lxcbr0", "10.0.3.1", 24, "10.0.3.2,10.0.3.254", 253)
    host.unit["ActiveState"] = "failed"
    assert look(own)["left"] == ["lxc-net.service doesn't run"]
    host.unit["LoadState"] = "not-found"  # in check mode, before it is installed
    assert look(own)["commands"] == []


@pytest.mark.parametrize(
    ("net", "words"),
    [
        ({"address": "10.98.0.1/30"}, "has no room for containers"),
        (
            {"address": "10.98.0.1/24", "dhcp_range": ["10.98.1.2", "10.98.1.9"]},
            "not a range of the network 10.98.0.0/24",
        ),
        ({"address": "10.98.0.1/24", "dhcp_range": ["10.98.0.9", "10.98.0.2"]}, "not a range of the network"),
        (
            {"address": "10.98.0.5/24", "dhcp_range": ["10.98.0.2", "10.98.0.9"]},
            "has the bridge's own address 10.98.0.5",
        ),
        ({"address": "10.0.2.1/16"}, "10.0.0.0/16 overlaps 10.0.2.0/24, which is on eth0"),
        ({"address": "fd00::1/64"}, "lxc_bridge_address, lxc_dhcp_range: "),
        ({"bridge": "a/b"}, "'a/b' is no name of a link"),
    ],
)
@pytest.mark.usefixtures("host")
def test_what_does_not_fit_together_is_refused(net, words):
    assert any(words in line for line in look(net)["refused"])


def test_containers_keep_their_bridge_and_are_not_hidden(host):
    host.put("/sys/class/net/lxcbr0/brif/veth1")
    assert look({"bridge": "br1"})["refused"] == ["lxc_bridge: veth1 are on lxcbr0. Stop their containers first"]
    assert look({"address": "10.98.0.1/24"})["refused"] == []
    host.put("/var/lib/lxc/web/config")
    (told,) = look(system={"lxc.lxcpath": "/srv/lxc"})["refused"]
    assert told.startswith("lxc_path: LXC would not see web in /var/lib/lxc any more")
    seen = look(system={"lxc.lxcpath": "/srv/lxc"}, hide=True)
    assert (seen["refused"], seen["folders"]) == ([], ["/srv/lxc"])
    assert look(system={"lxc.lxcpath": "/var/lib/lxc/"})["refused"] == []


@pytest.mark.usefixtures("host")
def test_what_nobody_would_read_is_refused():
    assert look(system={"lxc.nonsense": 1})["refused"][0].startswith("lxc_config: LXC knows no lxc.nonsense; it has")
    assert look(words={"USE_LXC_BRIDGE": "false"})["refused"][0].startswith("lxc_net_config: USE_LXC_BRIDGE")


def test_users_have_lines_of_their_own(host):
    host.put("/etc/lxc/lxc-usernet", "# theirs\na veth lxcbr0 5\nb  veth  lxcbr0  10\n")
    users = [{"name": "a", "networks": [{"link": "lxcbr0", "count": 7}, {"link": "br1"}]}, {"name": "b"}]
    new = look(users=users)["files"]["lxc-usernet"]
    assert new == "# theirs\na veth lxcbr0 7\nb  veth  lxcbr0  10\na veth br1 10\n"
    host.put("/etc/lxc/lxc-usernet", new)
    assert look(users=[*users, {"name": "b", "networks": [{"link": "lxcbr0"}]}])["files"] == {}


def test_fedora_has_it_elsewhere(host):
    (host.root / "etc/default/lxc-net").unlink()
    host.put("/etc/os-release", 'ID="fedora"\n')
    seen = lxc_look.look(
        {
            "files": FILES,
            "system": {},
            "default": {},
            "words": {},
            "users": [],
            "hide": False,
            "net": {**NOTHING, "domain": "x"},
        }
    )
    assert [file["path"] for file in seen["files"]] == ["/etc/sysconfig/lxc-net"]
