# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""LXC's configuration files and the plans made from them; the files were recorded from a Debian 13 host."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, State
from ansible_collections.strata.virt.plugins.module_utils.engines import idmaps, lxc, lxc_boot
from ansible_collections.strata.virt.plugins.module_utils.engines.lxc_config import Config
from ansible_collections.strata.virt.plugins.module_utils.kinds import (
    lxc_container,
    lxc_fields,
    lxc_mounts,
    lxc_networks,
    lxc_sources,
)
from ansible_collections.strata.virt.plugins.module_utils.kinds.lxc_container import Container, LxcContainer

FIXTURES = Path(__file__).parents[1] / "fixtures" / "lxc_container"
MIB = 1024**2
EXAMPLE = {
    "name": "strata-test",
    "template": "busybox",
    "memory": "128M",
    "cpus": 1,
    "pids_limit": 128,
    "networks": [{"type": "veth", "link": "lxcbr0", "flags": "up"}],
    "cap_drop": ["sys_module", "mac_admin", "mac_override"],
    "config": {"lxc.apparmor.profile": "generated"},
}


def recorded(name: str) -> Config:
    return Config((FIXTURES / name).read_text())


def stored(status: str = "stopped", live: dict | None = None, **changes) -> Container:
    """The container that the example makes, with other values where they are given."""
    made = recorded("config.created")
    values = {**LxcContainer.decoded(recorded("config"), made), **changes}
    facts = {"snapshots": [], "template": "busybox", "id_map": "100000:65536"}
    defaults = LxcContainer.decoded(made, made)
    return Container(status=status, config=values, live=live, facts=facts, owner="", defaults=defaults)


def names(changes) -> list[str]:
    return [change.name for change in changes]


def patched(text: str, values: dict, made: str = "") -> str:
    config = Config(text)
    lxc_fields.patch(config, LxcContainer({"name": "a", **values}).spec, lxc_fields.Place(Config(made)))
    return config.text


# Reading.


def test_a_file_survives_being_read():
    text = (FIXTURES / "config").read_text()
    assert Config(text).text == text


def test_what_was_recorded_is_what_the_example_declares():
    assert not LxcContainer({**EXAMPLE, "state": "present"}).plan(stored())


def test_recorded_values():
    values = LxcContainer.decoded(recorded("config"))
    assert (values["memory"], values["cpus"], values["pids_limit"]) == (128 * MIB, 100_000, 128)
    assert values["cap_drop"] == ("mac_admin", "mac_override", "sys_module")
    assert values["networks"] == ({"type": "veth", "link": "lxcbr0", "flags": "up"},)
    assert values["config"]["lxc.uts.name"] == "strata-test"  # it stands there in quotes
    assert recorded("config").comment(lxc_container.OWNER) == ""
    assert lxc.made_with(recorded("config")) == "busybox"


def test_the_marker_of_what_is_half_made_survives_lxc_create():
    made = recorded("config.created")
    assert made.comment(lxc_container.MAKING) == ""
    assert made.comment(lxc_container.OWNER) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lxc.uts.name = a\nlxc.uts.name=b\n", "b"),
        ("   lxc.uts.name   =   a b   \n", "a b"),
        ("lxc.uts.name = 'a'\n", "a"),
        ("lxc.uts.name = a\nlxc.uts.name =\n", None),
        ("lxc.uts.name = a\nlxc.uts =\n", None),
        ("#lxc.uts.name = a\nuts.name = a\n", None),
    ],
)
def test_values_are_read_as_lxc_reads_them(text, value):
    assert Config(text).get("lxc.uts.name") == value


