# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a network, told from what ip, nft, iptables, files and Docker say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.engines.hostfiles import Answer
from ansible_collections.strata.virt.plugins.module_utils.troubles import firewall, sockets
from ansible_collections.strata.virt.plugins.module_utils.troubles.network_checks import TOPIC

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "troubleshoot"
ADDRESS = "ip --json --details address show"
ROUTES = "ip --json -4 route show table all"
RULES = "ip --json -4 rule show"
NFT = "nft --json list ruleset"
CONF = "/proc/sys/net/ipv4/conf"
NETWORKS, RUNNING = "/etc/libvirt/qemu/networks", "/run/libvirt/network"
DOCKER = "/run/docker.sock"

NETWORK = """<network><name>{0}</name><forward mode='nat'/><bridge name='virbr7'/>
<ip address='198.51.100.1' netmask='255.255.255.0'><dhcp><range start='198.51.100.2' end='198.51.100.254'/></dhcp></ip>
</network>"""

SOCKETS = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LISTENING = (
    "   0: {0}:{1:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 {2} 1 0 100 0 0 10 0\n"
)
RESOLVER = "  10: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 31 2 0 0\n"


@pytest.fixture
def sound(host):
    """A host of which nothing is wrong: one uplink, one bridge with a port."""
    names = {ADDRESS: "address", ROUTES: "route4", "ip --json -6 route show table all": "route6", RULES: "rule"}
    host.sayings = {words: (FIXTURES / f"{name}.json").read_text() for words, name in names.items()}
    host.sayings[NFT] = (FIXTURES / "nft.json").read_text()
    host.write("/proc/sys/net/ipv4/ip_forward", "1\n")
    for name in ("all", "up1", "br0"):
        host.write(f"{CONF}/{name}/forwarding", "1\n")
        host.write(f"{CONF}/{name}/rp_filter", "0\n")
    host.write("/etc/resolv.conf", "# made by hand\nnameserver 192.0.2.53\nsearch example.com\n")
    host.write(f"{NETWORKS}/lan.xml", NETWORK.format("lan"))
    host.write(f"{RUNNING}/lan.xml")
    host.write(f"{RUNNING}/lan.pid", "77\n")
    host.write("/proc/77/comm", "dnsmasq\n")
    return host


def change(host, words, edit) -> None:
    rows = json.loads(host.sayings[words])
    edit({row.get("ifname"): row for row in rows} if words == ADDRESS else rows)
    host.sayings[words] = json.dumps(rows)


def edited(name: str, **values):
    return lambda host: change(host, ADDRESS, lambda links: links[name].update(values))


def addressed(name: str, text: str):
    local, _slash, length = text.partition("/")
    row = {"family": "inet", "local": local, "prefixlen": int(length), "scope": "global"}
    return lambda host: change(host, ADDRESS, lambda links: links[name]["addr_info"].append(row))


def written(path: str, content: str):
    return lambda host: host.write(path, content)


def spoken(words: str, text: str):
    return lambda host: host.sayings.__setitem__(words, text)


def ruled(*entries: dict):
    return spoken(NFT, json.dumps({"nftables": [{"metainfo": {}}, *entries]}))


def stopped(*links: str):
    def edit(host) -> None:
        host.remove(f"{RUNNING}/lan.xml")
        for link in links:
            host.write(link)

    return edit


def two_ways(host) -> None:
    route = {"dst": "default", "gateway": "203.0.113.9", "dev": "br0", "metric": 200}
    change(host, ROUTES, lambda routes: routes.append(route))
    host.write(f"{CONF}/br0/rp_filter", "1\n")


def bridged(host) -> None:
    host.write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n")
    change(host, ADDRESS, lambda links: links["q0"].update(master="br0"))
    ruled(DROPPING)(host)


def published(running: bool, sockets_inside: str, sockets_outside: str = ""):
    def edit(host) -> None:
        host.write(DOCKER)
        state = {
            "Running": running,
            "Pid": 4711 if running else 0,
            "Error": "" if running else "port is already allocated",
        }
        binding = {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}}
        host.answers[DOCKER, "/containers/json?all=true"] = Answer({}, rows=({"Id": "c1"},))
        document = {"Name": "/web", "State": state, "HostConfig": binding}
        host.answers[DOCKER, "/containers/c1/json"] = Answer(document)
        host.write("/proc/4711/net/tcp", SOCKETS + sockets_inside)
        host.write("/proc/self/net/tcp", SOCKETS + sockets_outside)
        host.write("/proc/99/comm", "nginx\n")
        host.write("/proc/99/fd/5", Path("socket:[555]"))

    return edit


