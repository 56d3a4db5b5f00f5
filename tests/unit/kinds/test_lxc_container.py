# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""LXC's configuration files and the plans made from them; the files were recorded from a Debian 13 host."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, State
from ansible_collections.strata.virt.plugins.module_utils.engines import lxc
from ansible_collections.strata.virt.plugins.module_utils.engines.lxc_config import Config
from ansible_collections.strata.virt.plugins.module_utils.kinds import lxc_container
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
    values = {**LxcContainer.decoded(recorded("config")), **changes}
    facts = {"snapshots": [], "template": "busybox"}
    return Container(status, values, live, facts, "", LxcContainer.decoded(recorded("config.created")))


def names(changes) -> list[str]:
    return [change.name for change in changes]


def patched(text: str, values: dict) -> str:
    config = Config(text)
    LxcContainer({"name": "a"})._patch(config, LxcContainer({"name": "a", **values}).spec)
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
    assert moved.interfaces() == [{"type": "veth", "hwaddr": "00:16:3e:00:00:01", "link": "br9"}]


def test_included_interfaces_are_taken_back(tmp_path):
    (tmp_path / "a").write_text("lxc.net.0.type = veth\nlxc.net.0.mtu = 1400\nlxc.net.1.type = empty\n")
    exact = patched(f"lxc.include = {tmp_path}/a\n", {"networks": [{"type": "veth", "link": "br0"}]})
    assert Config(exact).interfaces() == [{"type": "veth", "mtu": "1400", "link": "br0"}]


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
        LxcContainer({"name": "strata-test", "state": "absent"}).plan(State("stopped", facts={"snapshots": ["snap0"]}))


def test_dropped_options_go_back_to_what_lxc_create_made():
    wanted = LxcContainer({"name": "strata-test", "state": "present"}, applied=EXAMPLE)
    want = wanted.plan(stored()).want
    assert want["memory"] == "max"
    assert want["cap_drop"] == ("mac_admin", "mac_override", "sys_module", "sys_time")
    assert want["networks"] == ({"type": "veth", "link": "lxcbr0", "flags": "up"},)
    assert want["config"] == {"lxc.apparmor.profile": "generated"}


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
    ],
)
def test_bad_options_are_named(more, words):
    with pytest.raises(StrataError) as refused:
        LxcContainer({**EXAMPLE, **more})
    assert words in str(refused.value)


# What goes with a container.


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
    told = lxc._told((FIXTURES / "start.log").read_text())
    assert """to bridge "nobr", bridge interface doesn't exist""" in told
    assert "network.c" not in told
