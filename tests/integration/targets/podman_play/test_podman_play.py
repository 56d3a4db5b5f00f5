# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_play, looked at through Podman's own API, and by asking what runs for a page."""

from __future__ import annotations

import contextlib
import time
import urllib.request

import pytest
import yaml

from tests.lab import podman_api
from tests.lab.accounts import account
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run
from tests.lab.podman_containers import make_images

IMAGE = "localhost/web:1.0"
USER = "strata-plays"


@pytest.fixture(scope="session", autouse=True)
def _surroundings():
    with podman_api.service() as at:
        make_images(at, ("web:1.0",))
        yield
        for volume in podman_api.ask("/volumes/json"):
            if volume["Name"].startswith("strata-test"):
                podman_api.ask(f"/volumes/{volume['Name']}", "DELETE")


def documents(name: str) -> list[dict]:
    """A Deployment with a ConfigMap as files, a Secret in a variable and a volume with data."""
    word = {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": f"{name}-token", "key": "word"}}}
    mounts = [{"name": "pages", "mountPath": "/srv/www"}, {"name": "data", "mountPath": "/data"}]
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "web", "image": IMAGE, "env": [word], "volumeMounts": mounts}],
        "volumes": [
            {"name": "pages", "configMap": {"name": f"{name}-pages"}},
            {"name": "data", "persistentVolumeClaim": {"claimName": f"{name}-data"}},
        ],
    }
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-pages"}, "data": {"index.html": "hi"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{name}-token"}, "stringData": {"word": "horse"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"template": {"metadata": {"labels": {"app": name}}, "spec": spec}},
        },
    ]


def web(name: str) -> str:
    return f"{name}-pod-web"


def look(name: str) -> dict | None:
    found = podman_api.container(web(name))
    pod = podman_api.ask(f"/pods/{name}-pod/json")
    if pod is None:
        return None
    config, host = (found or {}).get("Config") or {}, (found or {}).get("HostConfig") or {}
    return {
        "Pod": pod["State"] == "Running",
        "App": pod["Labels"]["app"],
        "Tier": (config.get("Annotations") or {}).get("tier"),
        "Log": (host.get("LogConfig") or {}).get("Type"),
        "Mounts": sorted(one["Name"] for one in (found or {}).get("Mounts") or ()),
        "Inside": sorted(one["Name"] for one in pod["Containers"] if not one["Name"].endswith("-infra")),
    }


class TestPodmanPlay(Convergence):
    """Pods that are made and don't run, which is what costs."""

    case = Case(
        kind="podman_play",
        info="podman_play_info",
        a={"state": "stopped", "annotation": {"tier": "back"}, "log_driver": "k8s-file"},
        b={"state": "stopped", "annotation": {"tier": "front"}},
        own=lambda name: {"definition": documents(name)},
        look=look,
        seen_a={
            "Pod": False,
            "App": "strata-test",
            "Tier": "back",
            "Log": "k8s-file",
        },
        seen_b={"Pod": False, "Tier": "front"},
        drifts={
            "its pod is gone": lambda name: podman_api.ask(f"/pods/{name}-pod?force=true", "DELETE"),
            "its container is gone": lambda name: podman_api.remove(web(name)),
        },
        touches=(
            "engines.podman_plays.PodmanPlays.play",
            "engines.podman_pods.PodmanPods.remove_pod",
            "engines.podman_secrets.PodmanSecrets.keep_secret",
            "engines.podman.Podman.create_volume",
            "engines.podman.Podman.remove_volume",
        ),
        bad=(
            ("definition", [{"kind": "Service", "metadata": {"name": "a"}}]),
            ("definition", "kind: Pod"),
            ("kube_file", "relative"),
            ("nonsense", "1"),
        ),
    )

    def sees(self, expected: dict, name: str | None = None) -> None:
        name = name or self.case.name
        own = {"App": name, "Mounts": [f"{name}-data", f"{name}-pages"], "Inside": [web(name)]}
        super().sees({**expected, **own}, name)

    def test_what_it_made_goes_and_data_stays_unless_that_was_said(self):
        self.apply(self.case.a)
        names = {f"strata-test-{part}" for part in ("pages", "data", "token")}

        def left() -> set[str]:
            volumes = {one["Name"] for one in podman_api.ask("/volumes/json")}
            return names & (volumes | {one["Spec"]["Name"] for one in podman_api.ask("/secrets/json")})

        assert left() == names
        assert "strata-play" not in str(call("podman_secret_info", {}))
        self.apply({"state": "absent"})
        assert left() == {"strata-test-data"}
        self.apply(self.case.a)
        assert self.foretold({"state": "absent", "keep_volumes": False})["changed"]
        assert left() == set()

    def test_what_is_of_others_stays(self):
        self.apply(self.case.a)
        run("podman", "create", "--name", "strata-held", "--pod", "strata-test-pod", IMAGE)
        try:
            for spec in ({"state": "absent"}, self.case.b):
                for check in (True, False):
                    with pytest.raises(Failed, match="has strata-held in pods"):
                        self.apply(spec, check=check)
            self.unchanged(self.case.a)
            assert self.foretold({**self.case.a, "remove_orphans": True})["changed"]
            assert podman_api.container("strata-held") is None
        finally:
            podman_api.remove("strata-held")
        with pytest.raises(Failed, match="strata-test-pod, and there is one that this play didn't make"):
            call("podman_play", {"name": "strata-other", "definition": documents("strata-test")})

    def test_what_can_not_be_made_leaves_what_there_was(self):
        self.apply(self.case.a)
        broken = documents("strata-test")
        broken[2]["spec"]["template"]["spec"]["hostAliases"] = "none"
        with pytest.raises(Failed, match="what was played before is back"):
            self.apply({**self.case.a, "definition": broken})
        self.sees(self.case.seen_a)
        self.unchanged(self.case.a)