def entered(links: list, routes: list):
    def edit(host) -> None:
        host.write("/proc/4242/status", "Name:\tsleep\n")
        nsenter = "nsenter --net=/proc/4242/ns/net ip --json"
        host.sayings[f"{nsenter} --details address show"] = json.dumps(links)
        host.sayings[f"{nsenter} -4 route show table all"] = json.dumps(routes)
        host.sayings[f"{nsenter} -6 route show table all"] = "[]"

    return edit


LO = {"ifname": "lo", "flags": ["LOOPBACK", "UP", "LOWER_UP"], "mtu": 65536, "addr_info": []}
DROPPING = {
    "chain": {
        "family": "ip",
        "table": "filter",
        "name": "FORWARD",
        "hook": "forward",
        "type": "filter",
        "policy": "drop",
    }
}

FAULTS = [
    ("host forwards for its bridges", written("/proc/sys/net/ipv4/ip_forward", "0\n"), "what comes from br0"),
    ("host forwards for its bridges", written(f"{CONF}/br0/forwarding", "0\n"), "what comes from br0"),
    ("firewall lets bridges through", ruled(DROPPING), "FORWARD of the table ip filter drops what comes from br0"),
    ("frames within a bridge stay out of iptables", bridged, "between two ports of br0"),
    ("bridges are up", edited("br0", flags=["NO-CARRIER"]), "br0 is down"),
    ("bridges have carrier", edited("br0", flags=["UP", "NO-CARRIER"]), "No port of the bridge br0"),
    ("bridges have ports", edited("p0", master="br9"), "br0 has no ports"),
    ("there is a default route", spoken(ROUTES, "[]"), "no default route"),
    ("there is a resolver", written("/etc/resolv.conf", "search example.com\n"), "No resolver"),
    ("the local resolver answers", written("/etc/resolv.conf", "nameserver 127.0.0.53\n"), "127.0.0.53 is nobody"),
    ("ports have the MTU of their bridge", edited("p0", mtu=1400), "p0 has another MTU"),
    ("the way out takes what bridges send", edited("up1", mtu=1400), "Guests of br0"),
    ("subnets are apart", addressed("q0", "203.0.113.129/25"), "br0 and q0"),
    ("no address is there twice", addressed("q0", "203.0.113.1/32"), "203.0.113.1 is an address of br0 and q0"),
    ("answers may come in where they do", two_ways, "What comes in by br0"),
    (
        "networks of libvirt that start at boot are active",
        stopped(f"{NETWORKS}/autostart/lan.xml"),
        "lan is not active",
    ),
    ("all networks of libvirt are active", stopped(), "network lan is not active, and does not start at boot"),
    ("networks of libvirt have their dnsmasq", written("/proc/77/comm", "sshd\n"), "libvirt's network lan"),
    ("networks of libvirt have their dnsmasq", lambda host: host.remove(f"{RUNNING}/lan.pid"), "libvirt's network lan"),
    ("somebody listens behind published ports", published(True, ""), "nothing listens on it"),
    (
        "somebody listens behind published ports",
        published(True, LISTENING.format("0100007F", 80, 7)),
        "at the container's loopback alone",
    ),
    (
        "published ports are the engine's",
        published(False, "", LISTENING.format("00000000", 8080, 555)),
        "Port 8080 is to be that of the container web",
    ),
]

CUT_OFF = [
    ([LO], [], {"links of the workload are up", "the workload has a default route"}, "no link but lo"),
    (
        [LO, {"ifname": "eth0", "flags": [], "mtu": 1500, "addr_info": []}],
        [{"dst": "default", "dev": "eth0"}],
        {"links of the workload are up"},
        "eth0 is down",
    ),
    (
        [LO, {"ifname": "eth0", "flags": ["UP", "LOWER_UP"], "mtu": 1500, "addr_info": []}],
        [{"dst": "default", "dev": "eth0"}],
        {"links of the workload are up"},
        "eth0 is up and has no address",
    ),
]


def test_nothing_is_wrong(sound, told):
    result = told(TOPIC, sound)
    assert result["findings"] == []
    assert set(result["unchecked"].values()) == {"no workload was named"}


@pytest.mark.parametrize(("name", "break_it", "what"), FAULTS)
def test_a_fault_is_found_and_nothing_else(sound, told, name, break_it, what):
    break_it(sound)
    found = told(TOPIC, sound)["by_name"]
    # What a fault brings with it: frames that are filtered come from a bridge whose packets are, too.
    along = {"firewall lets bridges through"} if break_it is bridged else set()
    assert set(found) - along == {name}
    assert what in found[name][0]["what"]


