# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning, with a kind that speaks to no engine."""

from __future__ import annotations

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import limits, policy
from ansible_collections.strata.virt.plugins.module_utils.core.codec import LINE, SETTINGS, TEXTS
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.field import Field, structure, table
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Effect, Layer, State
from ansible_collections.strata.virt.plugins.module_utils.core.resource import Resource

GIB = 1024**3


class Machine(Resource):
    """Two layers: what is stored, and what runs."""

    kind = "machine"
    layered = True
    states = {"started": "running", "stopped": "stopped", "present": None, "absent": "absent"}
    fields = (
        policy.name(),
        policy.state("started", "stopped", "present", "absent"),
        policy.restart(),
        policy.recreate(),
        limits.memory(),
        Field("bridge", LINE, effect=Effect.RESTART),
        Field("image", LINE),
        Field("autostart", LINE, effect=Effect.NEXT_BOOT),
        Field("config", SETTINGS, effect=Effect.RESTART),
        Field("serial", structure(Field("speed", LINE, default="9600"), Field("port", LINE)), effect=Effect.RESTART),
        Field(
            "ports",
            table(Field("host", LINE), Field("guest", LINE, default="80"), key=lambda row: row["host"]),
            effect=Effect.RESTART,
        ),
    )


class Container(Machine):
    """One layer: what is stored is what runs."""

    kind = "container"
    layered = False


def steps(resource: Resource, state: State) -> tuple[str, ...]:
    return resource.plan(state).steps


def names(changes) -> list[str]:
    return [change.name for change in changes]


def running(config: dict, live: dict | None = None) -> State:
    return State("running", config, dict(config) if live is None else live)


def test_what_is_absent_is_created_and_started():
    plan = Machine({"name": "a", "memory": "1G"}).plan(ABSENT)
    assert plan.steps == ("create", "start")
    assert names(plan.changes) == ["state", "memory"]


def test_present_creates_and_leaves_it_stopped():
    assert steps(Machine({"name": "a", "state": "present"}), ABSENT) == ("create",)


def test_what_is_not_given_is_not_compared():
    state = running({"memory": GIB, "bridge": "br7"})
    assert not Machine({"name": "a"}).plan(state)


def test_a_live_change_is_stored_and_brought_into_what_runs():
    plan = Machine({"name": "a", "memory": "2G"}).plan(running({"memory": GIB}))
    assert plan.steps == ("configure", "update")
    assert plan.of(Layer.CONFIG) == plan.of(Layer.LIVE) == {"memory": 2 * GIB}


def test_drift_of_what_runs_alone_needs_no_storing():
    plan = Machine({"name": "a", "memory": "2G"}).plan(running({"memory": 2 * GIB}, {"memory": GIB}))
    assert plan.steps == ("update",)


def test_what_needs_a_restart_is_stored_and_said():
    plan = Machine({"name": "a", "bridge": "br1"}).plan(running({"bridge": "br0"}))
    assert plan.steps == ("configure",)
    assert plan.restart_required == ["bridge"]
    again = Machine({"name": "a", "bridge": "br1"}).plan(running({"bridge": "br1"}, {"bridge": "br0"}))
    assert not again
    assert again.restart_required == ["bridge"]


def test_what_needs_a_restart_is_restarted_where_policy_allows():
    plan = Machine({"name": "a", "bridge": "br1", "restart": "if_needed"}).plan(running({"bridge": "br0"}))
    assert plan.steps == ("configure", "restart")
    assert plan.restart_required == []


def test_a_machine_that_is_to_stop_is_not_restarted():
    wanted = Machine({"name": "a", "bridge": "br1", "state": "stopped", "restart": "if_needed"})
    assert steps(wanted, running({"bridge": "br0"})) == ("configure", "stop")


def test_what_takes_effect_at_boot_interrupts_nothing():
    plan = Machine({"name": "a", "autostart": "yes"}).plan(running({}))
    assert plan.steps == ("configure",)
    assert plan.restart_required == []


def test_one_layer_updates_live_or_recreates():
    state = State("running", {"memory": GIB, "image": "x"})
    assert steps(Container({"name": "a", "memory": "2G"}), state) == ("update",)
    assert steps(Container({"name": "a", "image": "y"}), state) == ("recreate",)


def test_recreation_can_be_forbidden():
    plan = Container({"name": "a", "image": "y", "recreate": "never"}).plan(State("running", {"image": "x"}))
    assert not plan
    assert plan.restart_required == ["image"]


