# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kinds there are: one line a kind, imported when first used."""

from __future__ import annotations

from importlib import import_module

from ..core.errors import Unpacked
from ..core.resource import Resource

KINDS = {
    "apparmor_profile": "ApparmorProfile",
    "cgroup": "Cgroup",
    "chroot": "Chroot",
    "cloud_init_seed": "CloudInitSeed",
    "docker_compose": "DockerCompose",
    "docker_config": "DockerConfig",
    "docker_container": "DockerContainer",
    "docker_image": "DockerImage",
    "docker_login": "DockerLogin",
    "docker_network": "DockerNetwork",
    "docker_node": "DockerNode",
    "docker_prune": "DockerPrune",
    "docker_secret": "DockerSecret",
    "docker_service": "DockerService",
    "docker_swarm": "DockerSwarmMember",
    "docker_volume": "DockerVolume",
    "hugepages": "Hugepages",
    "libvirt_domain": "LibvirtDomain",
    "libvirt_network": "LibvirtNetwork",
    "libvirt_nwfilter": "LibvirtNwfilter",
    "libvirt_pool": "LibvirtPool",
    "libvirt_secret": "LibvirtSecret",
    "libvirt_volume": "LibvirtVolume",
    "link": "Link",
    "lxc_container": "LxcContainer",
    "lxc_snapshot": "LxcSnapshot",
    "namespace": "Namespace",
    "netns": "Netns",
    "nspawn_container": "NspawnContainer",
    "nspawn_image": "NspawnImage",
    "overlay": "Overlay",
    "pci_passthrough": "PciPassthrough",
    "podman_compose": "PodmanComposeProject",
    "podman_container": "PodmanContainer",
    "podman_image": "PodmanImage",
    "podman_login": "PodmanLogin",
    "podman_network": "PodmanNetwork",
    "podman_play": "PodmanPlay",
    "podman_pod": "PodmanPod",
    "podman_prune": "PodmanPrune",
    "podman_quadlet": "PodmanQuadlet",
    "podman_secret": "PodmanSecret",
    "podman_volume": "PodmanVolume",
    "qemu_image": "QemuImage",
    "qemu_vm": "QemuVm",
    "rootfs": "Rootfs",
    "seccomp_profile": "SeccompProfile",
    "systemd_resources": "SystemdResources",
}

GUESTS = {
    "nspawn": "nspawn_container",
    "lxc": "lxc_container",
    "docker": "docker_container",
    "podman": "podman_container",
    "libvirt": "libvirt_domain",
}
"""The kinds of which there are guests, by what connection and inventory call their engines."""


def find(kind: str) -> type[Resource] | None:
    """The class of a kind, None where there is no such kind.

    Raises:
        Unpacked: There is, and it isn't in what Ansible sent.
    """
    if kind not in KINDS:
        return None
    name = f"{__package__}.{kind}"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise Unpacked(kind) from None
    found: type[Resource] = getattr(module, KINDS[kind])
    return found
