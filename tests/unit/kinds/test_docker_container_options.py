# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container, option by option: what is sent for each, and that it is recognised once it is there."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.field import Role
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Effect
from ansible_collections.strata.virt.plugins.module_utils.engines import docker_limits, docker_values
from ansible_collections.strata.virt.plugins.module_utils.engines import docker_values_limits as values
from ansible_collections.strata.virt.plugins.module_utils.engines.docker import OWNER
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_container import DockerContainer

BASE = {"name": "web", "image": "web:1.0"}
H, C = "HostConfig", "of the container itself"
RATE = [{"path": "/dev/sda", "rate": "1m"}]
COUNT = [{"path": "/dev/sda", "rate": 100}]

# By option: a value, where it goes, and as what.
CASES = {
    "command": ("sleep 9", (C, "Cmd"), ["sleep", "9"]),
    "entrypoint": (["/bin/env"], (C, "Entrypoint"), ["/bin/env"]),
    "working_dir": ("/srv//www/", (C, "WorkingDir"), "/srv/www"),
    "env": ({"A": "1", "SITE": "web"}, (C, "Env"), ["A=1"]),
    "labels": ({"x": "y", "made.by": "test"}, (C, "Labels"), {"x": "y", OWNER: ""}),
    "user": ("5:6", (C, "User"), "5:6"),
    "groups": (["video", "44"], (H, "GroupAdd"), ["44", "video"]),
    "hostname": ("inner", (C, "Hostname"), "inner"),
    "domainname": ("example.com", (C, "Domainname"), "example.com"),
    "init": (True, (H, "Init"), True),
    "interactive": (True, (C, "OpenStdin"), True),
    "tty": (True, (C, "Tty"), True),
    "healthcheck": (
        {"test": "true", "interval": "1m30s", "timeout": "500ms", "start_period": "2s", "retries": 2},
        (C, "Healthcheck"),
        {
            "Test": ["CMD-SHELL", "true"],
            "Interval": 90 * 10**9,
            "Timeout": 5 * 10**8,
            "StartPeriod": 2 * 10**9,
            "Retries": 2,
        },
    ),
    "stop_signal": ("SIGQUIT", (C, "StopSignal"), "SIGQUIT"),
    "stop_timeout": (3, (C, "StopTimeout"), 3),
    "auto_remove": (True, (H, "AutoRemove"), True),
    "restart_policy": ("always", (H, "RestartPolicy"), {"Name": "always", "MaximumRetryCount": 0}),
    "restart_retries": (4, (H, "RestartPolicy"), {"Name": "on-failure", "MaximumRetryCount": 4}),
    "log_driver": ("local", (H, "LogConfig", "Type"), "local"),
    "log_options": ({"max-size": "1m"}, (H, "LogConfig", "Config"), {"max-size": "1m"}),
    "runtime": ("crun", (H, "Runtime"), "crun"),
    "memory": ("64m", (H, "Memory"), 64 << 20),
    "memory_swap": ("unlimited", (H, "MemorySwap"), -1),
    "memory_reservation": ("32m", (H, "MemoryReservation"), 32 << 20),
    "memory_swappiness": (0, (H, "MemorySwappiness"), 0),
    "kernel_memory": ("8m", (H, "KernelMemory"), 8 << 20),
    "oom_killer": (True, (H, "OomKillDisable"), True),
    "oom_score_adj": (-500, (H, "OomScoreAdj"), -500),
    "shm_size": ("32m", (H, "ShmSize"), 32 << 20),
    "cpus": ("1.5", (H, "NanoCpus"), 1_500_000_000),
    "cpu_period": (50_000, (H, "CpuPeriod"), 50_000),
    "cpu_quota": (20_000, (H, "CpuQuota"), 20_000),
    "cpu_shares": (512, (H, "CpuShares"), 512),
    "cpuset_cpus": ("0,1", (H, "CpusetCpus"), "0-1"),
    "cpuset_mems": ("0", (H, "CpusetMems"), "0"),
    "pids_limit": (64, (H, "PidsLimit"), 64),
    "ulimits": (["nofile:10", "nproc:1:2"], (H, "Ulimits", 0), {"Name": "nofile", "Soft": 10, "Hard": 10}),
    "blkio_weight": (300, (H, "BlkioWeight"), 300),
    "device_read_bps": (RATE, (H, "BlkioDeviceReadBps"), [{"Path": "/dev/sda", "Rate": 1 << 20}]),
    "device_write_bps": (RATE, (H, "BlkioDeviceWriteBps"), [{"Path": "/dev/sda", "Rate": 1 << 20}]),
    "device_read_iops": (COUNT, (H, "BlkioDeviceReadIOps"), [{"Path": "/dev/sda", "Rate": 100}]),
    "device_write_iops": (COUNT, (H, "BlkioDeviceWriteIOps"), [{"Path": "/dev/sda", "Rate": 100}]),
    "network_mode": ("host", (H, "NetworkMode"), "host"),
    "networks": (
        [
            {
                "name": "front",
                "links": ["db"],
                "driver_opts": {"com.docker.network.endpoint.ifname": "web0"},
                "aliases": ["www"],
            }
        ],
        ("NetworkingConfig", "EndpointsConfig", "front"),
        {
            "Aliases": ["www"],
            "IPAMConfig": {},
            "Links": ["db:db"],
            "DriverOpts": {"com.docker.network.endpoint.ifname": "web0"},
        },
    ),
    "mac_address": (
        "02:42:ac:11:00:09",
        ("NetworkingConfig", "EndpointsConfig", "bridge", "MacAddress"),
        "02:42:ac:11:00:09",
    ),
    "published_ports": (
        ["127.0.0.1:8080:80", "9000-9010:81"],
        (H, "PortBindings"),
        {
            "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
            "81/tcp": [{"HostIp": "", "HostPort": "9000-9010"}],
        },
    ),
    "exposed_ports": (["53/udp", "90-91", 8080], (C, "ExposedPorts"), {"53/udp": {}, "90/tcp": {}, "91/tcp": {}}),
    "publish_all_ports": (True, (H, "PublishAllPorts"), True),
    "links": (["db", "cache:c"], (H, "Links"), ["cache:c", "db:db"]),
    "dns_servers": (["192.0.2.2", "192.0.2.1"], (H, "Dns"), ["192.0.2.2", "192.0.2.1"]),
    "dns_search_domains": (["b.example", "a.example"], (H, "DnsSearch"), ["b.example", "a.example"]),
    "dns_opts": (["ndots:2", "edns0"], (H, "DnsOptions"), ["edns0", "ndots:2"]),
    "etc_hosts": ({"db": "192.0.2.7", "six": "2001:db8::7"}, (H, "ExtraHosts"), ["db:192.0.2.7", "six:2001:db8::7"]),
    "volumes": (["/a:/b:ro", "data:/c", "/data", "/d"], (H, "Binds"), ["/a:/b:ro", "data:/c"]),
    "mounts": (
        [
            {"target": "/e", "source": "/srv", "type": "bind", "read_only": True, "propagation": "rslave"},
            {"target": "/f", "type": "tmpfs", "tmpfs_size": "1m", "tmpfs_mode": "1777"},
            {"target": "/g", "source": "data", "no_copy": True, "volume_driver": "local", "labels": {"a": True}},
            {"target": "/data"},
            {"target": "/h"},
        ],
        (H, "Mounts"),
        [
            {
                "Target": "/e",
                "Source": "/srv",
                "Type": "bind",
                "ReadOnly": True,
                "BindOptions": {"Propagation": "rslave"},
            },
            {
                "Target": "/f",
                "Type": "tmpfs",
                "ReadOnly": False,
                "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1777},
            },
            {
                "Target": "/g",
                "Source": "data",
                "Type": "volume",
                "ReadOnly": False,
                "VolumeOptions": {"NoCopy": True, "Labels": {"a": "true"}, "DriverConfig": {"Name": "local"}},
            },
            {"Target": "/h", "Type": "volume", "ReadOnly": False},
        ],
    ),
    "tmpfs": (["/t:size=1m,mode=700"], (H, "Tmpfs"), {"/t": "mode=700,size=1m"}),
    "volumes_from": (["db:ro"], (H, "VolumesFrom"), ["db:ro"]),
    "volume_driver": ("local", (H, "VolumeDriver"), "local"),
    "storage_opts": ({"size": "1G"}, (H, "StorageOpt"), {"size": "1G"}),
    "read_only": (True, (H, "ReadonlyRootfs"), True),
    "privileged": (True, (H, "Privileged"), True),
    "capabilities": (["cap_net_admin"], (H, "CapAdd"), ["NET_ADMIN"]),
    "cap_drop": (["ALL"], (H, "CapDrop"), ["ALL"]),
    "security_opts": (["no-new-privileges:true"], (H, "SecurityOpt"), ["no-new-privileges"]),
    "cgroupns_mode": ("host", (H, "CgroupnsMode"), "host"),
    "ipc_mode": ("shareable", (H, "IpcMode"), "shareable"),
    "pid_mode": ("container:db", (H, "PidMode"), "container:db"),
    "userns_mode": ("host", (H, "UsernsMode"), "host"),
    "uts": ("host", (H, "UTSMode"), "host"),
    "devices": (
        ["/dev/fuse", "/dev/sda:/dev/xvda:mr"],
        (H, "Devices"),
        [
            {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"},
            {"PathOnHost": "/dev/sda", "PathInContainer": "/dev/xvda", "CgroupPermissions": "rm"},
        ],
    ),
    "device_cgroup_rules": (["c 42:* rmw"], (H, "DeviceCgroupRules"), ["c 42:* rmw"]),
    "device_requests": (
        [{"driver": "nvidia", "count": -1, "capabilities": [["gpu", "utility"]], "device_ids": []}],
        (H, "DeviceRequests"),
        [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu", "utility"]]}],
    ),
    "sysctls": ({"net.core.somaxconn": 1024}, (H, "Sysctls"), {"net.core.somaxconn": "1024"}),
    "cgroup_parent": ("batch.slice", (H, "CgroupParent"), "batch.slice"),
}
BESIDE = {
    "memory_swap": {"memory": "64m"},
    "restart_retries": {"restart_policy": "on-failure"},
    "log_options": {"log_driver": "json-file"},
}
LIVE = {
    *("memory", "memory_swap", "memory_reservation", "kernel_memory", "pids_limit", "blkio_weight", "networks"),
    *("cpus", "cpu_period", "cpu_quota", "cpu_shares", "cpuset_cpus", "cpuset_mems"),
    *("restart_policy", "restart_retries"),
}
SETTINGS = [field.name for field in DockerContainer.fields if field.role is Role.SETTING]


def spec_of(option: str) -> dict:
    return {**BASE, option: CASES[option][0], **BESIDE.get(option, {})}


def observed(daemon, resource):
    return resource.observe(daemon, resource.read_many(daemon, [resource.name]).get(resource.name, ABSENT))


def made(daemon, resource) -> dict:
    """The request that makes it."""
    daemon.told.clear()
    resource.create(daemon, resource.plan(observed(daemon, resource)))
    return next(body for verb, *_name, body in daemon.told if verb == "create")


def inspected(body: dict, image: dict) -> dict:
    """What the daemon then says of it: what isn't set comes from the image."""
    given = image["Config"]
    sent = {key: value for key, value in copy.deepcopy(body).items() if key not in ("HostConfig", "NetworkingConfig")}
    config = {**given, **{key: value for key, value in sent.items() if value is not None}}
    if sent.get("Entrypoint"):
        config["Cmd"] = sent.get("Cmd")
    env = dict(line.split("=", 1) for line in [*given["Env"], *sent.get("Env", [])])
    config["Env"] = [f"{key}={value}" for key, value in env.items()]
    for key in ("Labels", "Volumes", "ExposedPorts"):
        config[key] = {**(given.get(key) or {}), **(sent.get(key) or {})}
    check = {**(given.get("Healthcheck") or {}), **(sent.get("Healthcheck") or {})}
    config.update({"Healthcheck": check} if check else {})
    config["Hostname"] = sent.get("Hostname") or "0123456789ab"
    mode = body["HostConfig"].get("NetworkMode") or "bridge"
    places = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {mode: {}}
    return {
        "Id": "0123456789ab" + "0" * 52,
        "Image": image["Id"],
        "Config": config,
        "HostConfig": {"IpcMode": "private", "CgroupnsMode": "private", **copy.deepcopy(body["HostConfig"])},
        "NetworkSettings": {"Networks": places},
        "Mounts": [],
        "State": {"Running": True, "Status": "running", "Paused": False, "Pid": 7},
    }


def everything(daemon) -> None:
    """A daemon that honours all there is."""
    daemon.api = (1, 48)
    able = {"KernelMemory": True, "OomKillDisable": True, "CgroupVersion": "1", "SwapLimit": True}
    daemon.info = lambda: able


@pytest.fixture(name="daemon")
def _daemon(Daemon):
    daemon = Daemon()
    everything(daemon)
    daemon.networks = lambda: [{"Name": "front"}]
    return daemon


def test_no_option_lacks_a_case():
    assert set(CASES) | {"image", "platform"} == set(SETTINGS)


@pytest.mark.parametrize("option", CASES)
def test_what_is_sent(daemon, option):
    body = made(daemon, DockerContainer(spec_of(option)))
    _value, path, sent = CASES[option]
    found = body
    for part in path[path[0] == C :]:
        found = found[part]
    assert found == sent


@pytest.mark.parametrize("option", CASES)
def test_what_was_made_is_as_declared(daemon, option):
    resource = DockerContainer(spec_of(option))
    daemon.put("web", inspected(made(daemon, resource), daemon.pictures["web:1.0"]))
    again = DockerContainer({**spec_of(option), "comparisons": {"image": "strict"}})
    assert [change.name for change in again.plan(observed(daemon, again)).changes] == []
    state = observed(daemon, again)
    export = DockerContainer({**DockerContainer.export("web", state), "name": "web"})
    assert [change.name for change in export.plan(observed(daemon, export)).changes] == []


@pytest.mark.parametrize("option", CASES)
def test_where_it_is_not_so_it_is_changed_at_its_cost(daemon, answer, option):
    plain = answer("plain")
    plain["HostConfig"].update(NanoCpus=0, CpuQuota=0)
    daemon.put("web", plain)
    resource = DockerContainer(spec_of(option))
    changes = [change for change in resource.plan(observed(daemon, resource)).changes if change.field == option]
    assert changes
    assert {change.effect for change in changes} == {Effect.LIVE if option in LIVE else Effect.RECREATE}


@pytest.mark.parametrize("option", sorted(LIVE - {"networks"}))
def test_it_is_updated_live(daemon, answer, option):
    plain = answer("plain")
    plain["HostConfig"].update(NanoCpus=0, CpuQuota=0)
    daemon.put("web", plain)
    daemon.update = lambda _id, body: daemon.told.append(("update", body)) or []
    resource = DockerContainer(spec_of(option))
    resource.update(daemon, resource.plan(observed(daemon, resource)))
    ((_verb, body),) = daemon.told
    assert body[CASES[option][1][-1]] == CASES[option][2]


@pytest.mark.parametrize("option", sorted(set(CASES) - {"auto_remove", "mac_address"}))
def test_what_a_stack_no_longer_declares_goes_back(daemon, option):
    before = DockerContainer(spec_of(option))
    daemon.put("web", inspected(made(daemon, before), daemon.pictures["web:1.0"]))
    applied = {key: value for key, value in spec_of(option).items() if key not in BASE}
    after = DockerContainer(BASE, applied=applied)
    plan = after.plan(observed(daemon, after))
    assert option in {change.field for change in plan.changes}
    daemon.documents.clear()
    fresh = DockerContainer(BASE)
    daemon.put("web", inspected(made(daemon, fresh), daemon.pictures["web:1.0"]))
    assert not after.plan(observed(daemon, after))


# Health.


def test_an_images_own_check_counts_as_unset(daemon):
    own = {"Test": ["CMD", "true"], "Interval": 10**9}
    daemon.pictures["web:1.0"]["Config"]["Healthcheck"] = own
    daemon.put("web", inspected(made(daemon, DockerContainer(BASE)), daemon.pictures["web:1.0"]))
    for check in ({"test": ["CMD", "true"]}, {"test_cli_compatible": True, "interval": "1s"}):
        resource = DockerContainer({**BASE, "healthcheck": check})
        assert not resource.plan(observed(daemon, resource))
    none = DockerContainer({**BASE, "healthcheck": {}})
    (change,) = none.plan(observed(daemon, none)).changes
    assert (change.name, change.after) == ("healthcheck[test]", ["NONE"])
    daemon.told.clear()
    longer = DockerContainer({**BASE, "healthcheck": {"test_cli_compatible": True, "interval": "9s"}})
    daemon.documents.clear()
    assert made(daemon, longer)["Healthcheck"] == {"Interval": 9 * 10**9}


def test_healthy_waits_and_tells_what_the_check_said(daemon, answer):
    ill = answer("plain")
    ill["State"]["Health"] = {"Status": "unhealthy", "Log": [{"Output": "no\n route"}, {"Output": "refused"}]}
    daemon.put("web", ill)
    resource = DockerContainer({**BASE, "state": "healthy", "healthy_wait_timeout": 0.01})
    plan = resource.plan(observed(daemon, resource))
    assert (plan.steps, [change.name for change in plan.changes]) == (("prove",), ["health"])
    with pytest.raises(StrataError, match="saying: no route; refused"):
        resource.prove(daemon, plan)
    ill["State"]["Health"]["Status"] = "healthy"
    daemon.put("web", ill)
    assert not resource.plan(observed(daemon, resource))
    resource.prove(daemon, plan)


def test_a_new_one_that_is_to_be_healthy_is_waited_for(daemon):
    resource = DockerContainer({**BASE, "state": "healthy"})
    assert resource.plan(observed(daemon, resource)).steps == ("create", "start", "prove")


# Values.


@pytest.mark.parametrize(
    ("said", "nanoseconds", "shown"),
    [
        ("90", 90 * 10**9, "1m30s"),
        ("1.5s", 15 * 10**8, "1s500ms"),
        ("1h2us", 3600 * 10**9 + 2000, "1h2us"),
        (0, 0, "0s"),
    ],
)
def test_durations(said, nanoseconds, shown):
    assert values.parse_span(said) == nanoseconds
    assert values.show_span(nanoseconds) == shown
    assert values.parse_span(shown) == nanoseconds


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("cpus", -1, "at least 0.01"),
        ("ulimits", ["nofile"], "no ulimit"),
        ("devices", ["fuse"], "no device"),
        ("device_cgroup_rules", ["c 42"], "no rule"),
        ("healthcheck", {"test": ["true"]}, "must begin with"),
        ("healthcheck", {"test": "true", "interval": "soon"}, "no duration"),
        ("memory_swap", "x", "no size"),
        ("cpu_period", 5, "must be from 1000"),
        ("oom_score_adj", 2000, "must be from -1000"),
        ("links", [":x"], "no link"),
        ("exposed_ports", ["80:80"], "is published"),
        ("mounts", [{"target": "/a", "type": "bind"}], "mounts.source: is required"),
        ("mounts", [{"target": "/a", "tmpfs_size": "1m"}], "for mounts of type tmpfs"),
        ("mounts", [{"target": "/a", "type": "tmpfs", "tmpfs_options": [{"a": 1, "b": 2}]}], "one option an entry"),
        ("mounts", [{"target": "/a", "type": "tmpfs", "tmpfs_mode": "rwx"}], "no mode"),
        ("env", {"A": True}, "quote it"),
        ("recreate", "sometimes", "must be one of never, if_needed, always, true or false"),
        ("comparisons", {"env": "loosely"}, "use strict"),
        ("comparisons", {"nonsense": "strict"}, "no setting of a container"),
        ("comparisons", {"user": "allow_more_present"}, "lists and mappings"),
        ("healthy_wait_timeout", "soon", "no number"),
        ("platform", "a/b/c/d", "no platform"),
    ],
)
def test_bad_values_are_refused(option, value, said):
    with pytest.raises(StrataError, match=said) as refused:
        DockerContainer({**BASE, option: value})
    assert str(refused.value).startswith(f"docker_container/web: {option}")