def test_included_files_count(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.conf").write_text("lxc.cap.drop = sys_time\nlxc.uts.name = inner\n")
    (tmp_path / "d" / "README").write_text("lxc.uts.name = none\n")
    config = Config(f"lxc.uts.name = outer\nlxc.include = {tmp_path}/d\nlxc.cap.drop = sys_module\n")
    assert config.get("lxc.uts.name") == "inner"
    assert config.words("lxc.cap.drop") == {"sys_time", "sys_module"}


def test_what_is_no_value_is_told_as_it_stands_and_replaced():
    text = "lxc.cgroup2.memory.max = lots\nlxc.net.0.type = veth\nlxc.net.0.mtu = big\nlxc.net.0.ipv4.address = x\n"
    values = LxcContainer.decoded(Config(f"{text}lxc.start.order = first\n"))
    assert (values["memory"], values["networks"][0]["mtu"], values["start_order"]) == ("lots", "big", "first")
    config = patched(text, {"memory": "1G", "networks": [{"type": "veth", "mtu": 1400, "addresses": []}]})
    assert sorted(config.splitlines()) == [
        f"lxc.cgroup2.memory.max = {1024 * MIB}",
        "lxc.net.0.mtu = 1400",
        "lxc.net.0.type = veth",
    ]


def test_files_that_include_themselves_end(tmp_path):
    (tmp_path / "a").write_text(f"lxc.include = {tmp_path}/a\nlxc.uts.name = a\n")
    assert Config(f"lxc.include = {tmp_path}/a\n").get("lxc.uts.name") == "a"


# Patching.


def test_only_what_is_declared_changes():
    text = "# mine\n\nlxc.uts.name=a\n  lxc.cgroup2.memory.max =  1G\nlxc.tty.max = 4 # odd\n"
    assert patched(text, {"memory": "2G"}) == text.replace(
        "  lxc.cgroup2.memory.max =  1G", f"lxc.cgroup2.memory.max = {2048 * MIB}"
    )


def test_older_lines_do_not_stay():
    text = "lxc.cgroup2.memory.max = 1\n# x\nlxc.cgroup2.memory.max = 2\nlxc.uts.name = a\n"
    assert patched(text, {"memory": "1M"}) == f"# x\nlxc.cgroup2.memory.max = {MIB}\nlxc.uts.name = a\n"


def test_no_limit_is_no_line():
    assert patched("lxc.cgroup2.pids.max = 5\n", {"pids_limit": "max"}) == ""


def test_a_value_counts_over_an_included_one(tmp_path):
    (tmp_path / "a").write_text("lxc.uts.name = inner\n")
    include = f"lxc.include = {tmp_path}/a\n"
    assert patched(f"lxc.uts.name = x\n{include}", {"config": {"lxc.uts.name": "y"}}) == f"{include}lxc.uts.name = y\n"
    assert patched(include, {"config": {"lxc.uts.name": None}}) == f"{include}lxc.uts.name =\n"


def test_included_capabilities_are_taken_back(tmp_path):
    (tmp_path / "a").write_text("lxc.cap.drop = sys_time\n")
    include = f"lxc.include = {tmp_path}/a\n"
    exact = patched(include, {"cap_drop": ["sys_module"]})
    assert exact == f"{include}lxc.cap.drop =\nlxc.cap.drop = sys_module\n"
    assert Config(exact).words("lxc.cap.drop") == {"sys_module"}
    assert Config(patched(include, {"cap_drop": []})).words("lxc.cap.drop") == set()
    assert patched(include, {"cap_drop": ["CAP_SYS_TIME"]}) == include


def test_interfaces_keep_what_is_not_declared():
    text = "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.hwaddr = 00:16:3e:00:00:01\n"
    text += "# between\nlxc.net.4.type = veth\nlxc.net.4.link = br1\nlxc.net.4.mtu = 1400\nlxc.uts.name = a\n"
    only = patched(text, {"networks": [{"type": "veth", "link": "br1", "name": "lan0"}]})
    assert only == (
        "lxc.net.0.type = veth\nlxc.net.0.mtu = 1400\nlxc.net.0.link = br1\nlxc.net.0.name = lan0\n"
        "# between\nlxc.uts.name = a\n"
    )
    swapped = patched(text, {"networks": [{"type": "veth", "link": "br1"}, {"type": "veth", "link": "br0"}]})
    assert Config(swapped).get("lxc.net.1.hwaddr") == "00:16:3e:00:00:01"
    assert Config(patched(text, {"networks": []})).interfaces() == []


def test_another_link_in_the_same_place_keeps_the_address():
    text = "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.hwaddr = 00:16:3e:00:00:01\n"
    moved = Config(patched(text, {"networks": [{"type": "veth", "link": "br9"}]}))
    assert moved.interfaces() == [{"type": ["veth"], "hwaddr": ["00:16:3e:00:00:01"], "link": ["br9"]}]


def test_included_interfaces_are_taken_back(tmp_path):
    (tmp_path / "a").write_text("lxc.net.0.type = veth\nlxc.net.0.mtu = 1400\nlxc.net.1.type = empty\n")
    exact = patched(f"lxc.include = {tmp_path}/a\n", {"networks": [{"type": "veth", "link": "br0"}]})
    assert Config(exact).interfaces() == [{"type": ["veth"], "mtu": ["1400"], "link": ["br0"]}]


def test_lists_of_lines_are_enforced():
    text = "lxc.mount.entry = a\nlxc.uts.name = x\nlxc.mount.entry = b\n"
    after = patched(text, {"config": {"lxc.mount.entry": ["c", "d"]}})
    assert after == "lxc.uts.name = x\nlxc.mount.entry = c\nlxc.mount.entry = d\n"


# Planning.


def test_a_new_container_is_configured_before_it_starts():
    assert LxcContainer(EXAMPLE).plan(ABSENT).steps == ("create", "start")
    assert LxcContainer({**EXAMPLE, "state": "frozen"}).plan(ABSENT).steps == ("create", "start", "freeze")


def test_limits_change_live():
    values = LxcContainer.decoded(recorded("config"))
    plan = LxcContainer({**EXAMPLE, "memory": "64M"}).plan(stored("running", values))
    assert plan.steps == ("configure", "update")
    assert plan.restart_required == []


def test_a_limit_that_drifted_live_is_brought_back():
    values = {**LxcContainer.decoded(recorded("config")), "memory": MIB}
    assert LxcContainer(EXAMPLE).plan(stored("running", values)).steps == ("update",)


def test_interfaces_need_a_restart():
    values = LxcContainer.decoded(recorded("config"))
    wanted = {**EXAMPLE, "networks": [{"type": "veth", "link": "br9"}]}
    plan = LxcContainer(wanted).plan(stored("running", values))
    assert (plan.steps, plan.restart_required) == (("configure",), ["networks[0]"])
    assert LxcContainer({**wanted, "restart": "if_needed"}).plan(stored("running", values)).steps == (
        "configure",
        "restart",
    )


@pytest.mark.parametrize(
    ("status", "state", "steps"),
    [
        ("running", "frozen", ("freeze",)),
        ("frozen", "started", ("thaw",)),
        ("frozen", "stopped", ("stop",)),
        ("stopped", "frozen", ("start", "freeze")),
    ],
)
def test_moves(status, state, steps):
    assert LxcContainer({"name": "strata-test", "state": state}).plan(stored(status)).steps == steps


def test_half_made_is_made_anew_if_it_is_ours():
    assert LxcContainer(EXAMPLE).plan(State("half-made", owner="")).steps == ("create", "start")
    with pytest.raises(StrataError, match="half-made"):
        LxcContainer(EXAMPLE).plan(State("half-made"))
    assert LxcContainer({"name": "strata-test", "state": "absent"}).plan(State("half-made")).steps == ("remove",)


def test_snapshots_keep_a_container():
    with pytest.raises(StrataError, match="lxc-snapshot -n strata-test"):
        LxcContainer({"name": "strata-test", "state": "absent"}).plan(
            State("stopped", facts={"snapshots": [{"name": "snap0"}]})
        )


def test_dropped_options_go_back_to_what_lxc_create_made():
    wanted = LxcContainer({"name": "strata-test", "state": "present"}, applied=EXAMPLE)
    want = wanted.plan(stored()).want
    assert want["memory"] == "max"
    assert want["cap_drop"] == ("mac_admin", "mac_override", "sys_module", "sys_time")
    assert want["networks"] == ({"type": "veth", "link": "lxcbr0", "flags": "up"},)
    assert want["config"] == {"lxc.apparmor.profile": "generated"}


def test_what_an_interface_was_not_given_is_not_taken_back():
    applied = {
        "networks": [{"type": "veth", "link": None, "hwaddr": None}]
    }  # as Ansible hands over what a row leaves out
    options = {"name": "strata-test", "state": "present", "networks": [{"type": "veth"}]}
    assert not LxcContainer(options, applied=applied).plan(stored())


def test_an_export_declares_what_is_there():
    options = LxcContainer.export("strata-test", stored())
    assert options["template"] == "busybox"
    assert options["state"] == "stopped"
    assert "lxc.rootfs.path" not in options.get("config", {})
    assert not LxcContainer(options).plan(stored())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"config": {"lxc.cgroup2.memory.max": "1"}}, "the option memory sets"),
        ({"config": {"lxc.net.0.type": "veth"}}, "the option networks sets"),
        ({"config": {"lxc.cap.keep": "kill"}}, "the option cap_drop sets"),
        ({"config": {"uts.name": "1"}}, "is no key of LXC"),
        ({"config": {"lxc.uts.name": "a\nlxc.hook.start = x"}}, "one value only"),
        ({"cap_drop": ["a b"]}, "is no capability"),
        ({"template": "../x"}, "template"),
        ({"networks": [{"type": "veth", "hwaddr": "x"}]}, "hwaddr"),
        ({"networks": [{"type": "veth", "addresses": ["10.0.3.20"]}]}, "has no prefix"),
        ({"networks": [{"type": "vlan", "link": "eth0"}]}, "needs vlan_id"),
        ({"networks": [{"type": "macvlan"}]}, "needs link"),
        ({"networks": [{"type": "veth", "gateway": "fd00::1"}]}, "is no address of IPv4"),
        ({"networks": [{"type": "phys", "link": "eth1", "mode": "bridge"}]}, "mode goes with"),
        ({"mounts": [{"source": "/srv", "target": "../etc"}]}, "below the container's root"),
        ({"mounts": [{"source": "srv", "target": "srv"}]}, "an absolute path of the host"),
        ({"mounts": [{"source": "/srv", "target": "srv", "options": ["ro"]}]}, "follows from"),
        ({"mounts": [{"source": "/dev/fuse", "target": "dev/fuse"}]}, "Give it in devices"),
        ({"devices": [{"path": "/srv/x"}]}, "is not below /dev"),
        ({"devices": [{"rule": "x 1:2 r"}]}, "is no rule"),
        ({"devices": [{"path": "/dev/fuse", "rule": "c 10:229 r"}]}, "a path or a rule"),
        ({"cap_keep": ["chown"]}, "not both"),
        ({"unprivileged": False, "id_map": "100000:65536"}, "goes with unprivileged"),
        ({"id_map": "0:65536"}, "must begin at 1"),
        ({"cpu_weight": "idle"}, "is a number for LXC"),
        ({"autostart": True, "lxc_path": "/srv/lxc"}, "lxc-autostart"),
        ({"source": {"rootfs": "/srv/deb"}}, "doesn't go with template"),
        ({"template": None, "source": {"rootfs": "/srv/deb", "container": "a"}}, "is one of rootfs"),
        ({"template": None, "source": {"rootfs": "/srv/deb", "snapshot": "a"}}, "goes with container"),
        ({"config": {"lxc.mount.entry": "a b none bind 0 0"}, "mounts": []}, "the option mounts sets"),
    ],
)
def test_bad_options_are_named(more, words):
    with pytest.raises(StrataError) as refused:
        LxcContainer({**EXAMPLE, **more})
    assert words in str(refused.value)


