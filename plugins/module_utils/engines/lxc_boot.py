# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an LXC container comes up: started, its own first program run, its systemd ready; or why not."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable

from ..core import command, files
from ..core.errors import StrataError
from ..core.waiting import until
from . import inside, lxc_trees
from .lxc import Lxc
from .lxc_config import Config

_LOG_LINES = 8
_TAIL = 4096  # bytes of a console's log that are looked at
_CONSOLE_SIZE = "128KB"  # beyond it LXC begins anew: what a guest says must not fill the host's disk
_SETTLES = 0.3  # seconds in which an init that can't run has gone again; only systemd says when it is done
_READY = ("running", "degraded")
_OVER = ("maintenance", "stopping", "offline")


def start(engine: Lxc, name: str, config: Config | None, timeout: float) -> None:
    """Start a container and wait until it is up.

    Raises:
        StrataError: It didn't come up; the message ends with what LXC's log or the container's console said last.
    """
    end = time.monotonic() + timeout
    theirs = config.get("lxc.log.file") if config else None
    log = theirs or f"{engine.folder(name)}/{name}.log"
    before = len(files.read(log) or "")
    options = [] if theirs else ["-o", log]
    if config is None or config.get("lxc.console.logfile") is None:
        files.remove(console(engine, name))
        options += ["-s", f"lxc.console.size={_CONSOLE_SIZE}", "-L", console(engine, name)]
    # It returns once the container runs or has failed.
    done = command.run(engine.starting(name, *options), timeout=timeout, check=False)
    if done.returncode != 0:
        until(lambda: not engine.active([name]), f"{name} to be gone after its failed start", timeout)
        said = told((files.read(log) or "")[before:])
        raise StrataError(f"the container didn't start: {said or command.failure(done)}")
    try:
        first = until(lambda: _begun(engine, name), f"the first program of {name}", max(1, end - time.monotonic()))
        if first == "systemd":
            until(lambda: _booted(engine, name), "the guest to finish its boot", max(1, end - time.monotonic()), 0.3)
        else:
            time.sleep(_SETTLES)
            _begun(engine, name)
    except StrataError as error:
        words = last_words(engine, name)
        hint = "lxc-console or lxc-attach look inside; option timeout says how long to wait"
        raise StrataError(f"the container isn't ready: {error.message}; {words}", hint=hint) from None


def _begun(engine: Lxc, name: str) -> str | None:
    """The name of the container's first program, once it is no more LXC's own."""
    running = engine.running(name)
    if running is None:
        raise StrataError("it went away again")
    try:
        program = os.path.basename(os.readlink(f"/proc/{running.pid}/exe"))
    except OSError:
        return None
    return None if program.startswith("lxc-start") else program


def _booted(engine: Lxc, name: str) -> bool:
    argv = engine.attaching(name, "systemctl", "is-system-running")
    state = command.run(argv, check=False, timeout=30).stdout.strip()
    if state in _OVER or engine.running(name) is None:
        raise StrataError(f"the guest's systemd is {state or 'gone'}")
    return state in _READY


def console(engine: Lxc, name: str) -> str:
    """Where LXC keeps what a container says on its console, unless its configuration names another file."""
    return f"{engine.folder(name)}/{name}.console"


def last_words(engine: Lxc, name: str) -> str:
    """The last lines of a container's console, as one; whatever a guest writes there is printable."""
    try:
        with open(console(engine, name), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        text = ""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    lines = ["".join(letter for letter in line if letter.isprintable()).strip() for line in plain.splitlines()]
    said = "; ".join([line for line in lines if line][-_LOG_LINES:])
    return f"its console said last: {said}" if said else "its console said nothing"


def told(log: str) -> str:
    """What a log says, without the places in LXC's source."""
    said = [line.rpartition(" - ")[2].strip() if "ERROR" in line else "" for line in log.splitlines()]
    return "; ".join([line for line in said if line][-_LOG_LINES:])


def make_places(rootfs: str | None, places: Iterable[tuple[str, bool]]) -> None:
    """Make what is mounted upon, in the tree and nowhere else.

    Args:
        rootfs: The ``lxc.rootfs.path``.
        places: Each with whether it is a file.

    Raises:
        StrataError: It can't be made within the tree.
    """
    top = lxc_trees.path(rootfs)
    if top is None:
        return
    try:
        with inside.tree(top) as handle:
            own = {inside.mount_id(handle)}
            for path, file in places:
                with inside.place(handle, f"/{path}", own, directory=not file):
                    pass
    except OSError as error:
        raise StrataError(f"could not look into {top}: {error.strerror}") from None
