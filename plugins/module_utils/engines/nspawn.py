# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of systemd-nspawn: where their files are, and how to ask after one.

Each machine is an instance of systemd's own template unit systemd-nspawn@.service. What it is started with comes from
/etc/systemd/nspawn/NAME.nspawn, the one place where privileged settings count (systemd.nspawn(5)); its limits and our
own notes are in a drop-in of the unit.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tempfile
from collections.abc import Iterable

from ..core import command, files
from ..core.errors import StrataError
from . import mounts, systemd

SETTINGS = "/etc/systemd/nspawn"
IMAGES = "/var/lib/machines"
RUN = "/run/strata/nspawn"
TARGET = "machines.target"
DISK = ".raw"
"""What the name of a disk ends with, beside those of trees."""

REGISTERED = "/run/systemd/machines"
EXPORTS = ("/run/systemd/nspawn/unix-export/{name}", "/run/systemd/nspawn/{name}/unix-export")
"""Where a machine's sockets are shown on the host: in systemd 256 and 257, and in later ones."""

DROP_IN = "50-strata.conf"
"""Sorts after the drop-ins that ``systemctl set-property`` makes (50-MemoryMax.conf), and so wins over them."""

_PREFIX, _SUFFIX = "systemd-nspawn@", ".service"

# What a machine runs with stays readable, whoever starts it: copied at its start, taken away at its end.
COPY_SETTINGS = f"-install -D -m 0644 {SETTINGS}/%i.nspawn {RUN}/%i.nspawn"
COPY_LINK = f"-cp -dfT {IMAGES}/%i {RUN}/%i.image"
COPY_DISK_LINK = f"-cp -dfT {IMAGES}/%i{DISK} {RUN}/%i.image"
COPIES_GONE = f"-rm -f {RUN}/%i.nspawn {RUN}/%i.image"

# A machine's name is a host name: letters, digits and '-' (systemd: hostname_is_valid), at most 64.
_NAME = re.compile(r"(?=.{1,64}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def need() -> None:
    """Make sure that this host can run machines.

    Raises:
        StrataError: systemd doesn't run it, or systemd-nspawn isn't installed.
    """
    systemd.need()
    command.need("systemd-nspawn", "systemd-container")


def unit(name: str) -> str:
    return f"{_PREFIX}{name}{_SUFFIX}"


def settings_path(name: str) -> str:
    return f"{SETTINGS}/{name}.nspawn"


def drop_in_path(name: str) -> str:
    return f"{systemd.UNITS}/{unit(name)}.d/{DROP_IN}"


def image_path(name: str) -> str:
    """Where systemd looks for the tree of a machine."""
    return f"{IMAGES}/{name}"


def link_target(path: str) -> str | None:
    """Where a symbolic link leads to, None for anything else."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def there(path: str) -> bool:
    """Whether a tree, or a disk image of that name beside the trees, is there."""
    return os.path.isdir(path) or (os.path.dirname(path) == IMAGES and is_disk(path))


def linked(name: str) -> str | None:
    """Where a machine's name leads by a symbolic link; to a disk without its suffix, as images are named."""
    path = image_path(name)
    return link_target(path) or _unsuffixed(link_target(path + DISK))


def _unsuffixed(path: str | None) -> str | None:
    return path.removesuffix(DISK) if path else None


def is_disk(path: str) -> bool:
    """Whether what an image's path names is a disk, and no tree."""
    return not os.path.isdir(path) and os.path.isfile(path + DISK)


def link(name: str, target: str) -> None:
    """Lead a machine's name to a tree or a disk elsewhere, in one step.

    Raises:
        StrataError: The file system refused.
    """
    suffixes = (DISK, "") if is_disk(target) else ("", DISK)
    path = image_path(name)
    try:
        os.makedirs(IMAGES, mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".strata.", dir=IMAGES) as folder:
            os.symlink(target + suffixes[0], f"{folder}/link")
            os.replace(f"{folder}/link", path + suffixes[0])
    except OSError as error:
        raise StrataError(f"could not link {path} to {target}: {error.strerror}") from None
    if link_target(path + suffixes[1]):
        files.remove(path + suffixes[1])


def unlink(name: str) -> None:
    for path in (image_path(name), image_path(name) + DISK):
        if link_target(path):
            files.remove(path)


def running_link(name: str) -> str | None:
    """Where a running machine's name led when it was started; None where it was no link."""
    target = link_target(running_link_path(name))
    return _unsuffixed(target) if target and os.path.isfile(target) else target


def running_settings_path(name: str) -> str:
    """The .nspawn file as it was when the machine was started."""
    return f"{RUN}/{name}.nspawn"


def running_link_path(name: str) -> str:
    """The link to the machine's tree as it was when the machine was started."""
    return f"{RUN}/{name}.image"


def names() -> list[str]:
    """Every machine that has settings, is enabled, or is known to systemd right now; one program is run."""
    found = set(systemd.loaded(f"{_PREFIX}*{_SUFFIX}"))
    for folder in (systemd.UNITS, f"{systemd.UNITS}/{TARGET}.wants"):
        found.update(entry.removesuffix(".d") for entry in _list(folder))
    machines = {entry[len(_PREFIX) : -len(_SUFFIX)] for entry in found if _is_instance(entry)}
    machines.update(entry.removesuffix(".nspawn") for entry in _list(SETTINGS) if entry.endswith(".nspawn"))
    return sorted(filter(is_name, machines))


def _is_instance(entry: str) -> bool:
    return entry.startswith(_PREFIX) and entry.endswith(_SUFFIX)


def _list(folder: str) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return ()


def runs_systemd(tree: str) -> bool:
    """Whether a tree boots systemd: nspawn takes it before any other init (systemd-nspawn(1), --boot)."""
    # Nothing is read through the guest's paths; a link that leads elsewhere only changes this answer.
    folders = ("usr/lib/systemd", "lib/systemd")
    return is_disk(tree) or any(os.path.lexists(f"{tree}/{folder}/systemd") for folder in folders)


def has_begun(pid: int) -> bool:
    """Whether a program of the machine's own runs below its systemd-nspawn, which says it is ready a bit before."""
    if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
        return True  # This kernel (without CONFIG_PROC_CHILDREN) can't tell.
    try:
        own = os.stat(f"/proc/{pid}/exe")
        below = _children(pid)
        # A machine with ProcessTwo= has a stub of systemd-nspawn as its init, and the program below that.
        below += [child for first in below for child in _children(first)]
    except OSError:
        return False  # One of them is gone, or just being made.
    return any(_runs_other(child, own) for child in below)


def leader(pid: int) -> int | None:
    """The first process of a machine below its systemd-nspawn, as the host numbers it."""
    try:
        return next(iter(_children(pid)), None)
    except OSError:
        return None


def addresses(pid: int | None) -> list[str]:
    """The addresses of a process's network, those of its loopback left out; none where it is the host's own."""
    try:
        if pid is None or os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), os.stat("/proc/self/ns/net")):
            return []
        trie, inet6 = (files.read(f"/proc/{pid}/net/{name}") or "" for name in ("fib_trie", "if_inet6"))
    except OSError:
        return []  # It is gone.
    return [*_local(trie), *_listed(inet6)]


