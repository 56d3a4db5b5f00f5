# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts that enter guests, run by a real shell, with programs of engines that only say how they were called."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.strata.virt.plugins.module_utils.engines import entering

TOKEN = "strata-0123"
NASTY = "/srv/a 'b' \"c\" $HOME `id` \\ ; exit 3 #"
# Runs what it is told to run in the guest, as docker exec does, and notes its arguments before.
DOCKER = """#!/bin/sh
shift 3
printf '%s\\n' "$1" "$2" >"${0%/*}/called"
shift 2
exec "$@"
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def program(name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    return program


def run(argv, stdin=b""):
    return subprocess.run(argv, input=stdin, capture_output=True, check=False)


def enter(command, *, guest="web", user="root", stdin=b"", reads=False, engine="docker"):
    done = run(entering.entering(engine, guest, user, TOKEN, command, reads=reads), stdin)
    return entering.outcome(TOKEN, done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("engine", entering.WAYS)
def test_each_script_is_one_to_a_shell(engine):
    argvs = [entering.asking([engine], "web")]
    if engine in entering.ENGINES:
        argvs.append(entering.entering(engine, "web", "root", TOKEN, ":", reads=False))
    for argv in argvs:
        checked = run(["/bin/sh", "-n", "-c", argv[2]])
        assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.mark.parametrize("engine", entering.ENGINES)
def test_nothing_that_is_named_is_in_a_script(engine):
    plain = entering.entering(engine, "web", "root", TOKEN, ":", reads=False)
    nasty = entering.entering(engine, NASTY, "app", "t", "echo", reads=True)
    assert plain[:3] == nasty[:3]
    assert entering.asking([engine], NASTY)[2] == entering.asking([engine], "web")[2]


@pytest.mark.parametrize(("user", "told"), [("root", "0"), ("www-data", "www-data"), ("1000:1000", "1000:1000")])
def test_names_and_users_arrive_whole(host, tmp_path, user, told):
    host("docker", DOCKER)
    done = enter('printf %s "it\'s"; echo oops >&2; exit 7', guest=NASTY, user=user)
    assert (tmp_path / "called").read_text() == f"{told}\n{NASTY}\n"
    assert done == entering.Outcome(7, b"it's", b"oops\n", True, False)


def test_the_shell_of_the_guest_may_be_noisy(host):
    host("docker", "#!/bin/sh\nshift 5\necho garbage; echo garbage >&2; printf more\n" + 'exec "$@"\n')
    done = enter("printf 'a\\0b\\r\\n'")
    # What comes without a newline before the mark is still before it.
    assert (done.stdout, done.stderr, done.entered) == (b"a\0b\r\n", b"", True)


def test_255_is_a_status_too(host):
    host("docker", DOCKER)
    assert enter("echo no newline | tr -d '\\n' >&2; exit 255") == entering.Outcome(
        255, b"", b"no newline", True, False
    )


def test_input_is_there_or_at_its_end(host):
    host("docker", DOCKER)
    assert enter("cat", stdin=b"\0in").stdout == b""
    assert enter("cat", stdin=b"\0in", reads=True).stdout == b"\0in"


def test_no_command_is_too_bad_to_be_entered_for(host):
    host("docker", DOCKER)
    done = enter("echo 'open")
    assert done.entered
    assert done.status not in (0, 255)


def test_what_could_not_be_entered(host):
    host("docker", "#!/bin/sh\necho 'container web is not running' >&2\nexit 1\n")
    assert enter(":") == entering.Outcome(1, b"", b"container web is not running\n", False, False)


@pytest.mark.parametrize(("lasts", "gone"), [(0, True), (2, True), (9, False)])
def test_killed_with_its_guest_or_alone(host, lasts, gone):
    """A guest that is stopped can be entered for a while after its first processes were killed."""
    host("sleep", "#!/bin/sh\n")
    host(
        "docker",
        f'#!/bin/sh\necho >>"${{0%/*}}/calls"\n[ "$(wc -l <"${{0%/*}}/calls")" -le {lasts + 1} ] || exit 1\n'
        'shift 5\nexec "$@"\n',
    )
    done = enter("kill -9 $$")
    assert (done.status, done.entered, done.gone) == (137, True, gone)


def test_where_the_engine_has_no_users_the_guests_su_becomes_one():
    argv = entering.entering("nspawn", "web", "app", TOKEN, "id", reads=False)
    assert argv[8:12] == ["su", "-s", "/bin/sh", "app"]
    assert entering.entering("nspawn", "web", "root", TOKEN, "id", reads=False)[8:10] == ["/bin/sh", "-c"]


def test_capabilities_are_those_of_the_guest_and_what_entering_needs(tmp_path):
    (tmp_path / "status").write_text("Name:\tsleep\nCapBnd:\t0000020000000401\nNoNewPrivs:\t1\n")
    script = entering._CONFINE.replace("/proc/$leader/status", str(tmp_path / "status")) + 'echo "$caps" "$strict"'
    caps, strict = run(["/bin/sh", "-c", script]).stdout.decode().split()
    assert caps.split(",") == ["-all", *(f"+cap_{number}" for number in (6, 7, 18, 19, 21, 0, 10, 41))]
    assert strict == "--no-new-privs"


def test_states_are_asked_of_all_engines_at_once(host):
    host("docker", '#!/bin/sh\n[ "$5" = "my web" ] && echo Exited\n')
    host("podman", "#!/bin/sh\necho no such container >&2\nexit 125\n")
    host("lxc-info", "#!/bin/sh\necho RUNNING\n")
    done = run(entering.asking(("docker", "podman", "lxc", "netns"), "my web"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert entering.states(done.stdout.decode()) == {"docker": "exited", "lxc": "running"}


def test_what_a_login_shell_says_is_no_state():
    assert entering.states("Welcome to host1\ndocker running\n") == {"docker": "running"}


@pytest.mark.parametrize("guest", ["", "-rf", ".", "..", "a/b", "../b", "a\nb"])
def test_what_names_no_guest(guest):
    with pytest.raises(ValueError, match="names no guest"):
        entering.check(guest, "root")


@pytest.mark.parametrize("user", ["", "-u", "a b", "$(id)", "~", "a\n"])
def test_what_names_no_user(user):
    with pytest.raises(ValueError, match="no user's name"):
        entering.check("web", user)


@pytest.mark.parametrize("guest", [NASTY, "web", "12", "my web", "...", "é"])
def test_what_names_a_guest(guest):
    entering.check(guest, "www-data")


def test_the_host_may_become_somebody_else_first():
    assert entering.on_host("", ["sh", "it's"]) == "sh 'it'\"'\"'s'"
    assert entering.on_host("sudo -n -u 'a b'", ["sh"]) == "sudo -n -u 'a b' sh"


@pytest.mark.parametrize(
    ("note", "leader"),
    [
        ("LEADER=42\nSCOPE=systemd-nspawn@web.service\n", "42"),
        ("LEADER=42\nSCOPE=another.scope\n", "4711"),
        ("LEADER=42\n", "4711"),
        ("LEADER=43\nSCOPE=systemd-nspawn@web.service\n", "4711"),
        ("", "4711"),
    ],
)
def test_the_leader_of_a_machine_is_noted_or_asked_for(host, tmp_path, note, leader):
    host("machinectl", "#!/bin/sh\necho 4711\n")
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "cgroup").write_text("0::/machine.slice/systemd-nspawn@web.service/payload\n")
    (tmp_path / "web").write_text(note)
    script = entering._LEADER.replace("/run/systemd/machines", str(tmp_path)).replace("/proc", str(tmp_path))
    done = run(["/bin/sh", "-c", f'guest=web\n{script}\necho "$leader"'])
    assert (done.stdout.decode(), done.stderr) == (f"{leader}\n", b"")
