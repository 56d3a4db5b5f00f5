# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container, read and planned from what a real daemon (26.1) said. The engine is a folder of its answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.virt.plugins.module_utils.core import hardening
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Effect
from ansible_collections.strata.virt.plugins.module_utils.engines import docker_limits, docker_values
from ansible_collections.strata.virt.plugins.module_utils.engines.docker import OWNER
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_container import DockerContainer
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_fields import NEXT, PREVIOUS
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_reading import REPLACES

EXAMPLE = {
    "name": "web",
    "image": "web:1.0",
    "hardening": "restricted",
    "capabilities": ["NET_BIND_SERVICE"],
    "tmpfs": ["/tmp"],
    "memory": "512m",
    "cpus": 1.5,
    "pids_limit": 256,
    "published_ports": ["127.0.0.1:8080:8080"],
    "volumes": ["/srv/www:/srv/www:ro"],
}


def state_of(daemon, resource: DockerContainer):
    return resource.observe(daemon, resource.read_many(daemon, [resource.name]).get(resource.name, ABSENT))


def plan_of(daemon, **options):
    resource = DockerContainer({"name": "web", "image": "web:1.0", **options})
    return resource.plan(state_of(daemon, resource))


def fields(plan) -> list[str]:
    return [change.name for change in plan.changes]


def created(daemon) -> dict:
    return next(body for verb, *_name, body in daemon.told if verb == "create")


def test_what_docker_run_made_by_hand_is_what_the_example_declares(Daemon, answer):
    assert not plan_of(Daemon(web=answer("hand")), **{key: EXAMPLE[key] for key in EXAMPLE if key != "name"})


def test_the_example_is_compiled_to_what_docker_run_sends(Daemon, answer):
    daemon = Daemon()
    resource = DockerContainer(EXAMPLE, owner="site")
    plan = resource.plan(state_of(daemon, resource))
    assert plan.steps == ("create", "start")
    resource.create(daemon, plan)
    body, theirs = created(daemon), answer("hand")
    for key, value in body["HostConfig"].items():
        assert value == theirs["HostConfig"].get(key) or (not value and not theirs["HostConfig"].get(key)), key
    assert (body["Image"], body["User"], body["Labels"]) == ("web:1.0", "65534:65534", {OWNER: "site"})
    assert body["ExposedPorts"] == {"8080/tcp": {}}


def test_a_profile_alone_has_its_documented_defaults(Daemon):
    daemon = Daemon()
    resource = DockerContainer({"name": "web", "image": "web:1.0", "hardening": "restricted"})
    resource.create(daemon, resource.plan(state_of(daemon, resource)))
    host = created(daemon)["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (512 << 20, 10**9, 256)
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] == []
    assert host["Tmpfs"] == {path: ",".join(sorted(words.split(","))) for path, words in hardening.SCRATCH.items()}


@pytest.mark.parametrize("profile", ["baseline", "restricted"])
def test_whatever_was_loosened_is_seen(profile, Daemon, answer):
    plan = plan_of(Daemon(web=answer("loose")), hardening=profile)
    assert set(fields(plan)) >= {
        "privileged",
        "pid_mode",
        "ipc_mode",
        "uts",
        "network_mode",
        "capabilities",
        "security_opts",
        "devices",
        "volumes",
    }
    assert "recreate" in plan.steps
    assert not plan_of(Daemon(web=answer("loose")), hardening="privileged", state="present")


def test_whatever_was_loosened_is_not_carried_over(Daemon, answer):
    daemon = Daemon(web=answer("loose"))
    resource = DockerContainer({"name": "web", "image": "web:1.0", "hardening": "baseline"})
    resource.recover = resource._finish = lambda *args: None
    resource.recreate(daemon, resource.plan(state_of(daemon, resource)))
    body = created(daemon)
    host = body["HostConfig"]
    assert "host" not in [host.get(key) for key in ("PidMode", "IpcMode", "UTSMode", "UsernsMode", "NetworkMode")]
    assert (host["Privileged"], host["Binds"], host["SecurityOpt"], host["CapAdd"]) == (False, [], [], [])
    assert "MaskedPaths" not in host
    assert "Hostname" not in body
    (volume,) = host["Mounts"]
    assert volume == {
        "Type": "volume",
        "Source": answer("loose")["Mounts"][1]["Name"],
        "Target": "/data",
        "ReadOnly": False,
    }


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("capabilities", ["sys_admin"]),
        ("security_opts", ["apparmor:unconfined"]),
        ("security_opts", ["no-new-privileges=false"]),
        ("volumes", ["/run:/run:ro"]),
        ("volumes", ["/dev/mem:/mem"]),
        ("user", "root:100"),
        ("read_only", False),
        ("cap_drop", ["CHOWN"]),
        ("cpus", "max"),
    ],
)
def test_what_breaks_the_profile_is_refused_unless_excepted(option, value):
    options = {**EXAMPLE, option: value}
    with pytest.raises(StrataError, match=f"{option}: breaks the profile restricted") as refused:
        DockerContainer(options)
    assert "hardening_exceptions" in str(refused.value)
    DockerContainer({**options, "hardening_exceptions": [option]})
    with pytest.raises(StrataError, match="no profile speaks of nonsense"):
        DockerContainer({**EXAMPLE, "hardening_exceptions": ["nonsense"]})


