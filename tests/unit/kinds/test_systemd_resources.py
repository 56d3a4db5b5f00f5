# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd_resources: drop-ins, what systemd says, what the kernel has, what is planned. The texts are a Debian 13's."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import command
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import Layer
from ansible_collections.strata.virt.plugins.module_utils.engines import cgroupfs, iolimits, systemd
from ansible_collections.strata.virt.plugins.module_utils.engines.unitcontrols import CONTROLS, quota_as_told
from ansible_collections.strata.virt.plugins.module_utils.kinds.systemd_resources import DROP_IN, SystemdResources

GIB = 1024**3
FACTS = {
    "devices": {},
    "online": {"cpuset_cpus": "0-1", "cpuset_mems": "0"},
    "controllers": ["cpu", "cpuset", "io", "memory", "pids"],
    "costed": [],
    "has_latency": False,
    "without": {},
}
USUAL = """\
CPUWeight=[not set]
CPUQuotaPerSecUSec=infinity
CPUQuotaPeriodUSec=infinity
AllowedCPUs=
AllowedMemoryNodes=
IOWeight=[not set]
MemoryMin=0
MemoryLow=0
MemoryHigh=infinity
MemorySwapMax=infinity
"""
SHOWN = """\
CPUWeight=idle
CPUQuotaPerSecUSec=500ms
CPUQuotaPeriodUSec=20ms
AllowedCPUs=0
AllowedMemoryNodes=
IOWeight=[not set]
IOReadBandwidthMax=/dev/vda 2000000
MemoryMin=0
MemoryLow=5242880
MemoryHigh=infinity
MemoryMax=209715200
MemorySwapMax=10485760
TasksMax=33
Id=h.service
LoadState=loaded
ActiveState=active
ControlGroup=/system.slice/h.service
FragmentPath={units}/h.service
DropInPaths={units}/h.service.d/50-strata-resources.conf {units}/h.service.d/10-theirs.conf
NeedDaemonReload=no
"""
OWN = """\
# Written by strata.virt.

[X-Strata]
Owner=web

[Service]
MemoryMax=209715200
CPUQuota=50%
CPUQuotaPeriodSec=20000us
IOReadBandwidthMax=
IOReadBandwidthMax=/dev/vda 2000000
IPAccounting=yes
"""
KERNEL = {
    "memory.max": "104857600",  # somebody wrote it
    "memory.low": "5242880",
    "memory.high": "max",
    "memory.min": "0",
    "memory.swap.max": "10485760",
    "pids.max": "33",
    "cpu.max": "10000 20000",
    "cpu.weight": "0",
    "cpu.idle": "1",
    "io.max": "254:0 rbps=2000000 wbps=max riops=max wiops=max",
    "io.weight": "default 100",
    "cpuset.cpus": "0",
    "cpuset.mems": "",
}


@pytest.fixture(autouse=True)
def host(tmp_path, monkeypatch):
    """h.service runs with our drop-in and others; batch.slice and gone.service have none, and nothing runs."""
    units, group = tmp_path / "units", tmp_path / "cgroup" / "system.slice" / "h.service"
    (units / "h.service.d").mkdir(parents=True)
    group.mkdir(parents=True)
    for file, text in KERNEL.items():
        (group / file).write_text(text + "\n")
    (units / "h.service").write_text("[Service]\nExecStart=/bin/x\nMemoryLow=5M\nTasksMax=33%\n")
    (units / "h.service.d" / "10-theirs.conf").write_text(
        "[Service]\nAllowedCPUs=0\nCPUWeight=idle\nMemorySwapMax=10M\n"
    )
    (units / "h.service.d" / DROP_IN).write_text(OWN)
    monkeypatch.setattr(systemd, "UNITS", str(units))
    monkeypatch.setattr(systemd, "CONTROL", (str(tmp_path / "control"),))
    monkeypatch.setattr(cgroupfs, "MOUNT", str(tmp_path / "cgroup"))
    monkeypatch.setattr(iolimits, "name", lambda number: {"254:0": "/dev/vda"}.get(number, number))
    monkeypatch.setattr(iolimits, "known", lambda path: path)
    slice_ = f"{USUAL}MemoryMax=infinity\nTasksMax=infinity\nLoadState=loaded\nActiveState=inactive\nControlGroup=\n"
    gone = f"{USUAL}MemoryMax=infinity\nTasksMax=7094\nLoadState=not-found\nActiveState=inactive\nControlGroup=\n"
    answers = {"h.service": SHOWN.format(units=units), "batch.slice": slice_, "gone.service": gone}
    programs = []

    def run(argv, **_more):
        programs.append(argv)
        if "--property=DefaultTasksMax" in argv:
            return subprocess.CompletedProcess(argv, 0, "7094\n", "")
        return subprocess.CompletedProcess(
            argv, 0, "\n".join(answers[unit] for unit in argv[argv.index("--") + 1 :]), ""
        )

    monkeypatch.setattr(command, "run", run)
    found = SystemdResources.read_many(None, list(answers))
    assert len(programs) == 1, "more than one program for three units"
    return found


