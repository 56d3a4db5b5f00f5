# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways into guests: what a host's shell runs to enter one of each engine, and to say how it is.

The scripts are constants of POSIX sh. What a user named comes to them as positional parameters, so that no shell ever
reads a name. This runs on controllers, too.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from . import agent
from .libvirt_uri import DEFAULT as LIBVIRT

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ROOT = "root"


@dataclass(frozen=True)
class Way:
    """How the guests of one engine are entered.

    Attributes:
        state: Prints the state of ``$guest``; nothing where there is none.
        enter: Runs ``"$@"`` in ``$guest``, and ends with its exit status.
        switches: Whether it becomes ``$user``, empty for root. Else the guest's own su(1) does.
        most: Bytes that a command may write; None: any number.
        talks: Whether a command can be answered what it asks while it runs.
    """

    state: str
    enter: str
    switches: bool = False
    most: int | None = None
    talks: bool = True


_CLEAN = f"exec env -i PATH={PATH}"

# A process that enters namespaces is still in the cgroup that it came from, with every capability. Here it first goes
# where the limits and the device policy of the guest hold, and keeps what the guest's own processes may have. Without a
# user namespace that is all there is between the guest's programs and the host. Added are those without which nothing
# is entered: SETGID, SETUID, SYS_CHROOT, SYS_PTRACE and SYS_ADMIN (linux/capability.h; setns(2), ptrace(2)).
_JOIN = r"""
    while IFS=: read -r number _ group; do
        [ "$number" = 0 ] && [ -e "/sys/fs/cgroup$group/cgroup.procs" ] || continue
        echo 0 >"/sys/fs/cgroup$group/cgroup.procs" || exit
    done <"/proc/$leader/cgroup" || exit
"""
_CONFINE = r"""
    caps=-all,+cap_6,+cap_7,+cap_18,+cap_19,+cap_21 strict=
    while read -r key value; do
        case $key in
        CapBnd:)
            number=0
            while [ $((0x$value >> number)) != 0 ]; do
                [ $((0x$value >> number & 1)) = 0 ] || caps=$caps,+cap_$number
                number=$((number + 1))
            done
            ;;
        NoNewPrivs:) [ "$value" = 0 ] || strict=--no-new-privs ;;
        esac
    done <"/proc/$leader/status"
"""
# What machined notes of a machine is read by systemd's own library, too (libsystemd: sd-login.c), and is there without
# asking it, which takes a program as long as all the rest. A note may be older than its machine's end, and the number
# another process's by now: that one isn't in the control group of the machine's unit. Then machined is asked.
_LEADER = r"""
    leader= unit= sure= note=/run/systemd/machines/$guest
    if [ -r "$note" ]; then
        while IFS== read -r key value; do
            case $key in LEADER) leader=$value ;; SCOPE) unit=$value ;; esac
        done <"$note"
        while IFS=: read -r _ _ group; do
            case $group/ in */"$unit"/*) sure=$unit ;; esac
        done 2>/dev/null <"/proc/${leader:-none}/cgroup"
    fi
    [ "$sure" ] || leader=$(machinectl show --property=Leader --value "$guest") || exit
"""
_NSENTER = f'{_CLEAN} setpriv --bounding-set="$caps" $strict nsenter --target "$leader" --all'

WAYS = {
    "chroot": Way(
        'case $guest in /*) [ ! -d "$guest" ] || echo present ;; esac',
        f'{_CLEAN} chroot ${{user:+--userspec="$user:"}} "$guest" "$@"',
        switches=True,
    ),
    "process": Way(
        'case $guest in *[!0-9]*) ;; *) [ ! -d "/proc/$guest" ] || echo running ;; esac',
        # A mount namespace is entered at its root, a process may have another one (chroot(2)). With --root alone,
        # nsenter goes back to the directory of the host that it came from (util-linux: sys-utils/nsenter.c).
        f'leader=$guest\n{_JOIN}{_CONFINE}    {_NSENTER} --root --wd -- "$@"',
    ),
    "namespace": Way(
        '[ ! -e "/run/strata/namespaces/$guest/note" ] || echo pinned',
        r"""
    pins=/run/strata/namespaces/$guest leader=
    while IFS== read -r key value; do
        [ "$key" != holder ] || leader=$value
    done <"$pins/note" || exit
    set -- -- "$@"
    for pair in user:user mnt:mount pid:pid net:net uts:uts ipc:ipc cgroup:cgroup time:time; do
        [ ! -e "$pins/${pair%:*}" ] || set -- "--${pair#*:}=$pins/${pair%:*}" "$@"
    done
    if [ "$leader" ] && [ -e "$pins/cgroup" ]; then # its root is the group of its holder"""
        f"{_JOIN}    fi\n    {_CLEAN} nsenter "
        '"$@"',
    ),
    "netns": Way(
        '[ ! -e "/run/netns/$guest" ] || echo pinned',
        f'{_CLEAN} ip netns exec "$guest" "$@"',
    ),
    "nspawn": Way(
        'machinectl show --property=State --value "$guest" || '
        '{ [ ! -e "/var/lib/machines/$guest" ] && [ ! -e "/var/lib/machines/$guest.raw" ] || echo stopped; }',
        # Not systemd-run(1): with --machine it asks the guest's systemd over the guest's D-Bus, and a guest has neither
        # when it doesn't boot, is still booting, or has no dbus. nsenter needs a running process alone.
        f'{_LEADER}{_JOIN}{_CONFINE}    {_NSENTER} -- "$@"',
    ),
    "lxc": Way(
        'lxc-info --state --no-humanize --name "$guest"',
        f'exec lxc-attach --clear-env --set-var PATH={PATH} --name "$guest" -- "$@"',
    ),
    "docker": Way(
        'docker container inspect --format "{{.State.Status}}" "$guest"',
        'exec docker exec --interactive --user "${user:-0}" "$guest" "$@"',
        switches=True,
    ),
    "podman": Way(
        'podman container inspect --format "{{.State.Status}}" "$guest"',
        'exec podman exec --interactive --user "${user:-0}" "$guest" "$@"',
        switches=True,
    ),
    "libvirt": Way(
        f'virsh --connect {LIBVIRT} domstate "$guest"',
        f'exec python3 -c \'{agent.SCRIPT}\' {LIBVIRT} "$guest" {PATH} "$@"',
        most=agent.MOST_WRITTEN,
        talks=False,
    ),
}
ENGINES = tuple(WAYS)