def test_a_dropped_profile_goes_as_a_whole(Daemon, answer):
    daemon = Daemon(web=answer("hand"))
    resource = DockerContainer({"name": "web", "image": "web:1.0"}, applied=EXAMPLE)
    want = resource.plan(state_of(daemon, resource)).want
    assert (want["read_only"], want["cap_drop"], want["security_opts"], want["user"]) == (False, (), (), "")
    assert (want["memory"], want["tmpfs"], want["volumes"]) == ("max", (), ())


def test_what_the_image_gives_counts_as_unset(Daemon, answer):
    plain = answer("plain")
    assert not plan_of(
        Daemon(web=plain),
        env={"SITE": "web"},
        labels={"made.by": "test"},
        user="",
        command="/bin/busybox httpd -f -p 8080 -h /srv/www",
    )
    plan = plan_of(Daemon(web=plain), env={"SITE": "other"}, labels={"made.by": "me"})
    assert fields(plan) == ["env", "labels[made.by]"]


def test_images_are_compared_by_id(Daemon, answer):
    daemon = Daemon(web=answer("plain"))
    daemon.pictures["other:1"] = daemon.pictures["web:1.0"]
    assert not plan_of(daemon, image="other:1")
    daemon.pictures["web:1.0"] = {**daemon.pictures["web:1.0"], "Id": "sha256:new"}
    (change,) = plan_of(daemon).changes
    assert (change.field, change.before, change.after) == ("image", answer("plain")["Image"], "web:1.0")
    with pytest.raises(StrataError, match=r"docker pull nowhere:1"):
        plan_of(daemon, image="nowhere:1", pull="never")


def test_limits_change_live_and_are_lifted_by_a_new_container(Daemon, answer):
    daemon = Daemon(web=answer("hand"))
    plan = plan_of(daemon, memory="1g", cpus=1, pids_limit="max", restart_policy="always")
    assert plan.steps == ("update",)
    DockerContainer({"name": "web", "image": "web:1.0"}).update(daemon, plan)
    assert daemon.told[-1][2] == {
        "Memory": 1 << 30,
        "MemorySwap": 2 << 30,
        "NanoCpus": 10**9,
        "PidsLimit": -1,
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
    }
    lifted = plan_of(daemon, memory="max")
    assert (lifted.steps, lifted.changes[0].effect) == (("recreate",), Effect.RECREATE)
    assert plan_of(daemon, memory="max", recreate="never").restart_required == ["memory"]


def test_swap_moves_along_with_memory():
    assert docker_limits.memory_update(50, 100, 200) == {"Memory": 50, "MemorySwap": 100}
    assert docker_limits.memory_update(50, 100, 100) == {"Memory": 50, "MemorySwap": 50}
    assert docker_limits.memory_update(50, 100, -1) == {"Memory": 50, "MemorySwap": -1}
    assert docker_limits.memory_update(50, 100, 130) == {"Memory": 50, "MemorySwap": 80}


def test_a_container_with_a_quota_keeps_one(Daemon, answer):
    plain = answer("plain")
    plain["HostConfig"].update(NanoCpus=0, CpuQuota=50_000, CpuPeriod=100_000)
    daemon = Daemon(web=plain)
    plan = plan_of(daemon, cpus=1)
    DockerContainer({"name": "web", "image": "web:1.0"}).update(daemon, plan)
    assert daemon.told[-1][2] == {"CpuQuota": 100_000, "CpuPeriod": 100_000}


def test_foreign_containers_stay_foreign_and_labels_of_an_image_make_no_owner(Daemon, answer):
    plain = answer("plain")
    plain["Config"]["Labels"][OWNER] = "site"
    daemon = Daemon(web=plain)
    resource = DockerContainer({"name": "web", "image": "web:1.0"})
    assert state_of(daemon, resource).owner == "site"
    daemon.pictures["web:1.0"]["Config"]["Labels"][OWNER] = "site"  # by docker commit
    assert state_of(daemon, resource).owner is None