class Told:
    """What a running container says of its keys, and what LXC makes of the stored ones."""

    def __init__(self, now: dict, stored: dict) -> None:
        self.now, self.then = now, stored

    def get(self, key):
        return self.now.get(key)

    def as_stored(self, key):
        return self.now.get(key) == self.then.get(key)


def test_what_runs_is_told_from_what_is_stored():
    entry, old = "/srv srv none bind 0 0", "/old srv none bind 0 0"
    config, place = Config(f"lxc.mount.entry = {entry}\n"), lxc_fields.Place()
    field = LxcContainer.field("mounts")
    same = Told({"lxc.mount.entry": entry}, {"lxc.mount.entry": entry})
    assert lxc_fields.live(field, same, config, place, "stored") == "stored"
    (row,) = lxc_fields.live(field, Told({"lxc.mount.entry": old}, {"lxc.mount.entry": entry}), config, place, "stored")
    assert row["source"] == "/old"


# Networks.


def test_addresses_are_lines_of_their_own_kind():
    text = patched(
        "",
        {
            "networks": [
                {
                    "type": "ipvlan",
                    "link": "eth0",
                    "mode": "l3s",
                    "mtu": 1400,
                    "addresses": ["fd00::5/64", "10.0.3.20/24", "10.0.3.21/24"],
                    "gateway": "dev",
                }
            ]
        },
    )
    assert sorted(text.splitlines()) == [
        "lxc.net.0.ipv4.address = 10.0.3.20/24",
        "lxc.net.0.ipv4.address = 10.0.3.21/24",
        "lxc.net.0.ipv4.gateway = dev",
        "lxc.net.0.ipv6.address = fd00::5/64",
        "lxc.net.0.ipvlan.mode = l3s",
        "lxc.net.0.link = eth0",
        "lxc.net.0.mtu = 1400",
        "lxc.net.0.type = ipvlan",
    ]
    (row,) = LxcContainer.decoded(Config(text))["networks"]
    assert (row["mode"], row["mtu"]) == ("l3s", 1400)
    assert row["addresses"] == ("10.0.3.20/24", "10.0.3.21/24", "fd00::5/64")
    assert "address" not in patched(text, {"networks": [{"type": "ipvlan", "link": "eth0", "addresses": []}]})


