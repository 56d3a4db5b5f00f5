# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task is packed with that may need any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import KINDS, find

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
        libvirt_nwfilter,
        libvirt_pool,
        libvirt_secret,
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
        podman_compose,
        podman_container,
        podman_image,
        podman_login,
        podman_network,
        podman_play,
        podman_pod,
        podman_prune,
        podman_quadlet,
        podman_secret,
        podman_volume,
        qemu_image,
        qemu_vm,
        rootfs,
        seccomp_profile,
        systemd_resources,
    )

__all__ = ["KINDS", "find"]
