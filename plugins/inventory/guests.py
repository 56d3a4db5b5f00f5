# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: guests
short_description: The guests of the hosts in the other inventories
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Asks the hosts that the inventories before this one have for their guests, by M(strata.virt.guests_info), in
    parallel and each over its own connection. Every guest becomes a host, that P(strata.virt.guest#connection) enters
    through the host which carries it.
  - Virtual machines are reached by C(ssh), with the host that carries them in between, once their address is known.
  - The name of a guest in the inventory is C(GUEST.ENGINE.HOST), as in V(web.docker.host1). It is in the groups
    C(strata_guests), C(strata_engine_ENGINE), C(strata_host_HOST), C(strata_state_STATE), C(strata_network_NETWORK),
    C(strata_label_KEY_VALUE) for labels without a dot in their names, and C(strata_owner_STACK).
  - A host that can't be asked is warned about, and has no guests; those of the others are there.
options:
  plugin:
    description: What this file is for.
    required: true
    choices: [strata.virt.guests]
  engines:
    description: The engines to ask. All where it is not given.
    type: list
    elements: str
    choices: [nspawn, lxc, docker, podman, libvirt]
  hosts:
    description: Which hosts are asked, as a pattern. Guests themselves never are.
    type: str
    default: all
  filters:
    description: Conditions that a guest has to meet, all of them, as V(strata_state == 'running').
    type: list
    elements: str
    default: []
  become:
    description:
      - Whether the hosts are asked, and guests are entered, as root, by the hosts' own C(sudo), without a password.
      - Where it is not given, that is as C(ansible_become) of each host says.
    type: bool
  forks:
    description: How many hosts are asked at a time. As many as Ansible's own setting says, where it is not given.
    type: int
extends_documentation_fragment:
  - constructed
  - inventory_cache
notes:
  - The file's name ends with C(guests.yml) or C(guests.yaml), and it comes after the inventories with the hosts.
  - Passwords that are asked for on the command line aren't known to inventories. Use keys, or variables in a vault.
seealso:
  - plugin: strata.virt.guest
    plugin_type: connection
  - module: strata.virt.guests_info
"""

EXAMPLES = r"""
# guests.yml, used as: ansible-playbook -i hosts.yml -i guests.yml site.yml
plugin: strata.virt.guests
engines: [nspawn, lxc, docker, podman, libvirt]
keyed_groups: [{key: strata_engine}]
---
# Only what runs and belongs to the stack web, asked for once an hour.
plugin: strata.virt.guests
hosts: production
filters:
  - strata_state == 'running'
  - strata_owner == 'web'
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/ansible/guests
cache_timeout: 3600
"""

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.executor.task_queue_manager import TaskQueueManager
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.play import Play
from ansible.plugins.callback import CallbackBase
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.plugins.loader import connection_loader
from ansible.utils.context_objects import CLIArgs
from ansible.vars.manager import VariableManager

MODULE = "strata.virt.guests_info"
CONNECTION = "strata.virt.guest"

# What says how a host is logged in to, and so how its guests are reached through it.
_LOGIN = ("ansible_user", "ansible_port", "ansible_password", "ansible_private_key_file", "ansible_pipelining")
_OF_SSH = ("ansible_ssh_", "ansible_sftp_", "ansible_scp_", "ansible_control_path")
_OF_TASKS = ("tags", "skip_tags", "start_at_task", "step")
_LOCAL = ("local", "ansible.builtin.local")


class _Answers(CallbackBase):
    """Keeps how the task ended on each host."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "strata.virt.guests"

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, Mapping[str, Any]] = {}

    def v2_runner_on_ok(self, result: Any) -> None:
        """Keep what it returned."""
        if hasattr(result, "host"):  # newer versions of ansible-core; 2.18 has it under another name
            self.told[result.host.get_name()] = result.result
        else:
            self.told[result._host.get_name()] = result._result

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Keep what is wrong. The second parameter is Ansible's own: nothing is ignored here."""
        self.v2_runner_on_ok(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Keep what is wrong."""
        self.v2_runner_on_ok(result)


class _Questions(TaskQueueManager):
    """A play that prints nothing, whatever callbacks are configured: an inventory says nothing but its warnings."""

    def load_callbacks(self) -> None:
        """Let one listen that keeps the answers."""
        self.answers = _Answers()
        if hasattr(self.answers, "_init_callback_methods"):  # what the loader of plugins does in newer versions
            self.answers._init_callback_methods()
        if hasattr(self, "_stdout_callback"):  # 2.18 keeps that one apart
            self._stdout_callback = self.answers
        else:
            self._callback_plugins = [self.answers]


@contextlib.contextmanager
def _whatever_tasks_are_wanted() -> Iterator[None]:
    """Which tasks of a playbook are wanted is said of them, and every play takes it for its own (playbook/play.py)."""
    given = context.CLIARGS
    context.CLIARGS = CLIArgs({word: value for word, value in given.items() if word not in _OF_TASKS})
    try:
        yield
    finally:
        context.CLIARGS = given


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Hosts are asked by a play of one task; what they tell becomes hosts, groups and variables."""

    NAME = "strata.virt.guests"

    def verify_file(self, path: str) -> bool:
        """Whether a file may be one for this plugin."""
        return bool(super().verify_file(path)) and path.endswith(("guests.yml", "guests.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the guests of the hosts that are there already."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        # Tasks run in forks of this process. What each would read for itself, and that takes longer than a command in a
        # guest, is read here: Ansible does so with the connections of its own alone (executor/playbook_executor.py).
        connection_loader.get(CONNECTION, class_only=True)
        key, uses = self.get_cache_key(path), self.get_option("cache")
        hosts, variables = self._hosts()
        told = self._cache.get(key) if uses and cache else None
        if told is None:
            told = self._ask(hosts, variables)
            if uses:
                self._cache[key] = told
        for name, guests in sorted(told.items()):
            if name in hosts:
                for guest in guests:
                    self._add(guest, name, hosts[name])

    # Hosts.

    def _manager(self) -> InventoryManager:
        manager = InventoryManager(self.loader, sources=list(context.CLIARGS.get("inventory") or ()), parse=False)
        manager._inventory = self.inventory  # what the inventories before this one have said so far
        return manager

    def _hosts(self) -> tuple[dict[str, dict[str, Any]], VariableManager]:
        """The hosts to ask, each with its variables."""
        self.inventory.reconcile_inventory()  # Ansible does after the last source: until then, all isn't all there is
        manager = self._manager()
        variables = VariableManager(loader=self.loader, inventory=manager)
        asked = manager.get_hosts(self.get_option("hosts"), ignore_limits=True, ignore_restrictions=True)
        found = {host.get_name(): variables.get_vars(host=host) for host in asked}
        guests = {name for name, known in found.items() if "strata_guest" in known}
        return {name: known for name, known in found.items() if name not in guests}, variables

    def _ask(self, hosts: Mapping[str, Any], variables: VariableManager) -> dict[str, list[dict[str, Any]]]:
        if not hosts:
            return {}
        engines = self.get_option("engines")
        task = {"name": "Guests", MODULE: {} if engines is None else {"engines": engines}}
        # Not every program of Ansible's has the option: the variable of a host goes before it, as ever.
        connection = context.CLIARGS.get("connection") or C.DEFAULT_TRANSPORT
        book = {
            "name": "Guests",
            "hosts": list(hosts),
            "gather_facts": False,
            "tasks": [task],
            "connection": connection,
        }
        if self.get_option("become") is not None:
            book["become"] = self.get_option("become")
        manager = variables._inventory
        forks = self.get_option("forks") or context.CLIARGS.get("forks") or C.DEFAULT_FORKS
        with _whatever_tasks_are_wanted():
            play = Play().load(book, variable_manager=variables, loader=self.loader)
            questions = _Questions(manager, variables, self.loader, {}, run_additional_callbacks=False, forks=forks)
            try:
                questions.run(play)
            finally:
                questions.cleanup()
        return dict(self._told(hosts, questions.answers.told))

    def _told(
        self, hosts: Mapping[str, Any], answers: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        for name in hosts:
            answer = answers.get(name, {"msg": "it gave no answer"})
            if "guests" not in answer:
                self.display.warning(f"{name} could not be asked for its guests: {answer.get('msg')}")
                continue
            asked = self.get_option("engines") or ()
            for engine, reason in answer.get("unread", {}).items():
                if engine in asked:
                    self.display.warning(f"the guests of {engine} on {name} are not known: {reason}")
            yield name, answer["guests"]

    # Guests.

    def _add(self, guest: Mapping[str, Any], host: str, known: Mapping[str, Any]) -> None:
        name = f"{guest['guest']}.{guest['engine']}.{host}"
        facts = {f"strata_{key}": value for key, value in guest.items()} | {"strata_host": host}
        strict = self.get_option("strict")
        if not all(boolean(self._compose(word, facts), strict=False) for word in self.get_option("filters")):
            return
        self.inventory.add_host(name)
        for variable, value in {**facts, **self._way(guest, host, known)}.items():
            self.inventory.set_variable(name, variable, value)
        for group in ("strata_guests", *self._groups(guest, host)):
            self.inventory.add_child(self.inventory.add_group(self._sanitize_group_name(group)), name)
        self._set_composite_vars(self.get_option("compose"), facts, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), facts, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), facts, name, strict=strict)

    @staticmethod
    def _groups(guest: Mapping[str, Any], host: str) -> Iterator[str]:
        yield f"strata_engine_{guest['engine']}"
        yield f"strata_host_{host}"
        yield f"strata_state_{guest['state']}"
        for network in guest["networks"]:
            yield f"strata_network_{network}"
        for key, value in guest["labels"].items():
            if "." not in key:  # what programs keep for themselves is in names like those of their makers' domains
                yield f"strata_label_{key}_{value}"
        if guest["owner"]:
            yield f"strata_owner_{guest['owner']}"

    def _way(self, guest: Mapping[str, Any], host: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """The variables by which a guest is reached through its host."""
        self.templar.available_variables = known
        login = {
            variable: self.templar.template(value)
            for variable, value in known.items()
            if variable in _LOGIN or variable.startswith(_OF_SSH)
        }
        address = str(self.templar.template(known.get("ansible_host", host)))
        local = self.templar.template(known.get("ansible_connection", "")) in _LOCAL
        if guest["engine"] == "libvirt":
            return _by_ssh(guest, address, login, local)
        become = self.get_option("become")
        if become is None:
            become = boolean(self.templar.template(known.get("ansible_become", False)), strict=False)
        return {
            **login,
            "ansible_connection": CONNECTION,
            "ansible_host": address,
            "strata_transport": "local" if local else "ssh",
            "strata_host_become": "sudo -n" if become else "",
        }


def _by_ssh(guest: Mapping[str, Any], address: str, login: Mapping[str, Any], local: bool) -> dict[str, Any]:
    """How a virtual machine is reached: with the login of its own that somebody gives it, through its host."""
    way = {"ansible_connection": "ssh", **({"ansible_host": guest["addresses"][0]} if guest["addresses"] else {})}
    if local:
        return way
    argv = ["ssh", "-W", "[%h]:%p", *shlex.split(str(login.get("ansible_ssh_common_args", "")))]
    for option, variable in (("-p", "ansible_port"), ("-i", "ansible_ssh_private_key_file")):
        argv += [option, str(login[variable])] if variable in login else []
    user = f"{login['ansible_user']}@" if "ansible_user" in login else ""
    jump = shlex.join([*argv, f"{user}{address}"])
    return {**way, "ansible_ssh_common_args": f"-o ProxyCommand={shlex.quote(jump)}"}
