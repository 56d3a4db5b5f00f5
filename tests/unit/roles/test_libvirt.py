# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""roles/libvirt/files/look.py, on a tree of files that stands for a host."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

LOOK = Path(__file__).resolve().parents[3] / "roles" / "libvirt" / "files" / "look.py"
spec = importlib.util.spec_from_file_location("libvirt_look", LOOK)
libvirt_look = importlib.util.module_from_spec(spec)
spec.loader.exec_module(libvirt_look)

DAEMON = """
   let sock_acl_entry = str_entry "unix_sock_group"
                      | str_entry "unix_sock_rw_perms"
   let processing_entry = int_entry "max_clients" | bool_entry "audit_logging" | str_entry "log_filters"
                        | str_array_entry "access_drivers" | str_entry "ca_file"
"""
QEMU = 'let x = str_entry "user" | str_entry "security_driver" | str_array_entry "nvram" | limits_entry "max_core"'
THEIRS = '# theirs\nlog_filters="1:old" # why\naccess_drivers = [\n  "a",\n  "b"\n]\n#max_clients = 5000\n'
ASK = ["virsh", "--connect", "qemu:///system", "list", "--name"]
ON = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
WHOLE = {"libvirtd.service": ON, "libvirtd.socket": ON}
SPLIT = {f"{name}.{kind}": ON for name in ("virtqemud", "virtnetworkd", "virtproxyd") for kind in ("service", "socket")}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with libvirtd, which has read its files."""
    known = dict(WHOLE)

    class Host:
        units = known

        @staticmethod
        def put(path, content=""):
            place = tmp_path / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
            os.utime(place, (1, 1))

    monkeypatch.setattr(libvirt_look, "ROOT", str(tmp_path))
    monkeypatch.setattr(
        libvirt_look, "units", lambda names: {name: libvirt_look.Unit(known.get(name, {})) for name in names}
    )
    for name, content in (
        ("libvirtd", DAEMON),
        ("virtqemud", DAEMON),
        ("virtnetworkd", DAEMON),
        ("libvirtd_qemu", QEMU),
    ):
        Host.put(f"/usr/share/augeas/lenses/{name}.aug", content)
    Host.put("/etc/libvirt/libvirtd.conf", THEIRS)
    return Host


def look(daemon=None, qemu=None, **more):
    nothing = {"group": None, "mode": None, "sockets": [], "restart": "if_needed"}
    config = {"daemon": daemon or {}, "qemu": qemu or {}, "network": {}}
    seen = libvirt_look.look({"config": config, **nothing, **more})
    return {**seen, "files": {file["path"].replace("/etc/", ""): file["content"] for file in seen["files"]}}


@pytest.mark.usefixtures("host")
def test_where_nothing_is_declared_there_is_nothing_to_do():
    assert look() == {"refused": [], "folders": [], "files": {}, "commands": [], "back": [], "told": []}
    assert look({"log_filters": "1:old", "access_drivers": ["a", "b"]})["files"] == {}


@pytest.mark.usefixtures("host")
def test_what_is_there_stays_and_null_takes_away():
    wanted = {"log_filters": "3:qemu", "access_drivers": ["c"], "max_clients": 9, "audit_logging": True}
    seen = look(wanted, {"max_core": "unlimited", "nvram": []})
    assert seen["files"]["libvirt/libvirtd.conf"] == (
        '# theirs\nlog_filters = "3:qemu"\naccess_drivers = [ "c" ]\n#max_clients = 5000\n'
        "max_clients = 9\naudit_logging = 1\n"
    )
    assert seen["files"]["libvirt/qemu.conf"] == libvirt_look.HEADER + 'max_core = "unlimited"\nnvram = []\n'
    assert seen["commands"] == [["systemctl", "restart", "libvirtd.service"], ASK]
    assert look({"access_drivers": None, "max_clients": None})["files"]["libvirt/libvirtd.conf"] == (
        '# theirs\nlog_filters="1:old" # why\n#max_clients = 5000\n'
    )


@pytest.mark.parametrize(
    ("daemon", "qemu", "words"),
    [
        ({"max_client": 1}, {}, "libvirt knows no max_client in libvirtd.conf"),
        ({"max_clients": "many"}, {}, "max_clients of libvirtd.conf wants a number (got 'many')"),
        ({"audit_logging": 2}, {}, "audit_logging of libvirtd.conf wants true or false"),
        ({"access_drivers": "polkit"}, {}, "access_drivers of libvirtd.conf wants a list of texts"),
        ({"log_filters": 'a"b'}, {}, "log_filters of libvirtd.conf can't have quotes"),
        ({}, {"user": "nobody-there-at-all"}, "libvirt_qemu_config: user: there is no user nobody-there-at-all"),
        ({"unix_sock_group": "nobody-there-at-all"}, {}, "unix_sock_group: there is no group nobody-there-at-all"),
        ({}, {"security_driver": "selinux"}, "this kernel has no security_driver selinux"),
    ],
)
@pytest.mark.usefixtures("host")
def test_what_it_would_not_take_is_told(daemon, qemu, words):
    (told,) = look(daemon, qemu)["refused"]
    assert words in told


@pytest.mark.usefixtures("host")
def test_numbers_may_stand_for_texts_and_for_users():
    assert look(qemu={"user": 64055})["files"]["libvirt/qemu.conf"].endswith('user = "64055"\n')
    assert look(qemu={"user": "+0"})["refused"] == []


def test_guests_that_would_be_lost_are_counted(host):
    host.put(
        "/run/libvirt/qemu/vm.xml", "<seclabel type='dynamic' model='dac'/><seclabel type='dynamic' model='apparmor'>"
    )
    (told,) = look(qemu={"security_driver": "none"})["refused"]
    assert "1 domains run under apparmor, which libvirt would give up without it" in told
    host.put("/sys/module/apparmor/parameters/enabled", "Y\n")
    assert look(qemu={"security_driver": ["apparmor", "none"]})["refused"] == []
    host.units["libvirtd.service"] = {**ON, "KillMode": "control-group", "RequiredBy": "libvirt-guests.service"}
    refused = look({"max_clients": 9})["refused"]
    assert "KillMode=control-group" in refused[0]
    assert "libvirt-guests.service goes down with libvirtd.service" in refused[1]
    assert look()["refused"] == []


@pytest.mark.usefixtures("host")
def test_a_socket_is_made_by_systemd():
    seen = look(group="root", mode="0660", sockets=["admin"])
    assert seen["files"]["systemd/system/libvirtd.socket.d/50-strata.conf"].endswith(
        "\n[Socket]\nSocketGroup=root\nSocketMode=0660\n"
    )
    assert 'unix_sock_group = "root"\nunix_sock_rw_perms = "0660"\n' in seen["files"]["libvirt/libvirtd.conf"]
    assert seen["commands"][0] == ["systemctl", "daemon-reload"]
    assert seen["refused"] == ["libvirt_sockets: this libvirt has no libvirtd-admin.socket"]


def test_other_sockets_start_with_their_service(host):
    host.units["libvirtd-tls.socket"] = {**ON, "ActiveState": "inactive", "UnitFileState": "disabled"}
    assert "no /etc/pki/CA/cacert.pem, /etc/pki/libvirt/servercert.pem" in look(sockets=["tls"])["refused"][0]
    for path in libvirt_look.TLS.values():
        host.put(path)
    seen = look(sockets=["tls"])
    assert seen["refused"] == []
    assert seen["commands"] == [
        ["systemctl", "enable", "libvirtd-tls.socket"],
        ["systemctl", "stop", "libvirtd.service"],
        ["systemctl", "start", "libvirtd-tls.socket", "libvirtd.service"],
        ASK,
    ]
    assert ["systemctl", "disable", "libvirtd-tls.socket"] in seen["back"]
    assert ["systemctl", "stop", "libvirtd.service", "libvirtd-tls.socket"] in seen["back"]
    host.units["libvirtd-tls.socket"] = ON
    assert look(sockets=["tls"])["commands"] == []
    # It goes down with the socket for this host.
    assert look(mode="0660")["commands"][1:3] == [
        ["systemctl", "stop", "libvirtd.service", "libvirtd.socket"],
        ["systemctl", "start", "libvirtd.socket", "libvirtd-tls.socket", "libvirtd.service"],
    ]


def test_a_file_that_it_has_not_read_yet_is_brought_in(host, tmp_path):
    os.utime(tmp_path / "etc/libvirt/libvirtd.conf")
    old = {**ON, "ExecMainStartTimestampMonotonic": "1"}
    host.units["libvirtd.service"] = old
    assert look({"log_filters": "1:old"})["commands"] == [["systemctl", "restart", "libvirtd.service"], ASK]
    host.units["libvirtd.service"] = {**old, "ActiveState": "inactive"}  # it reads it when somebody asks it something
    assert look({"log_filters": "1:old"})["commands"] == []


@pytest.mark.usefixtures("host")
def test_a_restart_can_be_forbidden():
    seen = look({"max_clients": 9}, restart="never")
    assert (list(seen["files"]), seen["commands"]) == (["libvirt/libvirtd.conf"], [])
    assert seen["told"] == ["libvirtd will know what changed when started the next time: systemctl restart libvirtd"]


def test_where_it_is_split_up_each_part_is_told(host):
    host.units.clear()
    host.units.update(SPLIT)
    seen = look({"max_clients": 9}, {"user": "root"})
    assert sorted(seen["files"]) == [
        "libvirt/qemu.conf",
        "libvirt/virtnetworkd.conf",
        "libvirt/virtproxyd.conf",
        "libvirt/virtqemud.conf",
    ]
    assert look(qemu={"user": "root"})["commands"][0] == ["systemctl", "restart", "virtqemud.service"]
    host.units["virtproxyd-tls.socket"] = ON
    assert list(libvirt_look.listening(["tls", "ro"], True, {}, [])) == ["virtproxyd-tls.socket", "virtqemud-ro.socket"]
    # Both are installed, and it is libvirtd that listens.
    host.units.update(WHOLE)
    assert list(look({"max_clients": 9})["files"]) == ["libvirt/libvirtd.conf"]


def test_before_it_is_installed_it_is_foretold(host):
    host.units.clear()
    seen = look({"max_clients": 9}, sockets=["tls"])
    assert (list(seen["files"]), seen["commands"]) == (["libvirt/libvirtd.conf"], [])