def known(state, **facts):
    return replace(state, facts={**FACTS, **state.facts, **facts})


def plan(seen, facts=None, unit="h.service", **options):
    return SystemdResources({"unit": unit, **options}).plan(known(seen, **(facts or {})))


def test_what_counts_at_the_next_start_and_what_holds_now_are_told_apart(host):
    state = host["h.service"]
    assert (state.status, state.owner) == ("present", "web")
    assert (state.config["memory"], state.live["memory"]) == (200 << 20, 100 << 20)
    assert (state.config["cpus"], state.live["cpus"]) == (50_000, 50_000)
    assert (state.config["cpu_period"], state.live["cpu_period"]) == (20_000, 20_000)
    assert (state.config["cpu_weight"], state.live["cpu_weight"]) == ("idle", "idle")
    assert state.config["memory_low"] == 5 << 20
    assert state.config["pids_limit"] == 33  # 33%: only systemd knows how many that is
    assert state.config["cpuset_cpus"] == state.live["cpuset_cpus"] == "0"
    assert state.config["io"] == state.live["io"] == ({"device": "/dev/vda", **iolimits.FREE, "read_bps": 2_000_000},)
    assert state.config["properties"] == state.live["properties"] == {"IPAccounting": "yes"}
    assert state.facts["stale"] is False


def test_what_drifted_is_brought_back_live_and_alone(host):
    made = plan(host["h.service"], memory="200M", cpus=0.5, pids_limit=33)
    assert made.steps == ("update",)
    assert [(change.name, change.layer) for change in made.changes] == [("memory", Layer.LIVE)]


def test_a_new_value_is_stored_and_brought_in(host):
    made = plan(host["h.service"], memory="300M")
    assert made.steps == ("update",)
    assert [change.layer for change in made.changes] == [Layer.CONFIG, Layer.LIVE]


def test_a_unit_without_a_drop_in_gets_one_whether_it_is_there_or_not(host):
    for unit in ("batch.slice", "gone.service"):
        state = host[unit]
        assert (state.status, state.owner) == ("absent", None)
        made = plan(state, unit=unit, memory="2G", cpus=3, pids_limit=1000)
        assert made.steps == ("create",)
        assert not plan(state, unit=unit, state="absent")
    assert host["gone.service"].live is None
    assert host["gone.service"].facts["load_state"] == "not-found"
    assert host["batch.slice"].live["memory"] == "max"