@pytest.mark.parametrize(
    ("more", "option"),
    [
        ({"cpus": 1, "cpu_quota": 1000}, "cpus"),
        ({"restart_policy": "always", "restart_retries": 3}, "restart_retries"),
        ({"network_mode": "host", "networks": [{"name": "a"}]}, "network_mode"),
        ({"auto_remove": True, "restart_policy": "always"}, "auto_remove"),
        ({"auto_remove": True, "state": "stopped"}, "auto_remove"),
        ({"memory": "64m", "memory_swap": "32m"}, "memory_swap"),
        ({"volumes": ["/a:/x"], "mounts": [{"target": "/x"}]}, "mounts"),
        ({"volumes": ["/a:/x"], "tmpfs": ["/x"]}, "tmpfs"),
        ({"image": None, "state": "present"}, "image"),
    ],
)
def test_what_does_not_go_together_is_refused(more, option):
    with pytest.raises(StrataError, match=f"docker_container/web: {option}: "):
        DockerContainer({**BASE, **more})


def test_an_environment_from_a_file(daemon, tmp_path):
    path = tmp_path / "variables"
    path.write_text("# said\n\nA=1\nB=x=y\nSITE=web\n")
    body = made(daemon, DockerContainer({**BASE, "env_file": str(path), "env": {"A": "2"}}))
    assert sorted(body["Env"]) == ["A=2", "B=x=y"]
    path.write_text("nonsense\n")
    with pytest.raises(StrataError, match="env_file: line 1 is no NAME=value"):
        made(daemon, DockerContainer({**BASE, "env_file": str(path)}))
    with pytest.raises(StrataError, match="env_file: can't be read: No such file"):
        made(daemon, DockerContainer({**BASE, "env_file": str(tmp_path / "none")}))
    assert docker_values.env_file("") == {}


def test_swap_that_is_declared_stays(daemon, answer):
    daemon.put("web", answer("hand"))  # 512M, and as much swap
    daemon.update = lambda _id, body: daemon.told.append(body) or []
    resource = DockerContainer({**BASE, "memory": "256m", "memory_swap": "1g"})
    resource.update(daemon, resource.plan(observed(daemon, resource)))
    assert daemon.told == [{"Memory": 256 << 20, "MemorySwap": 1 << 30}]
    assert docker_limits.swap_beside(1 << 30, 512 << 20) == 0
