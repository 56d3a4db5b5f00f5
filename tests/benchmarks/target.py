# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on the managed host's Python: one measurement a process, so that nothing is warm but the daemon.

    target.py raw containers|domains URL     reads all that there is, with nothing but the engine's library
    target.py raw networks|pools|volumes URI likewise, of libvirt's
    target.py raw cgroups|nspawn|lxc ""      reads all files of them that have an option, and asks for their states
    target.py raw podman ""                  as containers, of the service of Podman that listens
    target.py stack FILE                     is the module strata.virt.stack, with the options in FILE
    target.py apply FILE                     is the same where there is something to change
    target.py image URL NAME                 makes an image to create containers from
    target.py xml domains|… URI              the stored XML of every domain, network, pool or volume, by name
    target.py pool URI NAME FOLDER           has a pool, where there is none yet

Those of raw and stack print the seconds between the last import and the end.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import io
import json
import os
import socket
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

STRATA = "ansible_collections.strata.virt.plugins"


def raw_containers(url: str) -> float:
    """One list, one inspect a container, and the image: the least that tells whether each is as declared."""
    import docker

    start = time.perf_counter()
    client = docker.APIClient(base_url=url, version="auto")
    found = [client.inspect_container(container["Id"]) for container in client.containers(all=True)]
    for image in {container["Image"] for container in found}:
        client.inspect_image(image)
    return time.perf_counter() - start


def raw_domains(uri: str) -> float:
    """Two bulk calls, and the stored XML of each domain."""
    import libvirt

    start = time.perf_counter()
    connection = libvirt.open(uri)
    connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
    for domain, _state in connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0):
        domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    return time.perf_counter() - start


def raw_networks(uri: str) -> float:
    """Three bulk calls, and the stored XML of each network."""
    import libvirt

    start = time.perf_counter()
    connection = libvirt.open(uri)
    connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_AUTOSTART)
    connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
    for network in connection.listAllNetworks(0):
        network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)
    return time.perf_counter() - start


def raw_pools(uri: str) -> float:
    """Three bulk calls, and the stored XML of each pool."""
    import libvirt

    start = time.perf_counter()
    connection = libvirt.open(uri)
    connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART)
    connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
    for pool in connection.listAllStoragePools(0):
        pool.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE)
    return time.perf_counter() - start


def raw_volumes(uri: str) -> float:
    """Of each active pool what is in it by now, and the XML of each volume."""
    import libvirt

    start = time.perf_counter()
    connection = libvirt.open(uri)
    for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        pool.refresh(0)
        for volume in pool.listAllVolumes(0):
            volume.XMLDesc(0)
    return time.perf_counter() - start


def raw_cgroups(_url: str) -> float:
    """Every file that an option stands for, of every group; how the groups are held together is not read."""
    anchor = importlib.import_module(f"{STRATA}.module_utils.engines.anchor")
    files = sorted(importlib.import_module(f"{STRATA}.module_utils.kinds.cgroup_fields").FILES)

    start = time.perf_counter()
    with os.scandir(anchor.GROUP) as entries:
        groups = [entry.path for entry in entries if entry.is_dir()]
    for group in groups:
        for file in files:
            with contextlib.suppress(OSError):
                descriptor = os.open(f"{group}/{file}", os.O_RDONLY)
                os.read(descriptor, 4096)
                os.close(descriptor)
    return time.perf_counter() - start


def raw_nspawn(_url: str) -> float:
    """What systemd has of every machine, in one call, and the two files of each."""
    nspawn = importlib.import_module(f"{STRATA}.module_utils.engines.nspawn")
    systemd = importlib.import_module(f"{STRATA}.module_utils.engines.systemd")

    start = time.perf_counter()
    names = nspawn.names()
    systemd.show([nspawn.unit(name) for name in names], ["ActiveState", "UnitFileState", "MemoryMax"])
    for name in names:
        for file in (nspawn.settings_path(name), nspawn.drop_in_path(name)):
            Path(file).read_text()
    return time.perf_counter() - start


