# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kinds there are: one line a kind, imported when first used."""

from __future__ import annotations

from importlib import import_module

from ..core.resource import Resource

FAMILIES = {
    "docker": {
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
    },
    "kernel": {
        "apparmor_profile": "ApparmorProfile",
        "cgroup": "Cgroup",
        "hugepages": "Hugepages",
        "link": "Link",
        "namespace": "Namespace",
        "netns": "Netns",
        "pci_passthrough": "PciPassthrough",
        "seccomp_profile": "SeccompProfile",
        "systemd_resources": "SystemdResources",
    },
    "machines": {
        "chroot": "Chroot",
        "cloud_init_seed": "CloudInitSeed",
        "libvirt_domain": "LibvirtDomain",
        "libvirt_network": "LibvirtNetwork",
        "libvirt_nwfilter": "LibvirtNwfilter",
        "libvirt_pool": "LibvirtPool",
        "libvirt_secret": "LibvirtSecret",
        "libvirt_volume": "LibvirtVolume",
        "lxc_container": "LxcContainer",
        "lxc_snapshot": "LxcSnapshot",
        "nspawn_container": "NspawnContainer",
        "nspawn_image": "NspawnImage",
        "overlay": "Overlay",
        "qemu_image": "QemuImage",
        "qemu_vm": "QemuVm",
        "rootfs": "Rootfs",
    },
    "podman": {
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
    },
}
"""The kinds that are declared together, and so are packed together: what Ansible sends to a host, and parses before."""

KINDS = {kind: name for family in FAMILIES.values() for kind, name in family.items()}

GUESTS = {
    "nspawn": "nspawn_container",
    "lxc": "lxc_container",
    "docker": "docker_container",
    "podman": "podman_container",
    "libvirt": "libvirt_domain",
}
"""The kinds of which there are guests, by what connection and inventory call their engines."""


def find(kind: str) -> type[Resource] | None:
    """The class of a kind, None where there is no such kind."""
    if kind not in KINDS:
        return None
    found: type[Resource] = getattr(import_module(f"{__package__}.{kind}"), KINDS[kind])
    return found
