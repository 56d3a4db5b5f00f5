# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Podman is reached: its API service for one user, for as long as a task takes.

Podman has no daemon. ``podman system service`` (podman-system-service(1)) speaks its API on a socket; where systemd
listens for it already, that one is taken, else one of our own is started and ends together with this process.
"""

from __future__ import annotations

import atexit
import os
import pwd
import secrets
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..core import command, files
from ..core.errors import StrataError
from ..core.waiting import until
from . import idmaps, systemd

_STARTS = 60.0  # seconds until the service listens
_SEES_OFF = 60.0  # seconds; logind takes some 10 (logind.conf(5), UserStopDelaySec=)
_IDLE = 300  # seconds without a question after which a service ends that nobody stopped
_FOLDER = "/run/strata/podman"
_LINGER = "/var/lib/systemd/linger"  # systemd: src/login/logind-user.c, user_check_linger_file
_KEPT = ("PATH", "TMPDIR", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Variables of this process that the service of another user has, too."""


# Those of the unit that this process may be a part of; those that lead Podman to another host (podman(1)).
_OTHERS = frozenset(
    [
        "CONTAINER_CONNECTION",
        "CONTAINER_HOST",
        "CONTAINER_SSHKEY",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "LISTEN_FDS",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
    ]
)
"""Variables that no service of ours has."""


@dataclass(frozen=True)
class Account:
    """Whose containers they are."""

    name: str
    uid: int
    gid: int
    home: str

    @property
    def runtime(self) -> str:
        """``command.runtime``, or where this process was told that it is."""
        given = os.environ.get("XDG_RUNTIME_DIR")
        mine = self.uid == os.geteuid() and given and os.access(given, os.W_OK)
        return str(given) if mine else command.runtime(self.uid)

    @property
    def lingers(self) -> bool:
        """Whether the user's processes go on without a login session (loginctl(1), enable-linger)."""
        return self.uid == 0 or os.path.exists(f"{_LINGER}/{self.name}")


def account(user: str | None) -> Account:
    """The account of a user; that of this process where none is named.

    Raises:
        StrataError: There is none, or this process may not act for it.
    """
    try:
        entry = pwd.getpwuid(os.geteuid()) if user is None else pwd.getpwnam(user)
    except KeyError:
        raise StrataError("there is no such user", option="user_scope", value=user) from None
    if entry.pw_uid != os.geteuid() and os.geteuid() != 0:
        raise StrataError(
            "only root can act for another user",
            option="user_scope",
            value=user,
            hint=f"Use become, or leave it out and use become_user: {user}",
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def enable_linger(user: Account) -> None:
    """Let a user's processes go on without a login session, and start at boot."""
    try:
        command.run([command.need("loginctl", "systemd"), "enable-linger", user.name])
    except StrataError as error:
        raise StrataError(
            f"{user.name}'s containers would end with the last login session, and lingering can't be enabled: "
            f"{error.message}",
            hint=f"Run loginctl enable-linger {user.name} as root, or use user_scope: {user.name} with become",
        ) from None


@dataclass
class Service:
    """One user's Podman.

    Attributes:
        path: The socket.
        owner: The number of the user who must be the one that listens there; None: whoever does.
        user: Whose containers it has.
        process: The service, where it is ours.
    """

    path: str
    owner: int | None
    user: Account
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def connect(self, timeout: float | None) -> socket.socket:
        """A connection.

        Raises:
            OSError: Nobody listens, or somebody else does.
        """
        door = socket.socket(socket.AF_UNIX)
        try:
            door.settimeout(timeout)
            door.connect(self.path)
            if self.owner is not None and _peer(door) != self.owner:
                # A user could have put root's own socket in the place of theirs.
                raise PermissionError(1, f"is listened at by somebody else than {self.user.name}", self.path)
        except OSError:
            door.close()
            raise
        return door

    def run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a program as the user and wait for it."""
        return run_as(self.user, argv)

    def answers(self) -> bool:
        try:
            self.connect(5).close()
        except OSError:
            return False
        return True


def run_as(
    user: Account, argv: Sequence[str], timeout: float | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program as a user and wait for it."""
    done = command.run([*_become(user), *argv], stdin=stdin, env=_environment(user), check=False, timeout=timeout)
    return subprocess.CompletedProcess(list(argv), done.returncode, done.stdout, done.stderr)


def own_folder(user: Account) -> str:
    """A folder in which only that user, or root, makes anything, and whose content is gone with the next boot."""
    if user.uid:
        return user.runtime
    os.makedirs(_FOLDER, mode=0o700, exist_ok=True)
    return _FOLDER


def _peer(door: socket.socket) -> int:
    """The user who listens (unix(7), SO_PEERCRED)."""
    said = door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", said)[1])


_running: dict[tuple[str | None, str | None], Service] = {}
_turn = threading.Lock()


def reach(user: str | None, url: str | None) -> Service:
    """The service of a user, or the one at a URL: one for all kinds of a process.

    Raises:
        StrataError: Podman is missing, can't work for that user, or doesn't answer.
    """
    with _turn:
        if (user, url) not in _running:
            _running[user, url] = _listening(url, account(user)) if url else _found(account(user))
        return _running[user, url]


def _listening(url: str, user: Account) -> Service:
    scheme, _slashes, path = url.partition("://")
    where = {"option": "podman_host", "value": url}
    if scheme != "unix":
        raise StrataError("is no socket of this host: write unix:///run/podman/podman.sock", **where)
    service = Service(path, None, user)
    if not service.answers():
        hint = "Start it: systemctl start podman.socket; or leave podman_host out, so that one is started for the task"
        raise StrataError("no service of Podman answers there", hint=hint, **where)
    return service


def _found(user: Account) -> Service:
    podman = command.need("podman", "podman")
    if user.uid:
        _need_ids(user)
        need_runtime(user)
    usual = "/run/podman/podman.sock" if user.uid == 0 else f"{user.runtime}/podman/podman.sock"
    service = Service(usual, user.uid, user)
    return service if service.answers() else _started(podman, user)


def _need_ids(user: Account) -> None:
    """Refuse a user for whom Podman could map one ID only, so that most images can't be unpacked."""
    if "subid:" in (files.read("/etc/nsswitch.conf") or ""):  # kept elsewhere: nsswitch.conf(5)
        return
    for name in ("subuid", "subgid"):
        if not idmaps.allotted(files.read(f"/etc/{name}") or "", user.name, user.uid):
            raise StrataError(
                f"{user.name} has no range of subordinate IDs in /etc/{name}",
                option="user_scope",
                value=user.name,
                hint=f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user.name}, with numbers that "
                "nobody else has",
            )


