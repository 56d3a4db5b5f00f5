# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection into guests, with a host that answers from a script: what core's connections are asked to run."""

from __future__ import annotations

import shlex

import pytest
import yaml
from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.playbook.play_context import PlayContext
from ansible.plugins.connection import ssh
from ansible.plugins.loader import become_loader, connection_loader

from ansible_collections.strata.virt.plugins.connection import guest as module
from ansible_collections.strata.virt.plugins.module_utils.engines import entering

VARIABLES = {
    "inventory_hostname": "shop",
    "ansible_host": "host1.example.org",
    "ansible_user": "admin",
    "strata_guest": "shop",
    "strata_engine": "docker",
}


class Host:
    """What the connection had run on its host, and the answers: status, output, errors."""

    def __init__(self) -> None:
        self.answers: list = []
        self.lines: list[list[str]] = []
        self.inputs: list = []

    def run(self, line, in_data=None, sudoable=True):
        self.lines.append(shlex.split(line))
        self.inputs.append(in_data)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def host(monkeypatch):
    made = Host()
    monkeypatch.setattr(ssh.Connection, "exec_command", lambda self, cmd, **options: made.run(cmd, **options))
    local = type(connection_loader.get("ansible.builtin.local", PlayContext()))  # another one than is imported by name
    monkeypatch.setattr(local, "exec_command", lambda self, cmd, **options: made.run(cmd, **options))
    return made


def connection(**variables):
    made = connection_loader.get("strata.virt.guest", PlayContext())
    made.set_options(var_options={**VARIABLES, **variables})
    return made


def entered(made, status=0, stdout=b"", stderr=b""):
    mark = f"{made._token} in\n".encode()
    return status, mark + stdout, mark + stderr


def test_choices_are_those_of_the_table():
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert tuple(options["engine"]["choices"]) == ("auto", *entering.ENGINES)


def test_options_of_ssh_are_cores_own():
    made = connection(ansible_ssh_retries="4", ansible_ssh_common_args="-o X=y")
    assert made.get_option("reconnection_retries") == 4
    command = [word.decode() for word in made._build_command("ssh", "ssh", made.get_option("host"), "true")]
    assert command[-2:] == ["host1.example.org", "true"]
    assert 'User="admin"' in command
    assert "X=y" in command


def test_tasks_run_as_somebody_of_the_guest():
    assert connection().get_option("remote_user") == "root"
    assert connection(strata_user="app").get_option("remote_user") == "app"
    nobody = connection(ansible_user=None)
    assert not any(b"User=" in word for word in nobody._build_command("ssh", "ssh", "h"))


@pytest.mark.parametrize("transport", ["ssh", "local"])
def test_a_command_is_wrapped_for_either_transport(host, transport):
    made = connection(strata_transport=transport, strata_host_become="sudo -n")
    host.answers = [entered(made, 3, b"out", b"err")]
    assert made.exec_command("id") == (3, b"out", b"err")
    (line,) = host.lines
    assert line == ["sudo", "-n", *entering.entering("docker", "shop", "root", made._token, "id", reads=False)]


def test_no_terminal_is_asked_for():
    assert connection(ansible_ssh_use_tty="yes").get_option("use_tty") is False


@pytest.mark.parametrize("variables", [{"strata_guest": "a/b"}, {"strata_user": "a b"}])
def test_bad_names_are_refused_before_anything_runs(host, variables):
    with pytest.raises(AnsibleError, match=r"names no guest|no user's name"):
        connection(**variables)
    assert host.lines == []


def test_a_guest_has_to_be_named():
    with pytest.raises(AnsibleError, match="guest"):
        connection(strata_guest=None)


def test_a_guest_that_does_not_run_is_unreachable(host):
    made = connection()
    host.answers = [(1, b"", b"Error: container is not running\n"), (0, b"docker exited\n", b"")]
    with pytest.raises(AnsibleConnectionFailure) as caught:
        made.exec_command("id")
    assert "the docker guest 'shop' on host1.example.org can't be entered" in str(caught.value)
    assert "It is exited: Error: container is not running" in str(caught.value)


def test_a_guest_that_stops_meanwhile_is_unreachable(host):
    made = connection(strata_transport="local")
    status, stdout, stderr = entered(made, 137)
    host.answers = [(status, stdout, stderr + f"{made._token} gone\n".encode()), (0, b"", b"")]
    with pytest.raises(AnsibleConnectionFailure, match=r"on this controller can't be entered. There is none"):
        made.exec_command("id")


@pytest.mark.parametrize("there", [True, False])
def test_a_become_that_fails_is_no_fault_of_the_guest(host, there):
    made = connection()
    host.answers = [AnsibleError("Incorrect su password"), entered(made) if there else (1, b"", b""), (0, b"", b"")]
    with pytest.raises(AnsibleError) as caught:
        made.exec_command("id")
    assert isinstance(caught.value, AnsibleConnectionFailure) is not there