# What the token says: a guest can't know it before it was entered.
_IN, _GONE, _LAST = "in", "gone", "255"

_ENTER = r"""
token=$1 guest=$2 user=$3 reads=$4
shift 4
enter() {
    %s
}
[ "$reads" ] || exec </dev/null # else what asks for input waits for ever
(enter "$@")
status=$?
case $status in
129 | 137 | 143) # killed, as everything is in a guest that is stopped, which takes a while to be gone
    for pause in 0 1 2 4; do
        sleep "$pause"
        (enter /bin/sh -c :) </dev/null >/dev/null 2>&1 && continue
        echo "$token gone" >&2
        break
    done
    ;;
255) # which ssh(1) says of itself, too
    echo "$token 255" >&2
    status=254
    ;;
esac
exit $status
"""

_MARK = f'echo "{{token}} {_IN}"; echo "{{token}} {_IN}" >&2; '
_BEGIN = '[ "$HOME" ] || HOME=~{user}; case $HOME in /*) ;; *) HOME=/ ;; esac; export HOME; cd "$HOME" 2>&- || cd /'

_GUEST = re.compile(r"/[^\0\n]*|(?!\.{1,2}$)[^/\0\n-][^/\0\n]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")


def check(guest: str, user: str) -> None:
    """Refuse what no engine can mean.

    Raises:
        ValueError: It says what is wrong with which of them.
    """
    if not _GUEST.fullmatch(guest):
        raise ValueError(f"{guest!r} names no guest: write its name, its process or the absolute path of its tree")
    if not _USER.fullmatch(user):
        raise ValueError(f"{user!r} is no user's name")


def entering(
    engine: str, guest: str, user: str, token: str, command: str, *, reads: bool, marks: bool = True
) -> list[str]:
    """The argv that has a shell of a guest run a command.

    Args:
        engine: One of ``ENGINES``.
        guest: As the engine knows it.
        user: Who runs it, by the guest's names.
        token: A word that the guest can't know; ``outcome`` looks for it.
        command: A line for the guest's /bin/sh.
        reads: Whether the command gets the standard input; else it gets none.
        marks: Whether the guest's shell says first that it was entered.
    """
    way = WAYS[engine]
    # A shell runs a line before it reads the next one: the command may be anything, even no good.
    begin = (_MARK if marks else "") + _BEGIN
    inner = f"{begin.format(token=token, user=user)}\n{command}"
    own = "" if user == ROOT else user
    run = ["su", "-s", "/bin/sh", own, "-c", inner] if own and not way.switches else ["/bin/sh", "-c", inner]
    return ["/bin/sh", "-c", _ENTER % way.enter, "strata", token, guest, own, "1" if reads else "", *run]


@dataclass(frozen=True)
class Outcome:
    """How a command in a guest ended.

    Attributes:
        status: Its exit status.
        stdout: What it wrote, without what the guest's shell wrote before it.
        stderr: Likewise, and without what was said for us.
        entered: Whether the guest began to run it.
        gone: Whether it was killed, and the guest can't be entered any more.
    """

    status: int
    stdout: bytes
    stderr: bytes
    entered: bool
    gone: bool


def outcome(token: str, status: int, stdout: bytes, stderr: bytes) -> Outcome:
    """Read what ``entering`` left in the status and in what was written."""
    # One of the marks may be lost: core's local connection drops what was written before a become that it waited for.
    (stdout, out), (stderr, err) = (_after(_line(token, _IN), text) for text in (stdout, stderr))
    told = [word for word in (_GONE, _LAST) if _line(token, word) in stderr]
    for word in told:
        stderr = stderr.replace(_line(token, word), b"")
    return Outcome(255 if _LAST in told else status, stdout, stderr, out or err, _GONE in told)


def unmarked(token: str, text: str) -> str:
    """A text, such as an error of core's own, without what was said for us."""
    return re.sub(rf"{re.escape(token)} \w+\n?", "", text)


def _after(mark: bytes, text: bytes) -> tuple[bytes, bool]:
    before, found, after = text.partition(mark)
    return after if found else before, bool(found)


def _line(token: str, word: str) -> bytes:
    return f"{token} {word}\n".encode()


def asking(engines: Iterable[str], guest: str) -> list[str]:
    """The argv that prints how a guest is, a line for each engine that has one of that name."""
    looks = "".join(
        f'state=$({{ {WAYS[engine].state}; }} 2>/dev/null)\n[ -z "$state" ] || echo {engine} "$state"\n'
        for engine in engines
    )
    return ["/bin/sh", "-c", f"guest=$1\n{looks}exit 0", "strata", guest]


def states(told: str) -> dict[str, str]:
    """The answer of ``asking``: engine to state."""
    pairs = (line.partition(" ") for line in told.splitlines())
    return {engine: state.strip().lower() for engine, _blank, state in pairs if engine in WAYS}


def on_host(become: str, argv: list[str]) -> str:
    """The line for the host's shell that runs an argv, through the host's own way to become somebody else."""
    return shlex.join([*shlex.split(become), *argv])
