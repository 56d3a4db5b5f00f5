# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libosinfo's database, read as its files are; those here are made up in its form."""

from __future__ import annotations

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.engines import osinfo

PCI = "http://pcisig.com/pci"
OLD = f"""<libosinfo version="0.0.1"><os id="http://lab.example/lab/1">
  <short-id>lab1</short-id><name>Lab 1</name><family>linux</family>
  <devices><device id="{PCI}/1af4/1000"/><device id="{PCI}/1af4/1001"/><device id="{PCI}/1af4/1050"/></devices>
  <resources arch="all"><minimum><ram>268435456</ram><n-cpus>1</n-cpus></minimum></resources>
</os></libosinfo>"""
NEW = f"""<libosinfo version="0.0.1"><!-- a comment --><os id='http://lab.example/lab/2'>
  <short-id>lab2</short-id><short-id>labsecond</short-id><name>Lab 2</name><family>linux</family>
  <derives-from id="http://lab.example/lab/1"/>
  <devices><device id="http://qemu.org/chipset/x86/q35"/><device id="{PCI}/1af4/1050" supported="false"/></devices>
  <resources arch="aarch64"><minimum><ram>1</ram></minimum></resources>
</os></libosinfo>"""
WINDOWS = f"""<libosinfo version="0.0.1"><os id="http://lab.example/win/9">
  <short-id>labwin</short-id><family>winnt</family><derives-from id="http://lab.example/win/9"/>
  <firmware arch="x86_64" type="bios" supported="false"/>
  <driver arch="x86_64"><device id="{PCI}/1af4/1001"/></driver>
  <devices><device id="{PCI}/8086/10d3"/></devices>
</os></libosinfo>"""


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    for path, text in (("lab-1", OLD), ("lab-2", NEW), ("elsewhere", WINDOWS)):
        file = tmp_path / "os" / "lab.example" / f"{path}.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(osinfo, "FOLDERS", (str(tmp_path / "none"), str(tmp_path)))
    forget()
    yield tmp_path
    forget()


KEPT = (osinfo._all, osinfo._file, osinfo._root)


def forget() -> None:
    for kept in KEPT:
        kept.cache_clear()


def test_a_system_has_what_those_before_it_had():
    found = osinfo.system("labsecond")
    assert (found.id, found.short_id, found.name) == ("http://lab.example/lab/2", "lab2", "Lab 2")
    assert set(found.has) == {"virtio_disk", "virtio_net", "q35"}
    assert found.minimum == {"ram": 268435456, "n-cpus": 1}
    assert osinfo.system("http://lab.example/lab/1").short_id == "lab1"


def test_drivers_that_have_to_be_installed_first_do_not_count():
    found = osinfo.system("labwin")
    assert (found.windows, found.bios, found.has) == (True, False, ("e1000e",))


def test_the_one_that_is_likely_is_looked_up_alone(monkeypatch):
    monkeypatch.setattr(osinfo, "_all", lambda: pytest.fail("looked through all"))
    assert osinfo.system("lab2", "http://lab.example/lab/2").name == "Lab 2"
    assert osinfo.word("http://lab.example/lab/2") == "lab2"


def test_what_nobody_knows():
    with pytest.raises(StrataError, match=r"no system that osinfo-db knows.*Near to it are: .*lab2"):
        osinfo.system("lab3")
    assert osinfo.word("http://lab.example/../../etc/passwd") == "http://lab.example/../../etc/passwd"


def test_without_a_database(monkeypatch):
    monkeypatch.setattr(osinfo, "FOLDERS", ("/nowhere",))
    forget()
    assert osinfo.word("http://lab.example/lab/2") == "http://lab.example/lab/2"
    with pytest.raises(StrataError, match=r"needs libosinfo's database .*Install osinfo-db"):
        osinfo.system("lab2")