def need_runtime(user: Account) -> None:
    """Have the user's own systemd run, without which Podman has no place and no control groups."""
    if _manages(user):
        return
    if os.geteuid() != 0 or not systemd.booted():
        if os.path.isdir(user.runtime):  # made by somebody else than systemd
            return
        raise StrataError(
            f"{user.name} has no {user.runtime}: nobody of that name is logged in, and lingering is off",
            hint=f"Run loginctl enable-linger {user.name} as root, or use user_scope: {user.name} with become",
        )
    # Who comes while logind sees off their last session is seen off, too, and the start would time out.
    until(lambda: not _seen_off(user), f"logind to have done with {user.name}'s last session", _SEES_OFF)
    unit = f"user@{user.uid}.service"
    command.run(["systemctl", "start", unit])
    atexit.register(_leave, user, unit)


def _manages(user: Account) -> bool:
    """Whether the user's own systemd listens; its folder alone may be on the way out."""
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(f"{user.runtime}/systemd/private")
        except OSError:
            return False
    return True


def _leave(user: Account, unit: str) -> None:
    """End what was started for the task alone, unless somebody has come to need it meanwhile."""
    if not user.lingers and not any(map(_logged_in, _noted(f"/run/systemd/users/{user.uid}", "SESSIONS"))):
        command.run(["systemctl", "stop", unit], check=False)


def _seen_off(user: Account) -> bool:
    return _noted(f"/run/systemd/users/{user.uid}", "STOPPING") == ["yes"]


def _logged_in(session: str) -> bool:
    """Whether a session is somebody's login: from systemd 256 on, the user's own systemd has one, too."""
    return not " ".join(_noted(f"/run/systemd/sessions/{session}", "CLASS")).startswith("manager")


def _noted(path: str, key: str) -> list[str]:
    """Words that logind notes of a user or a session (systemd: src/login, user_save, session_save)."""
    lines = (files.read(path) or "").splitlines()
    return next((line.partition("=")[2].split() for line in lines if line.startswith(f"{key}=")), [])


def _started(podman: str, user: Account) -> Service:
    path = f"{own_folder(user)}/strata-{os.getpid()}-{secrets.token_hex(4)}.sock"
    # The kernel ends it with this process, however that ends (prctl(2), PR_SET_PDEATHSIG).
    argv = [*_become(user, "--pdeathsig", "TERM"), podman, "system", "service", "--time", str(_IDLE), f"unix://{path}"]
    with tempfile.TemporaryFile() as said:
        # It outlives this call, which command.run is not for.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function,consider-using-with
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=_environment(user),
            cwd=user.home if os.path.isdir(user.home) else "/",
            start_new_session=True,
        )
        service = Service(path, user.uid, user, process)
        until(lambda: process.poll() is not None or service.answers(), "the service of Podman to listen", _STARTS)
        if process.poll() is not None:
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()[-3:]
            raise StrataError(f"podman system service ended at once, saying: {'; '.join(words) or 'nothing'}")
    return service


def _become(user: Account, *more: str) -> list[str]:
    argv = [command.need("setpriv", "util-linux"), *more]
    if user.uid != os.geteuid():
        argv += ["--reuid", str(user.uid), "--regid", str(user.gid), "--init-groups"]
    return [*argv, "--"]


def _environment(user: Account) -> dict[str, str]:
    if user.uid == os.geteuid():
        own = command.environment()
    else:
        own = {name: os.environ[name] for name in _KEPT if name in os.environ}
        own.update({"HOME": user.home, "USER": user.name, "LOGNAME": user.name, "LC_ALL": "C.UTF-8"})
        own["PATH"] = command.environment()["PATH"]
    if user.uid:
        own["XDG_RUNTIME_DIR"] = user.runtime
        own["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={user.runtime}/bus"
    return {name: value for name, value in own.items() if name not in _OTHERS}