def _local(trie: str) -> list[str]:
    """The addresses of version 4: leaves of the routing table that say so (net/ipv4/fib_trie.c, fib_trie_seq_show)."""
    found = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", trie)
    return [address for address in dict.fromkeys(found) if not address.startswith("127.")]


def _listed(inet6: str) -> list[str]:
    """Those of version 6 (net/ipv6/addrconf.c, if6_seq_show)."""
    words = [line.split() for line in inet6.splitlines()]
    return [str(ipaddress.IPv6Address(bytes.fromhex(word[0]))) for word in words if word[-1] != "lo"]


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def _runs_other(pid: int, own: os.stat_result) -> bool:
    try:
        return not os.path.samestat(os.stat(f"/proc/{pid}/exe"), own)
    except OSError:
        return False  # It is gone.


def clear_exports(name: str) -> bool:
    """Take down what a systemd-nspawn that was killed has left mounted, and refuses to start over (systemd 256 on).

    Only at the one place that is this machine's, and only where no machine of that name is registered.

    Returns:
        Whether there was something.

    Raises:
        StrataError: Somebody uses it.
    """
    places = [place.format(name=name) for place in EXPORTS]
    table = mounts.table()
    left = [mount.point for place in places for mount in table.at(place) if mount.type == "tmpfs"]
    if not left or os.path.exists(f"{REGISTERED}/{name}"):
        return False
    for place in reversed(left):
        mounts.unmount(place)
    return True


def guest_state(name: str) -> str:
    """What a guest's systemd says of itself (systemctl(1), is-system-running), or why it can't be asked."""
    done = command.run(["systemctl", f"--machine={name}", "is-system-running"], check=False, timeout=30)
    return done.stdout.strip() or done.stderr.strip()


def last_words(name: str, lines: int = 8) -> str:
    """The last lines of a machine's unit in the journal, as one."""
    argv = ["journalctl", f"--unit={unit(name)}", f"--lines={lines}", "--output=cat", "--no-pager", "--quiet"]
    done = command.run(argv, check=False)
    return "; ".join(line.strip() for line in done.stdout.splitlines() if line.strip())
