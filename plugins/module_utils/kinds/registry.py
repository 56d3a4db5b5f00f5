# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kinds there are: one line a kind, imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..core.resource import Resource

if TYPE_CHECKING:  # never run, but read by Ansible, which packs what it sees imported
    from . import (  # noqa: F401
        apparmor_profile,
        cgroup,
        chroot,
        cloud_init_seed,
        docker_compose,
        docker_config,
        docker_container,
        docker_image,
        docker_login,
        docker_network,
        docker_node,
        docker_prune,
        docker_secret,
        docker_service,
        docker_swarm,
        docker_volume,
        hugepages,
        libvirt_domain,
        libvirt_network,
        libvirt_pool,
        libvirt_volume,
        link,
        lxc_container,
        lxc_snapshot,
        namespace,
        netns,
        nspawn_container,
        nspawn_image,
        overlay,
        pci_passthrough,
        podman_container,
        podman_image,
        podman_network,
        podman_pod,
        podman_quadlet,
        podman_secret,
        podman_volume,
        qemu_image,
        qemu_vm,
        rootfs,
        seccomp_profile,
        systemd_resources,
    )

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
    "libvirt_pool": "LibvirtPool",
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
    "podman_container": "PodmanContainer",
    "podman_image": "PodmanImage",
    "podman_network": "PodmanNetwork",
    "podman_pod": "PodmanPod",
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
    """The class of a kind, None where there is no such kind."""
    if kind not in KINDS:
        return None
    found: type[Resource] = getattr(import_module(f"{__package__}.{kind}"), KINDS[kind])
    return found