def test_the_drop_in_says_what_is_declared_and_whose_it_is(host):
    options = {
        "memory": "2G",
        "cpus": 3,
        "pids_limit": 1000,
        "io": [{"device": "/dev/disk/by-id/x", "write_bps": "1K"}],
        "properties": {"DeviceAllow": ["/dev/null rw", "/dev/zero r"], "IPAccounting": True},
    }
    resource = SystemdResources({"unit": "batch.slice", **options}, owner="web")
    made = resource.plan(known(host["batch.slice"], devices={"/dev/disk/by-id/x": "/dev/vda"}))
    text = resource._text(None, made, made.want, "web")
    assert "[X-Strata]\nOwner=web\n" in text
    assert "[Slice]\nCPUQuota=300%\nMemoryMax=2147483648\nTasksMax=1000\n" in text
    assert "IOWriteBandwidthMax=\nIOWriteBandwidthMax=/dev/disk/by-id/x 1024\n" in text
    assert "DeviceAllow=/dev/null rw\nDeviceAllow=/dev/zero r\nIPAccounting=yes\n" in text


def test_what_a_stack_no_longer_declares_is_as_the_other_files_have_it(host):
    state = host["h.service"]
    applied = {"memory": "200M", "cpus": 0.5, "pids_limit": 3, "memory_low": "8M"}
    resource = SystemdResources({"unit": "h.service"}, owner="web", applied=applied)
    seen = known(state)
    words = {"memory_low": 5 << 20, "memory": "max", "cpus": "max", "pids_limit": 7094}
    made = resource.plan(replace(seen, facts={**seen.facts, "without": words}))
    assert {change.name for change in made.changes} == {"memory", "cpus", "pids_limit"}
    text = resource._text(OWN, made, made.want, None)
    assert "MemoryMax" not in text
    assert "CPUQuota=" not in text
    assert "IPAccounting=yes" in text


def test_what_systemd_has_not_read_is_read(host):
    made = plan(host["h.service"], {"stale": True}, cpus=0.5)
    assert (made.steps, [change.name for change in made.changes]) == (("update",), ["unit"])


def test_what_a_killed_run_left_beside_the_drop_in_is_taken_away(host):
    made = plan(host["h.service"], {"set_apart": ["CPUQuotaPerSecSec"]}, cpus=0.5, cpu_period="20ms")
    assert not made, "somebody else's setting"
    made = plan(host["h.service"], {"set_apart": ["CPUQuota"]}, cpus=0.5)
    assert (made.steps, [change.name for change in made.changes]) == (("update",), ["unit"])


def test_what_set_property_left_is_named_as_the_setting_is(tmp_path, monkeypatch):
    folder = tmp_path / "h.service.d"
    folder.mkdir()
    for name in ("50-CPUQuotaPeriodUSec.conf", "50-MemoryMax.conf", "70-theirs.conf"):
        (folder / name).touch()
    monkeypatch.setattr(systemd, "CONTROL", (str(tmp_path), str(tmp_path / "none")))
    assert systemd.kept_set("h.service") == {"CPUQuotaPeriodSec", "MemoryMax"}
    systemd.forget_set("h.service", ["CPUQuotaPeriodSec", "MemoryMax"])
    assert [file.name for file in folder.iterdir()] == ["70-theirs.conf"]


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ("", ["AllowedCPUs=0-1"]),  # it has processes: the kernel doesn't take none
        ("1", ["AllowedCPUs=1"]),
    ],
)
def test_cpus_that_are_taken_back_become_all_that_there_are(host, monkeypatch, given, settings):
    programs = []
    monkeypatch.setattr(systemd, "set_runtime", lambda unit, words: programs.append((unit, words)))
    monkeypatch.setattr(systemd, "reload", lambda: None)
    monkeypatch.setattr(systemd, "forget_set", lambda unit, names: None)
    monkeypatch.setattr(cgroupfs, "online", lambda: {"cpuset_cpus": "0-1", "cpuset_mems": "0"})
    resource = SystemdResources({"unit": "h.service", "cpuset_cpus": given}, owner="web")
    made = resource.plan(known(host["h.service"]))
    assert made.steps == ("update",)
    resource.update(None, made)
    assert programs == [("h.service", settings)]


def test_what_somebody_set_for_now_is_seen(host, tmp_path, monkeypatch):
    folder = tmp_path / "control" / "h.service.d"
    folder.mkdir(parents=True)
    (folder / "50-IPAccounting.conf").write_text("[Service]\nIPAccounting=no\n")
    seen = SystemdResources.read_many(None, ["h.service"])["h.service"]
    made = plan(seen, properties={"IPAccounting": True})
    assert [(change.name, change.before) for change in made.changes] == [("properties[IPAccounting]", "no")]