def page(port: int) -> str:
    for _try in range(100):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return answer.read().decode()
        time.sleep(0.2)
    raise AssertionError("nothing is served")


def serving(words: str, **container) -> list[dict]:
    found = documents("strata-serves")
    found[0]["data"]["index.html"] = words
    inner = found[2]["spec"]["template"]["spec"]["containers"][0]
    inner.update(ports=[{"containerPort": 8080, "hostPort": 8098, "hostIP": "127.0.0.1"}], **container)
    return found


def test_what_runs_is_replaced_with_a_way_back(tmp_path):
    def apply(definition=None, **more) -> dict:
        spec = {"name": "strata-serves", **({} if definition is None else {"definition": definition}), **more}
        foretold = call("podman_play", spec, check=True)
        done = call("podman_play", spec)
        assert foretold["changes"] == done["changes"]
        return done

    try:
        apply(serving("hello"))
        assert page(8098) == "hello"
        assert run("podman", "exec", web("strata-serves"), "/bin/busybox", "sh", "-c", "echo $WORD").strip() == "horse"
        run("podman", "pod", "stop", "strata-serves-pod")
        drift = apply(serving("hello"))
        assert {one["field"] for one in drift["changes"]} == {"state", f"containers[{web('strata-serves')}]"}
        file = tmp_path / "kube.yaml"
        run("podman", "exec", web("strata-serves"), "/bin/busybox", "touch", "/data/kept")
        file.write_text(yaml.safe_dump_all(serving("welcome")))
        changed = apply(kube_file=str(file))
        assert "pods[strata-serves-pod]" in {one["field"] for one in changed["changes"]}
        assert page(8098) == "welcome"
        with pytest.raises(Failed, match="what was played before is back"):
            call("podman_play", {"name": "strata-serves", "definition": serving("bad", command=["/nowhere"])})
        assert page(8098) == "welcome"
        run("podman", "exec", web("strata-serves"), "/bin/busybox", "test", "-e", "/data/kept")
        assert apply(kube_file=str(file))["changed"] is False
    finally:
        gone = {"name": "strata-serves", "state": "absent", "keep_volumes": False}
        call("podman_play", gone)
    assert not [one for one in podman_api.ask("/volumes/json") if one["Name"].startswith("strata-serves")]


@pytest.mark.machine  # the network of a plain user takes the host's routes, and a container of the lab's image has none
def test_of_a_plain_user_who_is_not_logged_in():
    with account(USER) as uid:
        run("systemctl", "start", f"user@{uid}.service")
        with podman_api.service(USER) as at:
            make_images(at, ("web:1.0",))
            spec = {"name": "press", "user_scope": USER, "definition": documents("press")}
            assert call("podman_play", spec)["changed"]
            for check in (True, False):
                assert call("podman_play", spec, check=check)["changes"] == []
            assert podman_api.container(web("press"), at)["State"]["Running"] is True
            (told,) = call("podman_play_info", {"user_scope": USER})["resources"]
            assert (told["name"], told["status"]) == ("press", "running")
            assert "horse" not in str(told)
            gone = {"name": "press", "user_scope": USER, "state": "absent"}
            assert [call("podman_play", gone)["changed"] for _turn in range(2)] == [True, False]
            assert podman_api.container(web("press"), at) is None