@pytest.mark.parametrize(("links", "routes", "names", "seen"), CUT_OFF)
def test_a_workload_that_is_cut_off(sound, told, links, routes, names, seen):
    entered(links, routes)(sound)
    found = told(TOPIC, sound, workload="4242")["by_name"]
    assert set(found) == names
    assert seen in found["links of the workload are up"][0]["evidence"]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("search example.com\n", "names no resolver"),
        ("nameserver 127.0.0.53\n", "names 127.0.0.53, where nothing"),
        ("nameserver 192.0.2.53\nnameserver 127.0.0.11\n", None),
    ],
)
def test_resolvers_of_a_workload(sound, told, text, seen):
    eth0 = {"family": "inet", "local": "198.51.100.7", "prefixlen": 24, "scope": "global"}
    link = {"ifname": "eth0", "flags": ["UP", "LOWER_UP"], "mtu": 1500, "addr_info": [eth0]}
    entered([LO, link], [{"dst": "default", "dev": "eth0"}])(sound)
    sound.write("/proc/4242/root/etc/resolv.conf", text)
    sound.write("/proc/4242/net/udp", SOCKETS + RESOLVER.replace("3500007F:0035", "0B00007F:B3C1"))
    found = told(TOPIC, sound, workload="4242")["by_name"]
    assert set(found) == ({"the workload has a resolver"} if seen else set())
    assert seen is None or seen in found["the workload has a resolver"][0]["evidence"]


def test_a_resolver_is_never_read_outside_of_the_workload(sound, told):
    entered([LO], [])(sound)
    sound.write("/proc/4242/root/etc/resolv.conf", Path(f"{sound.root}/etc/resolv.conf"))
    reason = told(TOPIC, sound, workload="4242")["unchecked"]["the workload has a resolver"]
    assert reason == "process 4242 has no /etc/resolv.conf that this user may read"


def test_a_daemon_that_does_not_answer_has_not_told_of_its_ports(sound, told):
    sound.write(DOCKER)
    sound.answers[DOCKER, "/containers/json?all=true"] = Answer({}, "Connection refused")
    assert "Connection refused" in told(TOPIC, sound)["unchecked"]["published ports are the engine's"]


def test_every_check_is_tested():
    cut_off = set().union(*(names for _links, _routes, names, _seen in CUT_OFF))
    tested = {"the workload has a resolver"} | cut_off | {name for name, _break_it, _what in FAULTS}
    assert tested == {check.name for check in TOPIC.checks}


def test_the_holder_of_a_port_is_named(sound, told):
    published(False, "", LISTENING.format("00000000", 8080, 555))(sound)
    (finding,) = told(TOPIC, sound)["by_name"]["published ports are the engine's"]
    assert "99 (nginx)" in finding["evidence"]
    assert "port is already allocated" in finding["evidence"]


def test_a_port_that_another_container_has(sound, told):
    published(False, "", LISTENING.format("00000000", 8080, 555))(sound)
    sound.write("/proc/99/comm", "docker-proxy\n")
    (finding,) = told(TOPIC, sound)["by_name"]["published ports are the engine's"]
    assert "99 (docker-proxy)" in finding["evidence"]


def test_a_port_that_is_listened_on_is_fine(sound, told):
    published(True, LISTENING.format("00000000", 80, 7))(sound)
    assert told(TOPIC, sound)["findings"] == []


def test_a_proxy_of_docker_is_no_stranger(sound, told):
    published(True, LISTENING.format("00000000", 80, 7), LISTENING.format("00000000", 8080, 555))(sound)
    sound.write("/proc/99/comm", "docker-proxy\n")
    assert told(TOPIC, sound)["findings"] == []


def test_a_resolver_that_listens_is_fine(sound, told):
    sound.write("/etc/resolv.conf", "nameserver 127.0.0.53\n")
    sound.write("/proc/self/net/udp", SOCKETS + RESOLVER)
    assert told(TOPIC, sound)["findings"] == []


def test_an_inactive_network_that_has_the_subnet_of_a_link(sound, told):
    sound.write(f"{NETWORKS}/lan.xml", NETWORK.format("lan").replace("198.51.100.", "203.0.113."))
    sound.remove(f"{RUNNING}/lan.xml")
    found = told(TOPIC, sound)["by_name"]
    assert found["subnets are apart"][0]["what"] == "br0 and libvirt's network lan have overlapping subnets"


def test_two_ways_with_a_rule_for_each_are_fine(sound, told):
    route = {"dst": "default", "gateway": "203.0.113.9", "dev": "br0", "table": "100"}
    change(sound, ROUTES, lambda routes: routes.append(route))
    sound.write(f"{CONF}/br0/rp_filter", "1\n")
    change(sound, RULES, lambda rules: rules.append({"priority": 100, "src": "203.0.113.1", "table": "100"}))
    assert told(TOPIC, sound)["findings"] == []