def test_a_later_file_that_says_otherwise_is_named(host, tmp_path):
    later = tmp_path / "units" / "h.service.d" / "90-theirs.conf"
    later.write_text("[Service]\nMemoryMax=7M\n")
    state = host["h.service"]
    with pytest.raises(StrataError, match=r"memory: is set by .*90-theirs.conf"):
        plan(state, {"others": [*state.facts["others"], str(later)]}, memory="1G")


def test_a_file_of_that_name_that_is_not_ours_is_left_alone(host, tmp_path):
    (tmp_path / "units" / "h.service.d" / DROP_IN).write_text("[Service]\nMemoryMax=7M\n")
    seen = SystemdResources.read_many(None, ["h.service"])["h.service"]
    assert not plan(seen, state="absent")
    with pytest.raises(StrataError, match="was not written by this module"):
        plan(seen, memory="1G")


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ({"IOWriteIOPSMax": ["/dev/vda 5", "", "/dev/vda 1K"]}, {"write_iops": 1000}),
        ({"IOReadBandwidthMax": ["/dev/vda 2M"]}, {"read_bps": 2_000_000}),
        (
            {"IODeviceWeight": ["/dev/vda 300"], "IODeviceLatencyTargetSec": ["/dev/vda 25ms"]},
            {"weight": 300, "latency": 25_000},
        ),
        ({"IOReadBandwidthMax": ["/dev/vda infinity"]}, {}),
    ],
)
def test_devices_are_read_from_systemds_words(words, rows):
    assert CONTROLS["io"].read(words) == ({"device": "/dev/vda", **iolimits.FREE, **rows},)


def test_systemds_quota_is_finer_than_a_period():
    shown = {"CPUQuotaPerSecUSec": "333.300ms", "CPUQuotaPeriodUSec": "20ms"}
    assert quota_as_told(shown, "6666 20000")
    assert not quota_as_told(shown, "6000 20000")


@pytest.mark.parametrize(
    ("options", "facts", "words"),
    [
        ({"memory": "1G"}, {"controllers": ["cpu"]}, "memory: needs the cgroup controller memory"),
        ({"cpuset_cpus": "0-3"}, {}, "cpuset_cpus: this host has no cpu 2-3: it has 0-1"),
        ({"cpuset_mems": "1"}, {}, "cpuset_mems: this host has no memory node 1"),
        ({"io": [{"device": "/dev/vda", "latency": "25ms"}]}, {}, "io.latency: needs io.latency"),
        ({"io": [{"device": "/dev/vda", "weight": 5}]}, {}, "io.weight: the kernel weighs"),
        ({"cpus": 0.05, "cpu_period": "10ms"}, {}, "cpus: comes to less than 1ms"),
    ],
)
def test_what_this_host_cannot_do_is_refused_before(host, options, facts, words):
    with pytest.raises(StrataError, match=words):
        plan(host["batch.slice"], facts, unit="batch.slice", **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"unit": "batch"}, "unit: is no name of a unit"),
        ({"unit": "a/b.slice"}, "unit: is no name of a unit"),
        ({"unit": "a.timer"}, "unit: is no name of a unit"),
        ({"unit": "getty@.service"}, "unit: is a template"),
        ({"unit": "a--b.slice"}, "unit: is no name of a slice"),
        ({"unit": "-.slice"}, "unit: is no name of a slice"),
        ({"properties": {"MemoryMax": "1G"}}, "properties: hold MemoryMax, which is the option memory"),
        ({"properties": {"ExecStart": "/bin/x"}}, "properties: hold 'ExecStart', which is none of"),
        ({"properties": {"IPAccounting": "a\nb"}}, "single line"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(StrataError) as refused:
        SystemdResources({"unit": "batch.slice", **options})
    assert words in str(refused.value)
