# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to run a program: an argv, never a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from .errors import StrataError

_ERROR_LINES = 12
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    # Messages in English, so that the few that are read can be read; sbin is missing from many users' PATH.
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {**os.environ, **session(), "LC_ALL": "C.UTF-8", "PATH": f"{path}:{_SBIN}", **(extra or {})}


def runtime(user: int) -> str:
    """The folder of what lives until a user's last process ends (pam_systemd(8))."""
    return f"/run/user/{user}"


def session() -> dict[str, str]:
    """What tells programs where a plain user's own systemd is, as pam_systemd(8) would.

    With become_user there is nothing of it in the environment, or that of the user who became this one.
    """
    own, given = runtime(os.geteuid()), os.environ.get("XDG_RUNTIME_DIR")
    if os.geteuid() == 0 or not os.path.isdir(own) or (given and os.access(given, os.W_OK)):
        return {}
    return {"XDG_RUNTIME_DIR": own, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={own}/bus"}


def find(program: str) -> str | None:
    """The path of a program, None where it isn't installed."""
    return shutil.which(program, path=environment()["PATH"])


def need(program: str, package: str) -> str:
    """The path of a program.

    Raises:
        StrataError: It isn't installed; the message names the package.
    """
    path = find(program)
    if path is None:
        raise StrataError(f"the program {program} is not installed on this host", hint=f"Install the package {package}")
    return path


def run(
    argv: Sequence[str],
    *,
    stdin: bytes | str | None = None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program and wait for it.

    Args:
        argv: The program and its arguments.
        stdin: What it reads; nothing where it isn't given.
        timeout: Seconds; None waits for ever.
        env: Variables on top of the environment.
        check: Whether an exit status other than 0 is an error.

    Raises:
        StrataError: It isn't installed, took too long, or failed; the message ends with the last lines it wrote.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin or b""
    try:
        # AnsibleModule.run_command costs four times as much, and engines have no module.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            list(argv), input=data, capture_output=True, timeout=timeout, env=environment(env), check=False
        )
    except FileNotFoundError:
        raise StrataError(f"the program {argv[0]} is not installed on this host") from None
    except subprocess.TimeoutExpired:
        raise StrataError(f"{argv[0]} did not finish within {timeout:g} seconds") from None
    result = subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
    if check and result.returncode != 0:
        raise StrataError(failure(result))
    return result


def failure(done: subprocess.CompletedProcess[str]) -> str:
    """One line that says which program failed, how, and with which last words."""
    words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-_ERROR_LINES:]
    said = "; ".join(line.strip() for line in words if line.strip())
    return f"{os.path.basename(done.args[0])} failed with status {done.returncode}: {said or 'it said nothing'}"
