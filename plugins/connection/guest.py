# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: guest
short_description: Into guests of any engine, through the host that carries them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Runs tasks in a chroot, a set of pinned namespaces, a network namespace, the namespaces of a process, a machine of
    systemd-nspawn, a container of LXC, Docker or Podman, or a virtual machine with a guest agent.
  - The host is reached as P(ansible.builtin.ssh#connection) reaches it, with its keys, its retries and its shared
    connections, or is the controller itself. The guest needs no sshd and no network. What enters it is the host's own
    C(nsenter), C(lxc-attach), C(docker exec) and so on.
  - Raw commands need a C(/bin/sh) in the guest, and copying files C(cat), C(tail) and C(head).
    Modules need Python in it.
  - A guest that isn't there or doesn't run is unreachable, and the tasks of the others go on.
extends_documentation_fragment:
  - strata.virt.over_ssh
  - connection_pipelining
options:
  host:
    description: The host that carries the guest, by name or address. Not used where O(transport=local).
  host_user:
    description:
      - Who logs in to the host. Without it C(ssh) chooses.
      - Who then runs the tasks in the guest is said by O(remote_user).
  remote_user:
    description:
      - The user of the guest who runs the tasks, before any C(become).
      - For O(engine=netns), and where a set of namespaces has no mount namespace, users are those of the host.
      - For Docker and Podman, this may be a number, with or without a group, such as V(1000:1000).
    type: str
    default: root
    vars:
      - name: strata_user
  guest:
    description:
      - The guest, as its engine knows it. A name; the absolute path of a tree to chroot to; the number of a process.
      - It isn't taken from the name in the inventory, which is that of another host where a task has C(delegate_to).
    type: str
    required: true
    vars:
      - name: strata_guest
  engine:
    description: What the guest is.
    type: str
    default: auto
    choices:
      auto: asks the host, once for each task; it is an error where several engines have a guest of that name
      chroot: a tree, entered by C(chroot)
      process: whatever a process is in, all its namespaces, its root and its cgroup
      namespace: a set of M(strata.virt.namespace)
      netns: a network namespace of M(strata.virt.netns) or C(ip netns), with the files of the host
      nspawn: a machine that C(machinectl) lists
      lxc: a container of LXC
      docker: a container of Docker
      podman: a container of Podman, of the user that O(host_user) and O(host_become) lead to
      libvirt: a virtual machine, entered by its guest agent (qemu-ga), with the host's C(python3-libvirt)
    vars:
      - name: strata_engine
  transport:
    description: How the host is reached.
    type: str
    default: ssh
    choices:
      ssh: as P(ansible.builtin.ssh#connection) does
      local: it is the controller
    vars:
      - name: strata_transport
  host_become:
    description:
      - The command on the host that becomes who may enter guests, and that must not ask for a password.
      - The keyword C(become) is about users of the guest, and is left to it.
    type: str
    default: ''
    vars:
      - name: strata_host_become
notes:
  - Nothing is written through paths of the host that a guest controls. Files go through a program of the guest.
  - Commands have no terminal, and the standard output and the standard error stay apart. Those that read their
    input find its end.
  - The environment in a guest is that of the engine, or E(PATH) and E(HOME) alone. Nothing comes from the host.
  - Commands in a machine of systemd-nspawn and beside a process run in its cgroup, within its limits, and with no more
    than its capabilities and the five that entering needs. No seccomp filter and no profile of a security module can be
    taken over. What a hostile guest of nspawn has as its shell can do as much as a privileged process of it, so give
    those that you don't trust a user namespace.
  - What runs in a virtual machine is heard of when it has ended, may write 2 MiB at most, and can't be given a password
    by C(become). Where the machine has an sshd and a network, P(ansible.builtin.ssh#connection) is quicker.
seealso:
  - plugin: ansible.builtin.ssh
    plugin_type: connection
  - module: strata.virt.chroot
  - module: strata.virt.namespace
  - module: strata.virt.nspawn_container
  - module: strata.virt.lxc_container
  - module: strata.virt.docker_container
"""

EXAMPLES = r"""
- name: An inventory of guests on two hosts
  all:
    vars:
      ansible_connection: strata.virt.guest
      ansible_user: admin
      strata_host_become: sudo -n
    hosts:
      build:
        ansible_host: host1.example.org
        strata_engine: nspawn
        strata_guest: build
      shop:
        ansible_host: host1.example.org
        strata_engine: docker
        strata_guest: shop
        strata_user: www-data
      jail:
        ansible_host: host2.example.org
        strata_engine: chroot
        strata_guest: /srv/jail

- name: No Python is needed for this
  ansible.builtin.raw: cat /etc/os-release

- name: Modules run as everywhere else
  ansible.builtin.copy:
    content: hello
    dest: /etc/motd

- name: The guest's own users, by the guest's own sudo or su
  ansible.builtin.command: id
  become: true
  become_user: www-data
  become_method: ansible.builtin.su
"""

import os
import shlex
import uuid
from typing import Any, NoReturn

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection.ssh import Connection as SshConnection
from ansible.plugins.loader import connection_loader

from ansible_collections.strata.virt.plugins.module_utils.engines import entering

_CHUNK = 8 << 20  # bytes; core's loop copies all that it has for each 64 KiB that come, and prints it at -vvv
_SAID = 3  # lines


class Connection(SshConnection):
    """Core's ssh connection, or its local one, with each command wrapped into one that enters the guest."""

    transport = "strata.virt.guest"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._token = f"strata-{uuid.uuid4().hex}"
        self._found: str | None = None

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        # With a terminal (ssh -tt), lxc-attach makes another one, and output and errors are one.
        self._options["use_tty"] = False
        try:
            entering.check(self.get_option("guest"), self.get_option("remote_user"))
        except ValueError as error:
            raise AnsibleError(str(error)) from None

    # Commands.

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command in the guest.

        Raises:
            AnsibleConnectionFailure: The host can't be reached, or the guest can't be entered.
        """
        engine = self._engine()
        asks = bool(sudoable and self.become and self.become.expect_prompt())
        if asks and not entering.WAYS[engine].talks:
            raise AnsibleError(
                f"{engine} runs a command without a word from outside: become can't give it a password. "
                "Let it go without one, or use ansible_connection: ssh"
            )
        # Core 2.18 doesn't see su(1) ask for a password where its local connection read something before that. There it
        # is an error, too, when nothing asks.
        marks = not (asks and self._is_local())
        try:
            done = self._enter(engine, cmd, in_data, sudoable, reads=bool(in_data) or asks, marks=marks)
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:  # waiting for a become of the guest: was it in vain, or the password wrong?
            told = entering.unmarked(self._token, str(error))
            if not self._enter(engine, ":", reads=False).entered:
                self._unreachable(engine, told)
            raise type(error)(told) from None
        if done.gone or (marks and not done.entered):
            self._unreachable(engine, done.stderr.decode(errors="replace"))
        return done.status, done.stdout, done.stderr

    def _enter(
        self, engine: str, cmd: str, in_data: bytes | None = None, sudoable: bool = False, **how: bool
    ) -> entering.Outcome:
        guest, user = self.get_option("guest"), self.get_option("remote_user")
        argv = entering.entering(engine, guest, user, self._token, cmd, **how)
        return entering.outcome(self._token, *self._on_host(argv, in_data, sudoable))

    def _on_host(self, argv: list[str], in_data: bytes | None, sudoable: bool) -> tuple[int, bytes, bytes]:
        line = entering.on_host(self.get_option("host_become"), argv)
        run = self._local().exec_command if self._is_local() else super().exec_command
        done: tuple[int, bytes, bytes] = run(line, in_data=in_data, sudoable=sudoable)
        return done

    def _is_local(self) -> bool:
        return bool(self.get_option("transport") == "local")

    def _local(self) -> Any:
        local = connection_loader.get("ansible.builtin.local", self._play_context, shell=self._shell)
        # Pipelining, so that the password isn't given through a terminal.
        local.set_options(direct={"pipelining": True})
        local.set_become_plugin(self.become)
        return local._connect()

    def _build_command(self, *args: Any) -> Any:
        """Core's command line of ssh, which logs in as the host's user."""
        user = self._options["remote_user"]
        self._options["remote_user"] = self.get_option("host_user")
        try:
            return super()._build_command(*args)
        finally:
            self._options["remote_user"] = user

    # Guests.

    def _engine(self) -> str:
        if self._found is None:
            engine = self.get_option("engine")
            self._found = self._find() if engine == "auto" else str(engine)
        return self._found

    def _find(self) -> str:
        states = self._states(entering.WAYS)
        shown = f"{self.get_option('guest')!r} on {self._host()}"
        if not states:
            raise AnsibleConnectionFailure(
                f"there is no guest {shown} that this user sees. "
                "Name it by strata_guest, and if it takes root to see it, set strata_host_become to sudo -n"
            )
        if len(states) > 1:
            told = ", ".join(f"{engine} ({state})" for engine, state in states.items())
            raise AnsibleConnectionFailure(
                f"there are several guests {shown}: {told}. Set strata_engine to one of them"
            )
        return next(iter(states))

    def _states(self, engines: Any) -> dict[str, str]:
        """How the guest is, by each of some engines that has one of that name."""
        status, stdout, stderr = self._on_host(entering.asking(engines, self.get_option("guest")), None, False)
        if status:  # the script itself never fails
            raise AnsibleConnectionFailure(
                f"{self._host()} can't be asked for guests as {self.get_option('host_become') or 'this user'!r}: "
                f"{stderr.decode(errors='replace').strip()}"
            )
        return entering.states(stdout.decode(errors="replace"))

    def _unreachable(self, engine: str, stderr: str) -> NoReturn:
        state = self._states((engine,)).get(engine)
        said = "; ".join([line.strip() for line in stderr.splitlines() if line.strip()][-_SAID:])
        raise AnsibleConnectionFailure(
            f"the {engine} guest {self.get_option('guest')!r} on {self._host()} can't be entered. "
            f"{f'It is {state}' if state else 'There is none that this user sees'}{f': {said}' if said else ''}"
        )

    def _host(self) -> str:
        return "this controller" if self._is_local() else str(self.get_option("host"))

    # Files.

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file into the guest, through its own cat: a path in it means what it means in the guest."""
        if not os.path.exists(in_path):
            raise AnsibleFileNotFound(f"file or module does not exist: {in_path}")
        with open(in_path, "rb") as file:
            status, _stdout, stderr = self.exec_command(f"cat >{shlex.quote(out_path)}", file.read(), sudoable=False)
        if status:
            raise AnsibleError(f"failed to copy {in_path} to {out_path}: {stderr.decode(errors='replace').strip()}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file out of the guest, a chunk at a time."""
        size = min(_CHUNK, entering.WAYS[self._engine()].most or _CHUNK)
        with open(out_path, "wb") as file:
            while True:
                chunk = self._chunk(in_path, file.tell(), size)
                file.write(chunk)
                if len(chunk) < size:
                    return

    def _chunk(self, path: str, start: int, size: int) -> bytes:
        # Not dd(1), whose blocks are short where the kernel hands out less at a time, as in /proc.
        status, stdout, stderr = self.exec_command(
            f"exec <{shlex.quote(path)} || exit; tail -c +{start + 1} | head -c {size}", sudoable=False
        )
        if status:
            raise AnsibleError(f"failed to fetch {path}: {stderr.decode(errors='replace').strip()}")
        return stdout

    def reset(self) -> None:
        self._found = None
        if not self._is_local():
            super().reset()