def test_what_lxc_fills_in_counts_for_nothing():
    said = {
        "lxc.net": "0",
        "lxc.net.0.type": "veth",
        "lxc.net.0.link": "lxcbr0",
        "lxc.net.0.name": "eth0",
        "lxc.net.0.hwaddr": "00:16:3e:00:00:01",
        "lxc.net.0.flags": "up",
        "lxc.net.0.ipv4.address": "10.0.3.20/24",
    }
    config = Config("lxc.net.0.type = veth\nlxc.net.0.hwaddr = 00:16:3e:00:00:09\n")
    (row,) = lxc_networks.read(lxc_networks.running(config, said.get))
    assert row == {
        "type": "veth",
        "link": "lxcbr0",
        "hwaddr": "00:16:3e:00:00:01",
        "flags": "up",
        "addresses": ("10.0.3.20/24",),
    }


# Mounts and devices.


def test_mounts_are_exact_and_those_of_the_template_stay():
    made = "lxc.mount.entry = shm dev/shm tmpfs defaults,create=dir 0 0\n"
    row = {"source": "/srv/my data", "target": "/srv/www/", "read_only": True}
    text = patched(f"{made}lxc.mount.entry = /x y none bind 0 0\n", {"mounts": [row]}, made)
    assert text == f"{made}lxc.mount.entry = /srv/my\\040data srv/www none bind,ro 0 0\n"
    (read,) = LxcContainer.decoded(Config(text), Config(made))["mounts"]
    assert read == {
        "target": "srv/www",
        "source": "/srv/my data",
        "type": "bind",
        "read_only": True,
        "options": (),
    }
    assert patched(text, {"mounts": []}, made) == made


