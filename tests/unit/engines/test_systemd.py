# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd: what makes it read all units anew, and what doesn't have to."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import command
from ansible_collections.strata.virt.plugins.module_utils.engines import bootunit, systemd

UNIT = "strata-x.service"


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A systemd that says of the unit what is in ``told``, and notes what it is told itself."""
    for name, module in (("UNITS", systemd), ("RUNNING", systemd), ("RUNTIME", bootunit)):
        folder = tmp_path / ("units" if name == "UNITS" else "running")
        folder.mkdir(exist_ok=True)
        monkeypatch.setattr(module, name, str(folder))
    host = {"units": tmp_path / "units", "told": {}, "programs": []}

    def run(argv, **_more):
        host["programs"].append(argv[1])
        said = "".join(f"{key}={value}\n" for key, value in host["told"].items())
        return subprocess.CompletedProcess(argv, 0, f"Id={UNIT}\n{said}", "")

    monkeypatch.setattr(command, "run", run)
    return host


@pytest.mark.parametrize(
    ("told", "reloads"),
    [
        ({}, False),
        ({"NeedDaemonReload": "yes"}, True),
        ({"FragmentPath": "{units}/strata-x.service"}, False),
        ({"FragmentPath": "/usr/lib/systemd/system/strata-x.service"}, True),
    ],
)
def test_all_units_are_read_anew_only_where_systemd_has_an_old_one(host, told, reloads):
    if "FragmentPath" in told:
        (host["units"] / UNIT).touch()
    host["told"] = {key: value.format(units=host["units"]) for key, value in told.items()}
    assert systemd.refresh(UNIT) == {UNIT: "inactive"}
    assert host["programs"] == ["show", *(["daemon-reload"] if reloads else [])]


def test_a_drop_in_that_was_not_found_is_read(host):
    folder = host["units"] / f"{UNIT}.d"
    folder.mkdir()
    (folder / "50-strata.conf").touch()
    host["told"] = {"ActiveState": "active", "DropInPaths": "/run/a.conf"}
    assert systemd.refresh(UNIT) == {UNIT: "active"}
    assert host["programs"] == ["show", "daemon-reload"]
    host["told"]["DropInPaths"] += f" {folder}/50-strata.conf"
    systemd.refresh(UNIT)
    assert host["programs"][2:] == ["show"]


def test_what_boots_is_linked_and_goes_with_its_links(host):
    assert bootunit.write(UNIT, bootunit.render([("Service", "Type", ["oneshot"])]), ("a.target", "b.target"))
    links = [host["units"] / f"{target}.wants" / UNIT for target in ("a.target", "b.target")]
    assert [os.readlink(link) for link in links] == [str(host["units"] / UNIT)] * 2
    assert bootunit.enabled(UNIT, ("a.target", "b.target"))
    host["told"] = {"ActiveState": "active"}
    bootunit.drop(UNIT)
    assert (os.path.lexists(links[0]), (host["units"] / UNIT).exists()) == (False, False)
    assert host["programs"] == ["show", "stop", "reset-failed"]
    bootunit.drop(UNIT)
    assert len(host["programs"]) == 3, "there was nothing left to be asked after"
