# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel can make of modules: file systems, and links of networks."""

from __future__ import annotations

from ..core.survey import Facts, Need, Subject
from ..engines.hostfiles import Host
from . import kmodules

# What it is called, the module that does it, and its symbol in the kernel's configuration.
FILE_SYSTEMS = (
    ("overlay", "overlay", "OVERLAY_FS"),
    ("btrfs", "btrfs", "BTRFS_FS"),
    ("zfs", "zfs", "ZFS"),
    ("xfs", "xfs", "XFS_FS"),
    ("fuse", "fuse", "FUSE_FS"),
)
LINK_TYPES = (
    ("bridge", "bridge", "BRIDGE"),
    ("veth", "veth", "VETH"),
    ("macvlan", "macvlan", "MACVLAN"),
    ("ipvlan", "ipvlan", "IPVLAN"),
    ("vxlan", "vxlan", "VXLAN"),
    ("bonding", "bonding", "BONDING"),
    ("tun", "tun", "TUN"),
    ("8021q", "8021q", "VLAN_8021Q"),
    ("dummy", "dummy", "DUMMY"),
)
DEVICES = (
    ("vhost_net", "vhost_net", "VHOST_NET"),
    ("vfio_pci", "vfio_pci", "VFIO_PCI"),
)


def known_file_systems(text: str) -> list[str]:
    """Those that the kernel has right now (proc(5)); others come when they are first mounted."""
    return sorted({line.split()[-1] for line in text.splitlines() if line.strip()})


def read_file_systems(host: Host) -> Facts:
    modules = kmodules.Modules(host)
    known = known_file_systems(host.text("/proc/filesystems") or "")
    states = modules.states(FILE_SYSTEMS)
    # What the kernel lists it has, whatever else could not be told of it.
    listed = {name: kmodules.BUILTIN for name in known if states.get(name) in (kmodules.MISSING, kmodules.UNKNOWN)}
    return {"known": known, "states": {**states, **listed}, "modules": modules.facts()}


def read_network(host: Host) -> Facts:
    modules = kmodules.Modules(host)
    return {
        "link_types": modules.states(LINK_TYPES),
        "devices": modules.states(DEVICES),
        "modules": modules.facts(),
    }


NETWORK = Subject(
    read_network,
    (
        Need(
            "{name}",
            kmodules.WHYS,
            each=lambda facts: kmodules.rows(LINK_TYPES, facts["link_types"], facts["modules"]),
        ),
        Need(
            "{name}",
            kmodules.WHYS,
            each=lambda facts: kmodules.rows(DEVICES, facts["devices"], facts["modules"]),
        ),
    ),
)

FILE_SYSTEM = Subject(
    read_file_systems,
    (
        Need(
            "{name}",
            kmodules.WHYS,
            each=lambda facts: kmodules.rows(FILE_SYSTEMS, facts["states"], facts["modules"]),
        ),
    ),
)