def test_who_makes_what_is_mounted_upon(tmp_path):
    (tmp_path / "f").write_text("")
    row = {"source": f"{tmp_path}/f", "target": "etc/f"}
    config = Config(patched("", {"mounts": [row, {"source": "/srv", "target": "dev/x"}]}))
    assert "/f etc/f none bind 0 0" in config.text  # LXC would go through the guest's links
    assert "/srv dev/x none bind,create=dir 0 0" in config.text
    assert list(lxc_mounts.places(config, Config(""))) == [("etc/f", True)]
    assert "create=file" in lxc_mounts.line(row, make=True)


def test_lxc_makes_what_lies_in_a_file_system_that_comes_up_empty():
    run = {"type": "tmpfs", "target": "run"}
    config = Config(patched("", {"mounts": [run, {"type": "tmpfs", "target": "run/lock"}]}))
    assert "tmpfs run tmpfs defaults 0 0" in config.text
    assert "tmpfs run/lock tmpfs create=dir 0 0" in config.text
    assert list(lxc_mounts.places(config, Config(""))) == [("run", False)]


def test_a_tmpfs_has_no_source():
    text = patched("", {"mounts": [{"type": "tmpfs", "target": "tmp", "options": ["size=1m", "noexec"]}]})
    assert text == "lxc.mount.entry = tmpfs tmp tmpfs noexec,size=1m 0 0\n"
    assert LxcContainer.decoded(Config(text))["mounts"][0]["source"] == ""