def replaced(answer, **state) -> tuple[dict, dict]:
    """An old container, and the one that is to replace it."""
    old, new = answer("plain"), answer("hand")
    old["State"].update({"Running": False, "Status": "exited", "FinishedAt": "2026-11-22T22:00:23.5Z", **state})
    new["Created"] = "2026-11-22T22:00:22.878011693Z"
    new["State"].update({"Running": False, "Status": "created"})
    new["Config"]["Labels"][REPLACES] = old["Id"]
    return old, new


def test_leftovers_are_told_and_cleared_up(Daemon, answer):
    old, new = replaced(answer)
    daemon = Daemon()
    daemon.put(f"web{PREVIOUS}", old)
    daemon.put(f"web{NEXT}", new)
    plan = plan_of(daemon, state="present")
    assert (fields(plan), plan.steps, plan.target) == (["leftovers"], ("recover",), "running")
    DockerContainer({"name": "web", "image": "web:1.0"}).recover(daemon, plan)
    assert daemon.told == [("remove", f"web{NEXT}"), ("rename", f"web{PREVIOUS}", "web"), ("start", "web")]
    gone = plan_of(daemon, state="absent")
    assert gone.steps == ("remove",)


def test_one_that_had_stopped_before_is_not_started(Daemon, answer):
    old, new = replaced(answer, FinishedAt="2026-11-22T22:00:22.8Z")
    daemon = Daemon()
    daemon.put("web", old)
    daemon.put(f"web{NEXT}", new)
    plan = plan_of(daemon, state="present")
    assert (plan.steps, plan.target) == (("recover",), "stopped")


def test_a_namesake_is_no_leftover(Daemon, answer):
    daemon = Daemon(web=answer("plain"))
    daemon.put(f"web{NEXT}", answer("plain"))
    assert not plan_of(daemon)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("8080:80", ["8080:80"]),
        ("80", ["80"]),
        ("127.0.0.1::80/udp", ["127.0.0.1::80/udp"]),
        ("[::1]:8080:80", ["[::1]:8080:80"]),
        ("8000-8001:90-91/tcp", ["8000:90", "8001:91"]),
        ("0.0.0.0:1:2", ["0.0.0.0:1:2"]),
    ],
)
def test_ports(said, shown):
    ports = docker_values.PORTS.parse([said])
    assert docker_values.PORTS.show(ports) == shown
    assert docker_values.PORTS.parse(shown) == ports


@pytest.mark.parametrize("said", ["x", "80-90:1-2", "0", "70000", "1:2:3:4", "80/icmp"])
def test_bad_ports_are_refused(said):
    with pytest.raises(StrataError, match="published_ports"):
        DockerContainer({"name": "web", "image": "x", "published_ports": [said]})


def test_no_address_is_every_address(Daemon, answer):
    plain = answer("plain")
    plain["HostConfig"]["PortBindings"] = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    assert not plan_of(Daemon(web=plain), published_ports=["8080:80"])


@pytest.mark.parametrize(
    ("said", "same"),
    [
        (["/a/:/b//c:rw"], ["/a:/b/c"]),
        (["/a:/b:z,ro"], ["/a:/b:ro,z"]),
        (["data:/x"], ["data:/x"]),
        (["/x"], ["/x"]),
    ],
)
def test_volumes(said, same):
    assert docker_values.BINDS.parse(said) == tuple(same)


@given(st.sampled_from(["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"]))
def test_spellings_of_no_new_privileges(said):
    assert docker_values.SECURITY.parse([said]) == ("no-new-privileges",)


@pytest.mark.parametrize(
    ("source", "writable", "out"),
    [
        ("/var/run/docker.sock", False, True),
        ("/run", False, True),
        ("/", False, True),
        ("/proc", False, False),
        ("/proc/sys", True, True),
        ("/dev/../dev/sda", True, True),
        ("/srv/www", True, False),
        ("/etc", True, True),
        ("/etc", False, False),
        ("/etc/nginx", True, False),
        ("/procession", True, False),
    ],
)
def test_paths_that_lead_out(source, writable, out):
    assert (hardening.leads_out(source, writable) is not None) is out


def test_an_export_declares_what_is_there(Daemon, answer):
    for name in ("hand", "plain"):
        daemon = Daemon(web=answer(name))
        state = DockerContainer.read_many(daemon, None)["web"]
        options = DockerContainer.export("web", state)
        resource = DockerContainer(options)
        assert not resource.plan(state_of(daemon, resource))
