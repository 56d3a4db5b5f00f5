# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of guests: what hosts tell, and the hosts, groups and variables that it becomes."""

from __future__ import annotations

import shlex
import sys

import pytest
import yaml
from ansible import context
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader
from ansible.utils.context_objects import CLIArgs
from ansible.vars.manager import VariableManager

from ansible_collections.strata.virt.plugins.inventory import guests as module
from ansible_collections.strata.virt.plugins.module_utils.kinds.registry import GUESTS, KINDS

HOSTS = {
    "all": {
        "vars": {"domain": "example.org", "ansible_user": "admin"},
        "hosts": {
            "host1": {"ansible_host": "host1.{{ domain }}", "ansible_port": 2222, "ansible_become": True},
            "host2": {"ansible_connection": "local"},
            "shop": {"ansible_connection": "strata.virt.guest", "strata_guest": "shop"},
        },
    }
}
WEB = {
    "engine": "docker",
    "guest": "web",
    "state": "running",
    "owner": "demo",
    "addresses": ["172.17.0.2"],
    "networks": ["front-end"],
    "labels": {"tier": "front", "com.example.made": "today"},
}
VM = {**WEB, "engine": "libvirt", "guest": "vm1", "owner": None, "addresses": ["192.0.2.9"], "labels": {}}


@pytest.fixture
def asked(monkeypatch):
    """The hosts that were asked, and what they tell."""
    told = {"hosts": [], "answers": {"host1": [WEB, VM], "host2": [{**WEB, "state": "stopped"}]}}

    def ask(self, hosts, _variables):
        told["hosts"].append(sorted(hosts))
        return told["answers"]

    monkeypatch.setattr(_loaded(), "_ask", ask)
    return told


def _loaded():
    """The class as the loader has it, which is another one than is imported by name."""
    return type(inventory_loader.get("strata.virt.guests"))


def read(tmp_path, hosts=None, **options):
    """The inventory of both files, as a command line names them."""
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(HOSTS if hosts is None else hosts))
    (tmp_path / "guests.yml").write_text(yaml.safe_dump({"plugin": "strata.virt.guests", **options}))
    loader = DataLoader()
    manager = InventoryManager(loader, [str(tmp_path / "hosts.yml"), str(tmp_path / "guests.yml")])
    return manager, VariableManager(loader, manager)


def variables(made, name):
    manager, all_of_them = made
    return all_of_them.get_vars(host=manager.get_host(name))


def test_it_asks_for_the_engines_that_there_are():
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert options["engines"]["choices"] == list(GUESTS)
    assert set(GUESTS.values()) <= set(KINDS)


def test_guests_are_hosts_in_groups(tmp_path, asked):
    manager, _variables = read(tmp_path, keyed_groups=[{"key": "strata_engine", "prefix": "of"}])
    assert asked["hosts"] == [["host1", "host2"]], "a guest is no host to be asked"
    groups = {name: sorted(found) for name, found in manager.get_groups_dict().items()}
    assert groups["strata_guests"] == ["vm1.libvirt.host1", "web.docker.host1", "web.docker.host2"]
    assert groups["strata_engine_docker"] == groups["of_docker"] == ["web.docker.host1", "web.docker.host2"]
    assert groups["strata_host_host1"] == ["vm1.libvirt.host1", "web.docker.host1"]
    assert groups["strata_state_stopped"] == ["web.docker.host2"]
    assert groups["strata_owner_demo"] == groups["strata_label_tier_front"] == ["web.docker.host1", "web.docker.host2"]
    assert groups["strata_network_front_end"] == groups["strata_guests"]
    assert not [name for name in groups if "example" in name]


def test_hosts_of_a_group_that_nobody_put_below_all_are_asked(tmp_path, asked):
    manager, _variables = read(tmp_path, hosts={"lab": {"hosts": {"host1": {}}}})
    assert asked["hosts"] == [["host1"]]
    assert sorted(manager.get_groups_dict()["strata_host_host1"]) == ["vm1.libvirt.host1", "web.docker.host1"]