def test_devices_are_a_rule_and_a_node():
    wanted = {"devices": [{"path": "/dev/null", "permissions": "wr"}, {"rule": "c  10:*  rwm"}]}
    text = patched("lxc.cgroup2.devices.allow = c 1:5 r\n", {**wanted, "mounts": []})
    assert text.splitlines() == [
        "lxc.cgroup2.devices.allow = c 1:3 rw",
        "lxc.cgroup2.devices.allow = c 10:* rwm",
        "lxc.mount.entry = /dev/null dev/null none bind,create=file 0 0",
    ]
    values = LxcContainer.decoded(Config(text))
    assert values["devices"] == ({"path": "/dev/null", "permissions": "rw"}, {"rule": "c 10:* rwm"})
    assert values["mounts"] == ()
    assert patched(text, {"devices": []}) == ""


# User namespaces.


def test_unprivileged_is_a_map_an_option_of_the_root_and_a_file():
    text = "lxc.include = /usr/share/lxc/config/common.conf\nlxc.uts.name = a\n"
    mapped = patched(text, {"unprivileged": True, "id_map": "100000:65536", "read_only": True})
    assert mapped.splitlines() == [
        "lxc.include = /usr/share/lxc/config/common.conf",
        "lxc.include = /usr/share/lxc/config/userns.conf",
        "lxc.uts.name = a",
        "lxc.rootfs.options = idmap=container,ro",
        "lxc.idmap = u 0 100000 65536",
        "lxc.idmap = g 0 100000 65536",
    ]
    values = LxcContainer.decoded(Config(mapped))
    assert (values["unprivileged"], values["id_map"], values["read_only"]) == (True, "100000:65536", True)
    assert patched(mapped, {"unprivileged": False, "read_only": False}) == text


def test_a_plain_users_root_is_shifted_on_the_disk():
    config = Config("")
    lxc_fields.patch(config, {"unprivileged": True, "id_map": "100000:65536"}, lxc_fields.Place(rootless=True))
    assert lxc_fields.ROOTFS_OPTIONS not in config.text


@pytest.mark.parametrize("more", [{"unprivileged": False}, {}, {"unprivileged": True, "autostart": True}])
def test_what_a_plain_user_cannot_have_is_refused(more):
    state = State(facts={"rootless": True, "id_map": "100000:65536"})
    LxcContainer({**EXAMPLE, "unprivileged": True}).plan(state)
    with pytest.raises(StrataError, match=r"unprivileged|autostart"):
        LxcContainer({**EXAMPLE, **more}).plan(state)


def test_other_maps_are_shown_as_they_stand():
    assert idmaps.parse(["u 0 100000 1000", "g 0 200000 1000"]) == "g 0 200000 1000; u 0 100000 1000"
    assert idmaps.parse(idmaps.lines("5:6")) == "5:6"