def test_what_core_says_of_a_become_is_without_our_marks(host):
    made = connection()
    host.answers = [AnsibleError(f"Premature end\n{made._token} in\nsh: sudo: not found"), entered(made)]
    with pytest.raises(AnsibleError, match=r"^Premature end\nsh: sudo: not found$"):
        made.exec_command("id")


def test_a_host_that_cannot_be_reached_is_what_core_says(host):
    host.answers = [AnsibleConnectionFailure("no route")]
    with pytest.raises(AnsibleConnectionFailure, match=r"^no route$"):
        connection().exec_command("id")
    assert len(host.lines) == 1


@pytest.mark.parametrize(("in_data", "password", "reads"), [(None, None, ""), (b"x", None, "1"), (None, "secret", "1")])
def test_input_is_left_open_for_data_and_for_passwords(host, in_data, password, reads):
    made = connection()
    become = become_loader.get("ansible.builtin.su")
    become.set_options(direct={"become_pass": password})
    become.build_become_command("id", made._shell)
    made.set_become_plugin(become)
    host.answers = [entered(made)]
    made.exec_command("id", in_data=in_data)
    assert host.lines[0][7] == reads


# Which engine it is.


def test_an_engine_that_is_not_given_is_asked_for_once(host):
    made = connection(strata_engine="auto")
    host.answers = [(0, b"lxc running\n", b""), entered(made), entered(made)]
    made.exec_command("id")
    made.exec_command("id")
    asked, first, second = host.lines
    assert asked == entering.asking(entering.WAYS, "shop")
    assert "lxc-attach" in first[2]
    assert first[:3] == second[:3]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (b"", "there is no guest 'shop' on host1.example.org .* sudo -n"),
        (b"lxc stopped\ndocker running\n", r"several guests .* lxc \(stopped\), docker \(running\)"),
    ],
)
def test_an_engine_that_is_not_found(host, told, message):
    host.answers = [(0, told, b"")]
    with pytest.raises(AnsibleConnectionFailure, match=message):
        connection(strata_engine="auto").exec_command("id")


def test_a_machine_is_given_no_password_and_fetched_from_in_what_its_agent_carries(host, tmp_path):
    made = connection(strata_engine="libvirt")
    host.answers = [entered(made, 0, b"x" * (2 << 20)), entered(made, 0, b"y")]
    made.fetch_file("/var/log/big", str(tmp_path / "big"))
    assert (tmp_path / "big").stat().st_size == (2 << 20) + 1
    assert f"head -c {2 << 20}" in host.lines[0][-1]
    made.set_become_plugin(become_loader.get("sudo"))
    made.become.set_options(direct={"become_pass": "x"})
    made.become.build_become_command("id", made._shell)
    with pytest.raises(AnsibleError, match="become can't give it a password"):
        made.exec_command("id")


def test_a_host_that_does_not_let_in_says_so(host):
    made = connection(strata_host_become="sudo -n")
    host.answers = [(1, b"", b"sudo: a password is required\n")] * 2
    with pytest.raises(AnsibleConnectionFailure, match=r"host1\..* as 'sudo -n': sudo: a password is required"):
        made.exec_command("id")


def test_a_reset_asks_anew(host, monkeypatch):
    resets = []
    monkeypatch.setattr(ssh.Connection, "reset", lambda self: resets.append(self.host))
    for transport in ("ssh", "local"):
        made = connection(strata_engine="auto", strata_transport=transport)
        made._found = "lxc"
        made.reset()
        assert made._found is None
    assert len(resets) == 1


# Files.


def test_a_file_goes_through_cat(host, tmp_path):
    made = connection()
    (tmp_path / "file").write_bytes(b"\0\r\n")
    host.answers = [entered(made), entered(made, 1, stderr=b"read-only")]
    made.put_file(str(tmp_path / "file"), "/it's here")
    assert host.inputs == [b"\0\r\n"]
    assert host.lines[0][-1].endswith("\ncat >'/it'\"'\"'s here'")
    with pytest.raises(AnsibleError, match=r"failed to copy .* to /x: read-only"):
        made.put_file(str(tmp_path / "file"), "/x")
    with pytest.raises(AnsibleFileNotFound):
        made.put_file(str(tmp_path / "none"), "/x")


def test_a_file_comes_in_chunks(host, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 4)
    made = connection()
    host.answers = [entered(made, 0, b"\0\r\nx"), entered(made, 0, b"yz\0\0"), entered(made)]
    made.fetch_file("/a b", str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == b"\0\r\nxyz\0\0"
    assert [line[-1].partition("tail ")[2] for line in host.lines] == [f"-c +{n} | head -c 4" for n in (1, 5, 9)]


def test_a_file_that_is_not_there(host, tmp_path):
    made = connection()
    host.answers = [entered(made, 2, stderr=b"/none: No such file")]
    with pytest.raises(AnsibleError, match="failed to fetch /none: /none: No such file"):
        made.fetch_file("/none", str(tmp_path / "file"))