def raw_lxc(_url: str) -> float:
    """What LXC has of every container: its state, and its configuration."""
    import lxc

    start = time.perf_counter()
    for container in lxc.list_containers(as_object=True):
        if container.state != "STOPPED":
            sys.exit(f"{container.name} is {container.state}")
        Path(container.config_file_name).read_text()
    return time.perf_counter() - start


def raw_podman(_url: str) -> float:
    """One list, one inspect a container, and the image, of the service that listens."""
    connection = http.client.HTTPConnection("podman")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect("/run/podman/podman.sock")

    def ask(path: str) -> Any:
        connection.request("GET", f"/v5.0.0/libpod{path}")
        return json.loads(connection.getresponse().read())

    start = time.perf_counter()
    found = [ask(f"/containers/{one['Id']}/json") for one in ask("/containers/json?all=true")]
    for image in {one["Image"] for one in found}:
        ask(f"/images/{image}/json")
    return time.perf_counter() - start


def stack(path: str, *, changes: bool = False) -> float:
    """The module itself, from its first line after the imports to its result."""
    from ansible.module_utils import basic

    options = json.loads(Path(path).read_text())
    module = importlib.import_module(f"{STRATA}.modules.stack")
    registry = importlib.import_module(f"{STRATA}.module_utils.kinds.registry")
    for kind in {kind for entry in options["resources"] for kind in entry}:
        registry.find(kind)
        with contextlib.suppress(ImportError):  # not every kind has one
            importlib.import_module(kind.partition("_")[0])  # the library: docker of docker_container
    for profile in ("legacy_c2m", "legacy_m2c"):  # how options and results travel, from ansible-core 2.19 on
        with contextlib.suppress(ImportError):
            importlib.import_module(f"ansible.module_utils._internal._json._profiles._module_{profile}")
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    said = io.StringIO()
    start = time.perf_counter()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        module.main()
    took = time.perf_counter() - start
    result = json.loads(said.getvalue())
    if result.get("failed") or result["changed"] != changes:
        sys.exit(f"the stack is not {'changed' if changes else 'unchanged'}: {said.getvalue()}")
    return took


def image(url: str, name: str) -> None:
    import docker

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tree:
        tree.addfile(tarfile.TarInfo("bin/sleep"))  # nothing is ever started from it
    docker.APIClient(base_url=url).import_image_from_data(content.getvalue(), repository=name)


def xml(noun: str, uri: str) -> dict[str, str]:
    import libvirt

    connection, flags = libvirt.open(uri), 0
    if noun == "domains":
        found, flags = connection.listAllDomains(), libvirt.VIR_DOMAIN_XML_INACTIVE
    elif noun == "networks":
        found, flags = connection.listAllNetworks(), libvirt.VIR_NETWORK_XML_INACTIVE
    else:
        found = connection.listAllStoragePools()
    if noun == "volumes":
        found = [volume for pool in found if pool.isActive() for volume in pool.listAllVolumes()]
    return {one.name(): one.XMLDesc(flags) for one in found}


def pool(uri: str, name: str, folder: str) -> None:
    import libvirt

    connection = libvirt.open(uri)
    if name not in [one.name() for one in connection.listAllStoragePools()]:
        text = f"<pool type='dir'><name>{name}</name><target><path>{folder}</path></target></pool>"
        connection.storagePoolDefineXML(text).create(libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)


RAW = {
    "containers": raw_containers,
    "domains": raw_domains,
    "networks": raw_networks,
    "pools": raw_pools,
    "volumes": raw_volumes,
    "cgroups": raw_cgroups,
    "nspawn": raw_nspawn,
    "lxc": raw_lxc,
    "podman": raw_podman,
}

if __name__ == "__main__":
    tasks = {
        "raw": lambda what, url: RAW[what](url),
        "stack": stack,
        "apply": lambda path: stack(path, changes=True),
        "image": image,
        "xml": xml,
        "pool": pool,
    }
    print(json.dumps(tasks[sys.argv[1]](*sys.argv[2:])))