def test_ranges_are_by_name_and_by_number():
    text = "root:100000:65536\n0:300000:65536\nother:1:2\nroot:x:y\n"
    assert idmaps.allotted(text, "root", 0) == [(100000, 65536), (300000, 65536)]


def test_a_map_is_taken_from_what_root_has():
    plan = LxcContainer({**EXAMPLE, "unprivileged": True, "state": "present"}).plan(stored())
    assert plan.want["id_map"] == "100000:65536"
    assert names(plan.changes) == ["unprivileged", "id_map"]


# Profiles.


def test_restricted_is_everything_that_can_be_said():
    wanted = LxcContainer({"name": "strata-test", "hardening": "restricted", "memory": "64M", "state": "present"})
    want = wanted.plan(stored()).want
    assert (want["unprivileged"], want["no_new_privileges"], want["read_only"]) == (True, True, True)
    assert (want["cap_keep"], want["memory"], want["cpus"], want["pids_limit"]) == ((), 64 * MIB, 100_000, 256)
    assert [row["target"] for row in want["mounts"]] == ["dev/shm", "run", "run/lock", "tmp"]
    assert (want["apparmor_profile"], want["seccomp_profile"]) == ("generated", "/usr/share/lxc/config/common.seccomp")
    assert want["devices"] == ()
    assert "cap_drop" not in want


def test_baseline_drops_what_no_namespace_holds():
    want = LxcContainer({"name": "strata-test", "hardening": "baseline", "state": "present"}).plan(stored()).want
    assert want["cap_drop"] == ("mac_admin", "mac_override", "sys_module", "sys_rawio", "sys_time")
    assert "unprivileged" not in want


def test_a_profile_that_is_no_longer_declared_goes_back():
    wanted = LxcContainer({"name": "strata-test", "state": "present"}, applied={"hardening": "restricted"})
    want = wanted.plan(stored(cap_keep=(), no_new_privileges=True)).want
    assert (want["cap_keep"], want["no_new_privileges"], want["memory"]) == (None, False, "max")


@pytest.mark.parametrize(
    ("profile", "more", "words"),
    [
        ("baseline", {"mounts": [{"source": "/run/docker.sock", "target": "x"}]}, "anything can be started"),
        ("baseline", {"mounts": [{"source": "/proc", "target": "x"}]}, "reaches the kernel"),
        ("baseline", {"networks": [{"type": "none"}]}, "belongs to the host"),
        ("baseline", {"devices": [{"path": "/dev/fuse"}]}, "reaches hardware"),
        ("baseline", {"cap_drop": ["sys_time"]}, "it keeps mac_admin"),
        ("baseline", {"cap_keep": ["sys_admin"]}, "sys_admin gives rights"),
        ("baseline", {"apparmor_profile": "unconfined"}, "lifts the default confinement"),
        ("baseline", {"seccomp_profile": ""}, "lifts the default confinement"),
        ("baseline", {"config": {"lxc.namespace.share.net": "1"}}, "shares what belongs"),
        ("baseline", {"config": {"lxc.mount.auto": "proc:rw"}}, "the kernel's own settings"),
        ("restricted", {"unprivileged": False}, "root of the host"),
        ("restricted", {"cap_drop": ["sys_time"]}, "name them in cap_keep"),
        ("restricted", {"memory": "max"}, "all of the host's memory"),
        ("restricted", {"hardening_exceptions": ["nosuch"]}, "no profile speaks of nosuch"),
    ],
)
def test_what_breaks_a_profile_is_refused(profile, more, words):
    with pytest.raises(StrataError) as refused:
        LxcContainer({"name": "a", "hardening": profile, **more})
    assert words in str(refused.value)
    if "hardening_exceptions" not in more:
        LxcContainer({"name": "a", "hardening": profile, "hardening_exceptions": list(more), **more})


def test_within_a_user_namespace_capabilities_lead_nowhere():
    LxcContainer({"name": "a", "hardening": "restricted", "cap_keep": ["sys_admin"]})


# States and sources.