@pytest.mark.parametrize("policy_name", ["restart", "recreate"])
def test_an_interruption_can_be_asked_for(policy_name):
    wanted = Machine({"name": "a", policy_name: "always"})
    assert steps(wanted, running({})) == (policy_name,)
    assert not wanted.settled().plan(running({}))


def test_dropped_options_go_back_to_their_defaults():
    wanted = Machine({"name": "a"}, applied={"memory": "1G", "config": {"x": "1"}})
    plan = wanted.plan(running({"memory": GIB, "config": {"x": "1", "y": "2"}}))
    assert plan.want == {"memory": "max", "config": {"x": None}}
    assert {(change.name, change.after) for change in plan.changes} == {("memory", "max"), ("config[x]", None)}


def test_within_a_structure_too():
    had = {"serial": {"speed": "115200", "port": "1"}}
    now = Container({"name": "a", "serial": {"port": "1"}}, applied={"serial": {"speed": "115200", "port": "1"}})
    assert now.plan(State("running", had)).want["serial"] == {"port": "1", "speed": "9600"}
    assert not Container({"name": "a", "serial": {"port": "1"}}).plan(State("running", had))


def test_settings_manage_only_the_keys_that_are_given():
    state = running({"config": {"theirs": "1", "ours": "1"}})
    assert not Machine({"name": "a", "config": {"ours": "1"}}).plan(state)


def test_tables_change_entry_by_entry():
    had = ({"host": "80", "guest": "80"}, {"host": "81", "guest": "81"})
    wanted = Container({"name": "a", "ports": [{"host": "82", "guest": "82"}, {"host": "81"}]})
    plan = wanted.plan(State("running", {"ports": had}))
    assert names(plan.changes) == ["ports[80]", "ports[82]"]


def test_an_empty_list_is_enforced():
    plan = Container({"name": "a", "ports": []}).plan(State("running", {"ports": ({"host": "80"},)}))
    assert names(plan.changes) == ["ports[80]"]


def test_absent_removes_whatever_runs():
    wanted = Machine({"name": "a", "state": "absent"})
    assert steps(wanted, running({})) == ("remove",)
    assert not wanted.plan(ABSENT)


def test_secrets_never_show():
    class Vault(Machine):
        kind = "vault"
        fields = (*Machine.fields, Field("password", LINE, secret=True, effect=Effect.RECREATE))

    plan = Vault({"name": "a", "password": "hunter2"}).plan(running({"password": "letmein"}))
    assert "hunter2" not in str(plan.diff("x")) + str([change.as_result() for change in plan.changes])
    assert "letmein" not in str(plan.diff("x"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": ""}, "name: must not be empty"),
        ({"name": "a/../b"}, "name"),
        ({"name": "a", "memory": "12X"}, "memory: is no size"),
        ({"name": "a", "memory": 12}, "less than one page"),
        ({"name": "a", "ports": [{"host": "1"}, {"host": "1"}]}, "names 1 twice"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(StrataError) as refused:
        Machine(options)
    assert words in str(refused.value)


def test_an_export_declares_what_is_there():
    state = running({"memory": GIB, "bridge": "br0", "ports": ({"host": "80", "guest": "81"},)})
    options = Machine.export("a", state)
    assert options == {
        "name": "a",
        "memory": "1G",
        "bridge": "br0",
        "ports": [{"host": "80", "guest": "81"}],
        "state": "started",
    }
    assert not Machine(options).plan(state)


def test_tables_without_a_key_are_told_apart_by_their_place():
    codec = table(Field("x", TEXTS))
    assert Field("rows", codec).keyed(codec.parse([{"x": ["1"]}, {"x": ["1"]}])).keys() == {"0", "1"}


class Choosing(Machine):
    """Whether something is stored is one of its options."""

    kind = "choosing"

    def keeps(self, state: State) -> bool:
        return self.declared.get("autostart") == "yes"


def test_where_nothing_is_stored_only_what_runs_is_compared():
    state = running({"memory": GIB, "bridge": "br0", "autostart": "no"})
    made = Choosing({"name": "a", "memory": "2G", "bridge": "br1", "autostart": "no"}).plan(state)
    assert made.steps == ("update",)
    assert [(change.name, change.layer) for change in made.changes] == [("memory", Layer.LIVE)]
    assert made.restart_required == ["bridge"]
    assert steps(Choosing({"name": "a", "memory": "2G", "autostart": "yes"}), state) == ("configure", "update")
    assert steps(Choosing({"name": "a", "autostart": "never"}), state) == ("configure",)