def test_a_guest_is_reached_as_its_host_is(tmp_path, asked):
    made = read(tmp_path)
    web = variables(made, "web.docker.host1")
    assert (web["ansible_connection"], web["ansible_host"]) == ("strata.virt.guest", "host1.example.org")
    assert (web["ansible_user"], web["ansible_port"]) == ("admin", 2222)
    assert (web["strata_engine"], web["strata_guest"], web["strata_host"]) == ("docker", "web", "host1")
    assert (web["strata_transport"], web["strata_host_become"]) == ("ssh", "sudo -n")
    assert web["strata_addresses"] == ["172.17.0.2"]
    other = variables(made, "web.docker.host2")
    assert (other["strata_transport"], other["strata_host_become"]) == ("local", "")
    assert variables(read(tmp_path, become=True), "web.docker.host2")["strata_host_become"] == "sudo -n"


def test_a_virtual_machine_is_reached_through_its_host(tmp_path, asked):
    vm = variables(read(tmp_path), "vm1.libvirt.host1")
    assert (vm["ansible_connection"], vm["ansible_host"]) == ("ssh", "192.0.2.9")
    option, jump = shlex.split(vm["ansible_ssh_common_args"])
    assert option == "-o"
    command = shlex.split(jump.removeprefix("ProxyCommand="))
    assert command == ["ssh", "-W", "[%h]:%p", "-p", "2222", "admin@host1.example.org"]
    asked["answers"] = {"host2": [VM], "host1": [{**VM, "addresses": []}]}
    made = read(tmp_path)
    assert "ansible_ssh_common_args" not in variables(made, "vm1.libvirt.host2")
    assert "ansible_host" not in variables(made, "vm1.libvirt.host1"), "nobody knows its address"


def test_filters_and_composed_variables(tmp_path, asked):
    filters = ["strata_state == 'running'", "'front' in strata_labels.values()"]
    made = read(
        tmp_path,
        filters=filters,
        compose={"first": "strata_addresses | first"},
        groups={"ours": "strata_owner == 'demo'"},
    )
    assert sorted(made[0].get_groups_dict()["strata_guests"]) == ["web.docker.host1"]
    assert variables(made, "web.docker.host1")["first"] == "172.17.0.2"
    assert made[0].get_groups_dict()["ours"] == ["web.docker.host1"]


def test_what_was_told_is_kept(tmp_path, asked):
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(tmp_path / "cache")}
    for _time in range(2):
        made = read(tmp_path, **cache)
        assert len(made[0].get_groups_dict()["strata_guests"]) == 3
    assert len(asked["hosts"]) == 1


def test_who_gives_no_answer_is_warned_about(tmp_path, monkeypatch):
    warnings: list[str] = []
    plugin = module.InventoryModule()
    monkeypatch.setattr(plugin.display, "warning", warnings.append)
    monkeypatch.setattr(plugin, "get_option", {"engines": ["docker"]}.get)
    answers = {
        "host1": {"guests": [WEB], "unread": {"docker": "not running", "lxc": "not installed"}},
        "host2": {"msg": "no route to host", "unreachable": True},
    }
    assert list(plugin._told({"host1": {}, "host2": {}, "host3": {}}, answers)) == [("host1", [WEB])]
    assert warnings == [
        "the guests of docker on host1 are not known: not running",
        "host2 could not be asked for its guests: no route to host",
        "host3 could not be asked for its guests: it gave no answer",
    ]


def test_a_play_asks(tmp_path, monkeypatch):
    """A real module on this host, for no engine at all: what it answers doesn't depend on what there is."""
    of_tasks = CLIArgs({"tags": ("work",), "skip_tags": ("always",), "start_at_task": "Second"})
    monkeypatch.setattr(context, "CLIARGS", of_tasks)
    answers: dict = {}
    monkeypatch.setattr(_loaded(), "_told", lambda _self, _hosts, told: answers.update(told) or iter(()))
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"here": here}}}))
    (tmp_path / "guests.yml").write_text("{plugin: strata.virt.guests, engines: []}")
    InventoryManager(DataLoader(), [str(tmp_path / "hosts.yml"), str(tmp_path / "guests.yml")])
    assert (answers["here"]["guests"], answers["here"]["unread"]) == ([], {})
    assert context.CLIARGS is of_tasks