def test_restarted_restarts_once():
    wanted = LxcContainer({**EXAMPLE, "state": "restarted"})
    state = stored("running", LxcContainer.decoded(recorded("config")))
    assert wanted.plan(state).steps == ("restart",)
    assert wanted.plan(stored()).steps == ("start",)
    assert not wanted.settled().plan(state)


def test_templates_are_called_with_what_the_source_says():
    image = {"distribution": "debian", "release": "trixie", "architecture": "amd64"}
    made = LxcContainer({"name": "a", "source": {"download": image}}).spec
    assert lxc_sources.template(made) == ("download", ["--dist", "debian", "--release", "trixie", "--arch", "amd64"])
    made = LxcContainer({"name": "a", "source": {"oci": "docker://registry.example.com/web:1"}}).spec
    assert lxc_sources.template(made) == ("oci", ["--url", "docker://registry.example.com/web:1"])


class Folders:
    """As much of the engine as copying needs."""

    def __init__(self, path) -> None:
        self.path = path

    def folder(self, name):
        return f"{self.path}/{name}"

    def active(self, names):
        return [name for name in names if (self.path / name / "runs").exists()]

    def config_at(self, folder, name="config"):
        return lxc.Lxc.config_at(folder, name)

    def default_config(self):
        return Config("lxc.net.0.type = veth\n")


def test_a_clone_is_told_from_what_it_was_made_from(tmp_path):
    (tmp_path / "a" / "rootfs").mkdir(parents=True)
    text = "# strata.virt: owner=web\nlxc.net.0.type = veth\nlxc.net.0.hwaddr = 00:16:3e:00:00:01\nlxc.uts.name = a\n"
    (tmp_path / "a" / "config").write_text(f"{text}lxc.rootfs.path = dir:{tmp_path}/a/rootfs\n")
    tree, config, _made = lxc_sources.tree(Folders(tmp_path), "b", {"container": "a"})
    assert tree == f"{tmp_path}/a/rootfs"
    assert config.text == f"lxc.net.0.type = veth\nlxc.uts.name = b\nlxc.rootfs.path = dir:{tmp_path}/a/rootfs\n"
    (tmp_path / "a" / "runs").touch()
    with pytest.raises(StrataError, match="runs"):
        lxc_sources.tree(Folders(tmp_path), "b", {"container": "a"})
    with pytest.raises(StrataError, match="no snapshot s of a"):
        lxc_sources.tree(Folders(tmp_path), "b", {"container": "a", "snapshot": "s"})
    with pytest.raises(StrataError, match="no container x"):
        lxc_sources.tree(Folders(tmp_path), "b", {"container": "x"})


# What goes with a container, and what it says.


def test_what_a_guest_says_is_printable(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.console").write_bytes(b"\x1b[1mone\x1b[0m\r\n\x00\x07two\xff\n")
    assert lxc_boot.last_words(Folders(tmp_path), "a") == "its console said last: one; two\ufffd"
    assert lxc_boot.last_words(Folders(tmp_path), "b") == "its console said nothing"


def test_places_are_made_within_the_tree(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "root" / "srv").symlink_to(tmp_path / "out")
    lxc_boot.make_places(f"dir:{tmp_path}/root", [("srv/www", False), ("etc/y", True)])
    assert list((tmp_path / "out").iterdir()) == []
    assert (tmp_path / "root" / "etc" / "y").is_file()


def test_only_a_root_file_system_of_its_own_goes_with_it(tmp_path):
    (tmp_path / "ct" / "rootfs").mkdir(parents=True)
    (tmp_path / "ct" / "link").symlink_to("/srv")
    folder = f"{tmp_path}/ct"
    assert lxc.inside(f"dir:{folder}/rootfs", folder)
    assert lxc.inside(None, folder)
    assert not lxc.inside(f"{folder}/../other", folder)
    assert not lxc.inside(f"{folder}/link", folder)
    assert not lxc.inside("overlay:/a:/b", folder)


def test_what_a_log_says_is_told_without_its_places():
    told = lxc_boot.told((FIXTURES / "start.log").read_text())
    assert """to bridge "nobr", bridge interface doesn't exist""" in told
    assert "network.c" not in told