def test_what_can_not_be_looked_at_does_not_pass(host, told):
    result = told(TOPIC, host, root=False)
    assert set(result["by_name"]) == {"there is a resolver"}
    assert set(result["passed"]) == {"the local resolver answers"}
    assert "use become" in result["unchecked"]["all networks of libvirt are active"]
    assert "iproute2" in result["unchecked"]["bridges are up"]


def test_a_workload_that_does_not_run(host, told):
    with pytest.raises(StrataError, match="nothing of that name runs here"):
        told(TOPIC, host, workload="web")
    with pytest.raises(StrataError, match="no name of a workload"):
        told(TOPIC, host, workload="../x")


def test_a_workload_is_found_by_its_engine(host, told):
    host.write("/proc/88/status", "Name:\tsystemd\n")
    host.sayings["machinectl show --property=Leader --value build"] = "88\n"
    assert "nspawn build failed" in told(TOPIC, host, workload="build")["unchecked"]["links of the workload are up"]


# Chains.


def accepting(chain: str, *expressions: dict) -> dict:
    return {"rule": {"family": "ip", "table": "filter", "chain": chain, "expr": [*expressions]}}


def match(left: dict, right: object, op: str = "==") -> dict:
    return {"match": {"op": op, "left": left, "right": right}}


FROM = {"meta": {"key": "iifname"}}
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}
STATE = {"ct": {"key": "state"}}
ACCEPT = {"accept": None}
COUNT = {"counter": {"packets": 0, "bytes": 0}}


@pytest.mark.parametrize(
    "rules",
    [
        [accepting("FORWARD", match(FROM, "br0"), COUNT, ACCEPT)],
        [accepting("FORWARD", match(FROM, "br*"), ACCEPT)],
        [accepting("FORWARD", {"jump": {"target": "MINE"}}), accepting("MINE", match(FROM, "br0"), ACCEPT)],
        [accepting("FORWARD", match(SOURCE, {"prefix": {"addr": "203.0.113.0", "len": 24}}), ACCEPT)],
        [accepting("FORWARD", COUNT, ACCEPT)],
    ],
)
def test_chains_that_let_a_bridge_through(sound, told, rules):
    ruled(DROPPING, *rules)(sound)
    assert told(TOPIC, sound)["findings"] == []


@pytest.mark.parametrize(
    "rules",
    [
        [accepting("FORWARD", match(FROM, "docker0"), ACCEPT)],
        [accepting("FORWARD", match(FROM, "br0", "!="), ACCEPT)],
        [accepting("FORWARD", match(FROM, "br0"), match(STATE, ["established", "related"], "in"), ACCEPT)],
        [accepting("FORWARD", match(FROM, "br0"), {"drop": None})],
        [accepting("UNUSED", match(FROM, "br0"), ACCEPT)],
    ],
)
def test_chains_that_do_not(sound, told, rules):
    ruled(DROPPING, *rules)(sound)
    assert set(told(TOPIC, sound)["by_name"]) == {"firewall lets bridges through"}


def test_the_chains_of_docker_and_libvirt_once_docker_has_closed_them(sound, told):
    recorded = json.loads(sound.sayings[NFT])
    (chain,) = [entry["chain"] for entry in recorded["nftables"] if entry.get("chain", {}).get("name") == "FORWARD"][:1]
    chain["policy"] = "drop"
    sound.sayings[NFT] = json.dumps(recorded)
    (finding,) = told(TOPIC, sound)["by_name"]["firewall lets bridges through"]
    assert "of links it accepts: docker0" in finding["evidence"]


def test_iptables_as_docker_leaves_it():
    saved = """\
*nat
:PREROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i virbr+ -j ACCEPT
-A FORWARD -s 192.0.2.0/24 -j ACCEPT
-A FORWARD ! -i eth9 -j ACCEPT
COMMIT
"""
    (chain,) = firewall.of_iptables(saved, "iptables")
    assert chain["links"] == ["docker0", "virbr*"]
    assert chain["sources"] == ["192.0.2.0/24"]
    assert chain["all"] is False


def test_iptables_of_the_old_kind_beside_nftables(sound, told):
    sound.write("/proc/net/ip_tables_names", "nat\nfilter\n")
    sound.sayings["iptables-legacy-save"] = "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"
    found = told(TOPIC, sound)["by_name"]
    assert "of the table iptables filter" in found["firewall lets bridges through"][0]["what"]


def test_addresses_of_sockets():
    assert sockets.address("0100007F") == "127.0.0.1"
    assert sockets.address("00000000000000000000000001000000") == "::1"
