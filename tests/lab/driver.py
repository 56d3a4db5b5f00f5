# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls real modules on a real host, many times faster than a play does.

It runs inside the lab host. The libraries that cost seconds to import under emulation are imported once; each call
forks, and the child is the module: the same door, the same arguments, the same JSON on standard output.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import mmap
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from ansible.module_utils import basic

MODULES = "ansible_collections.strata.virt.plugins.modules"
UTILS = "ansible_collections.strata.virt.plugins.module_utils"
KILLED = -signal.SIGKILL

NETLINK = ("link", "netns")  # whose kinds speak it
LIBRARIES = ("docker", "libvirt", "lxc")  # whose kinds are named after them

registry = importlib.import_module(f"{UTILS}.kinds.registry")
_counter = mmap.mmap(-1, 8)  # shared with the children
_prepared: set[str] = set()


class Failed(AssertionError):
    """A module failed; ``result`` is what it said."""

    def __init__(self, result: dict) -> None:
        super().__init__(result.get("msg"))
        self.result = result


class Killed(Exception):
    """The module was killed half-way, as it was asked to be."""


def call(module: str, options: dict, *, check: bool = False, touches: tuple[str, ...] = (), die_at: int = 0) -> dict:
    """Run a module and return its result.

    Args:
        module: The module's short name.
        options: Its options.
        check: Whether in check mode.
        touches: Functions, as ``core.files.write``, that change the host: calls of them are counted.
        die_at: The module is killed (SIGKILL) right after that touch; 0: never.

    Raises:
        Failed: The module said so.
        Killed: ``die_at`` was reached.
    """
    arguments = _arguments(options, check)
    _prepare(module, options)
    _counter[:] = bytes(8)
    with tempfile.TemporaryFile() as out:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _be_module(module, arguments, out.fileno(), touches, die_at)
        _pid, status = os.waitpid(child, 0)
        out.seek(0)
        text = out.read().decode()
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        raise Killed
    return _result(module, text)


def _arguments(options: dict, check: bool) -> dict:
    return {**options, "_ansible_check_mode": check, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp"}


def _result(module: str, text: str) -> dict:
    try:
        result = json.loads(text)
    except ValueError:
        raise AssertionError(f"{module} said no JSON: {text}") from None
    if result.get("failed"):
        raise Failed(result)
    return result


_FRESH = f"""
import importlib, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = sys.stdin.buffer.read(), "legacy"
importlib.import_module("{MODULES}." + sys.argv[1]).main()
"""


def call_as(user: str, module: str, options: dict, *, check: bool = False) -> dict:
    """Run a module as somebody else does by become_user: in a process of its own, without a session.

    Raises:
        Failed: The module said so.
    """
    entry = pwd.getpwnam(user)
    done = subprocess.run(
        [sys.executable, "-c", _FRESH, module],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": _arguments(options, check)}),
        capture_output=True,
        text=True,
        check=False,
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
        cwd="/",
        env={**os.environ, "HOME": entry.pw_dir, "USER": user, "LOGNAME": user},
    )
    return _result(module, done.stdout or done.stderr)


def touches_of(module: str, options: dict, touches: tuple[str, ...]) -> int:
    """Run a module, and count how often it touches the host."""
    call(module, options, touches=touches)
    return int.from_bytes(_counter[:], sys.byteorder)


def _be_module(module: str, arguments: dict, out: int, touches: tuple[str, ...], die_at: int) -> None:
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout = os.fdopen(1, "w")
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    status = 0
    try:
        if touches:
            _arm(touches, die_at)
        importlib.import_module(f"{MODULES}.{module}").main()
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    os._exit(status)


def _prepare(module: str, options: dict) -> None:
    """Import what a module will, here, so that the children have it; what nobody needs would only slow down forks."""
    importlib.import_module(f"{MODULES}.{module}")
    entries = [entry for entry in options.get("resources", ()) if isinstance(entry, dict)]
    for word in {module.removesuffix("_info"), *(str(kind) for entry in entries for kind in entry)}:
        if word not in _prepared:
            _prepared.add(word)
            registry.find(word)
            if word in NETLINK:
                importlib.import_module(f"{UTILS}.core.libraries").part("pyroute2.netlink.rtnl.ifinfmsg", "")
            if word.partition("_")[0] in LIBRARIES:
                with contextlib.suppress(ImportError):
                    importlib.import_module(word.partition("_")[0])
            gc.freeze()  # what is there stays: looking at it again would copy its pages in every child


def _arm(touches: tuple[str, ...], die_at: int) -> None:
    """Count the touches of the host, and have the process killed right after the ``die_at``-th."""
    one_at_a_time = threading.Lock()

    def counted(function):
        def touch(*args, **kwargs):
            result = function(*args, **kwargs)
            with one_at_a_time:
                count = int.from_bytes(_counter[:], sys.byteorder) + 1
                _counter[:] = count.to_bytes(8, sys.byteorder)
                if count == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

        return touch

    for dotted in touches:
        path, name = dotted.rsplit(".", 1)
        try:
            holder = importlib.import_module(f"{UTILS}.{path}")
        except ImportError:  # a method of a class, or a function of a library
            path, cls = path.rsplit(".", 1)
            try:
                holder = getattr(importlib.import_module(f"{UTILS}.{path}"), cls)
            except ImportError:
                holder = getattr(importlib.import_module(path), cls)
        setattr(holder, name, counted(getattr(holder, name)))


def run(*argv: str, check: bool = True, stdin: str | None = None) -> str:
    """What a program of the host prints: the tests look with the engine's own tools."""
    done = subprocess.run(argv, capture_output=True, text=True, input=stdin, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout.strip()


def seen_by_systemd(state: str, *units: str) -> None:
    """systemd looks at the table of mounts in its own time, a few times a second at most."""
    end = time.monotonic() + 20
    while set(run("systemctl", "show", "--property=ActiveState", "--value", *units).split()) != {state}:
        assert time.monotonic() < end, f"systemd doesn't say {state}"
        time.sleep(0.2)
