# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declared project wants beside what there is: service by service, in values that can be compared."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import StrataError
from ..engines import compose_project as project
from ..engines.compose import Compose, Model, Source
from ..engines.docker import OURS, Document
from ..engines.docker_build import context_digest, familiar, options_digest, parts

CONTEXT, RECIPE = OURS + "compose.context", OURS + "compose.recipe"
"""The labels of an image that tell what it was built from."""

RESTARTS_DEPENDENTS = (2, 29, 3)
"""The Compose that no longer makes all containers anew that depend on one that it does."""

_STANDING = {"running": "running", "paused": "paused", "restarting": "restarting"}


@dataclass
class Wanted:
    """What was worked out before anything is touched.

    Attributes:
        model: The project, as it is given to Compose.
        services: Those that are declared: enabled by profiles, or named, with what they need.
        want: The values that are declared, by field.
        have: The values that there are, by field.
        builds: Whether an image is to be built though there is one.
        counts: Whether each service has as many containers as it should, whatever they do.
        ended: The services that have as many containers as they should, all of which run or ended well.
    """

    model: Model
    services: frozenset[str]
    want: dict[str, dict[str, Any]] = field(default_factory=dict)
    have: dict[str, dict[str, Any]] = field(default_factory=dict)
    builds: bool = False
    counts: bool = True
    ended: frozenset[str] = frozenset()


class Weighing:
    """One project, held against what there is.

    Args:
        engine: The daemon.
        name: The project.
        source: What it is made from.
        spec: The declaration.
        containers: Those of the project.
    """

    def __init__(
        self, engine: Compose, name: str, source: Source, spec: Mapping[str, Any], containers: Collection[Document]
    ) -> None:
        self.engine, self.name, self.source, self.spec = engine, name, source, spec
        self.there = project.told_apart(containers)
        self.model = self._rendered()
        self.all = self.model["services"]

    def _rendered(self) -> dict[str, Any]:
        given = "definition" if self.source.text is not None else "files" if "files" in self.spec else "project_src"
        try:
            model = dict(self.engine.render(self.name if "project_name" in self.spec else None, self.source))
        except StrataError as error:
            error.option = error.option or given
            raise
        if model["name"] != self.name:
            raise StrataError(
                f"the project calls itself {model['name']}", option="project_name", hint="Say so in project_name"
            )
        model["services"] = dict(model.get("services") or {})
        return model

    def wanted(self, old: Model, promised: Collection[str], lenient: bool) -> Wanted:
        """Everything that can differ.

        Args:
            old: The project as it was applied last, empty where nobody knows.
            promised: Images that others make before.
            lenient: An image that nobody has may still come.
        """
        labelled = self._label_builds()
        hashes = self._hashes(self.spec.get("profiles", ()))
        found = Wanted(self.model, self._services(hashes))
        if not found.services <= hashes.keys():  # naming a service enables it, whatever its profiles
            hashes = {**self._hashes(["*"]), **hashes}
        running = self.spec["state"] != "stopped"
        found.want = {sort: {} for sort in ("config", "image", "containers", "health")}
        found.have = {sort: {} for sort in ("config", "image", "containers", "health")}
        for name in sorted(found.services):
            image = self._image(name, labelled.get(name), promised, lenient)
            found.builds = found.builds or (name in labelled and image is None)
            self._say_image(found, name, image)
        self._name_shared(found.services, hashes)
        made_again = self._followers(found, hashes)
        for name in sorted(found.services):
            self._say_config(found, name, hashes.get(name), old, made_again)
            self._say_containers(found, name, running)
        found.ended = frozenset(name for name in found.services if self._ended_well(name))
        return found

    def _hashes(self, profiles: Iterable[str], services: Mapping[str, Any] | None = None) -> dict[str, str]:
        """The hashes of the services that profiles enable; of others in their place, where they are given."""
        model = self.model if services is None else {**self.model, "services": services}
        return self.engine.hashes(self.name, self.source, model, profiles)

    def _services(self, enabled: Collection[str]) -> frozenset[str]:
        asked = self.spec.get("services", ())
        unknown = sorted(set(asked) - set(self.all))
        if unknown:
            raise StrataError(
                f"has no service {unknown[0]}", option="services", hint=f"It has {', '.join(sorted(self.all))}"
            )
        for name in sorted(set(self.spec.get("scale", ())) - set(self.all)):
            raise StrataError(f"has no service {name}", option="scale", hint=f"It has {', '.join(sorted(self.all))}")
        if not asked:
            return frozenset(enabled)
        return frozenset(project.closure(self.all, asked) if self.spec["dependencies"] else asked)

    # Images.

    def _label_builds(self) -> dict[str, dict[str, str]]:
        """Have what is to be built each time say what it was built from: so a run without news builds nothing.

        The hash of a service doesn't cover how its image is built (docker/compose: pkg/compose/hash.go).
        """
        found = {}
        for name, service in self.all.items():
            build = service.get("build")
            if build and (self.spec["build"] == "always" or service.get("pull_policy") == "build"):
                folder, dockerfile = build.get("context", ""), build.get("dockerfile") or "Dockerfile"
                content = context_digest(folder, dockerfile) if os.path.isdir(folder) else folder
                found[name] = {CONTEXT: content, RECIPE: options_digest(build)}
                build = {**build, "labels": {**(build.get("labels") or {}), **found[name]}}
                self.all[name] = {**service, "build": build}
        return found

    def _image(
        self, name: str, labelled: Mapping[str, str] | None, promised: Collection[str], lenient: bool
    ) -> str | None:
        """The ID of the image of a service; None: that of one which is to be pulled or built, or is made before."""
        service = self.all[name]
        reference = familiar(project.image_of(self.name, name, service))
        image = self.engine.image(reference)
        where = {"option": f"services.{name}.image", "value": reference}
        policy = self.spec["pull"] if self.spec["pull"] != "policy" else service.get("pull_policy") or "missing"
        if service.get("build"):
            if image is None and self.spec["build"] == "never":
                raise StrataError("is not on this host", hint="Let it be built: build: policy", **where)
            made_from = ((image or {}).get("Config") or {}).get("Labels") or {}
            built = image is not None and (labelled or {}).items() <= made_from.items()
            return image["Id"] if image is not None and built else None
        if image is None and policy == "never":
            raise StrataError("is not on this host", hint="Pull or build it before, or leave pull: never out", **where)
        if reference in promised or (lenient and image is None):
            return image["Id"] if image is not None else None
        if image is not None and policy != "always":
            return str(image["Id"])
        try:
            digest = self.engine.published(reference)
        except StrataError as error:
            said = f"is not on this host, or not current, and its registry can't be asked: {error.message}"
            raise StrataError(said, hint=error.hint, **where) from None
        if digest is None:
            raise StrataError("is in no registry", **where)
        current = image is not None and digest in [parts(one)[1] for one in image.get("RepoDigests") or ()]
        return str(image["Id"]) if image is not None and current else None

    def _say_image(self, found: Wanted, name: str, image: str | None) -> None:
        made_from = {project.labels(one).get(project.IMAGE) for one in self.there.get(name, ())}
        if made_from:
            found.have["image"][name] = next(iter(made_from - {image}), image)
            found.want["image"][name] = image or ("built" if self.all[name].get("build") else "pulled")

    # Services.

    def _name_shared(self, names: Collection[str], hashes: dict[str, str]) -> None:
        """Bring hashes to what Compose compares: there, what a service shares is named by a container."""
        resolved = dict(self.all)
        for name in names:
            shared = project.joined(self.all[name])
            others = {option: self.there.get(other, [])[:1] for option, other in shared.items()}
            if shared and all(others.values()) and not self._made_as(name, hashes.get(name)):
                ids = {option: f"container:{one['Id']}" for option, (one,) in others.items()}
                resolved[name] = {**self.all[name], **ids}
        if resolved != self.all:
            again = self._hashes(["*"], resolved)
            hashes.update({name: again[name] for name in names if resolved[name] != self.all[name] and name in again})
        for name in names:
            if self.all[name].get("volumes_from") and self.there.get(name):
                # Compose names containers there in a way that no file can: what is kept has to tell.
                hashes[name] = project.labels(self.there[name][0]).get(project.HASH, "")

    def _followers(self, found: Wanted, hashes: Mapping[str, str]) -> dict[str, str]:
        """The services that are made again with another one, without a change of their own: that one.

        Those that share something with a container that is new, and with an older Compose all that depend on one that
        is replaced (docker/compose, pull request 12122).
        """
        have, want = found.have["image"], found.want["image"]
        changed = {
            name
            for name in found.services
            if not self._made_as(name, hashes.get(name)) or have.get(name) != want.get(name)
        }
        replaced = any(self.there.get(name) for name in changed)
        depends = replaced and self.engine.version() < RESTARTS_DEPENDENTS
        follows: dict[str, str] = {}
        while True:
            again = changed | follows.keys()
            new = {}
            for name in sorted(found.services - follows.keys()):
                others = [one for one in self.all[name].get("depends_on") or () if depends and self.there.get(one)]
                for other in [*project.joined(self.all[name]).values(), *others]:
                    if other in again and self.there.get(name):
                        new[name] = other
            if not new:
                return follows
            follows.update(new)

    def _made_as(self, name: str, wanted: str | None) -> bool:
        there = self.there.get(name, ())
        return bool(there) and all(project.labels(one).get(project.HASH) == wanted for one in there)

    def _say_config(
        self, found: Wanted, name: str, wanted: str | None, old: Model, made_again: Mapping[str, str]
    ) -> None:
        new = dict(project.flat(_weighed(self.all[name]), name))
        if not self.there.get(name):
            found.want["config"].update(new)
            return
        made_by_us = all(project.made_by_us(one) for one in self.there[name])
        last = (old.get("services") or {}).get(name) if made_by_us else None
        before = dict(project.flat(_weighed(last or {}), name))
        news = last is not None and before != new
        if self._made_as(name, wanted) and not (news and self.all[name].get("volumes_from")):
            if name in made_again:
                found.have["config"][name], found.want["config"][name] = "made", f"made again with {made_again[name]}"
            return
        if news:
            found.have["config"].update(before)
            found.want["config"].update({**dict.fromkeys(before), **new})
        else:
            hashes = {project.labels(one).get(project.HASH) for one in self.there[name]}
            found.have["config"][name] = f"hash {next(iter(hashes - {wanted}), wanted)}"
            found.want["config"][name] = f"hash {wanted}"

    def _say_containers(self, found: Wanted, name: str, running: bool) -> None:
        there = self.there.get(name, [])
        number = self._number(name)
        found.counts = found.counts and len(there) == number
        ends = running and self._is_to_end(name)
        words = Counter(
            "running" if ends and project.ran_well(one) else _STANDING.get(one["State"], "stopped") for one in there
        )
        have = ", ".join(f"{count} {word}" for word, count in sorted(words.items()))
        found.have["containers"][name] = have or "none"
        found.want["containers"][name] = f"{number} {'running' if running else 'stopped'}" if number else "none"
        sick = [word for word in map(project.health, there) if word]
        if running and self.spec["wait"] and sick:
            found.have["health"][name] = next((word for word in sick if word != "healthy"), "healthy")
            found.want["health"][name] = "healthy"

    def _is_to_end(self, name: str) -> bool:
        """Whether another service waits for it to end well."""
        return any(
            ((service.get("depends_on") or {}).get(name) or {}).get("condition") == "service_completed_successfully"
            for service in self.all.values()
        )

    def _ended_well(self, name: str) -> bool:
        there = self.there.get(name, ())
        well = all(one["State"] == "running" or project.ran_well(one) for one in there)
        return well and len(there) == self._number(name)

    def _number(self, name: str) -> int:
        return int(self.spec.get("scale", {}).get(name, project.replicas(self.all[name])))


def _weighed(service: Mapping[str, Any]) -> dict[str, Any]:
    """A service without what has no say in its containers (docker/compose: pkg/compose/hash.go)."""
    weighed = {key: value for key, value in service.items() if key not in _WEIGHTLESS}
    if weighed.get("deploy"):
        weighed["deploy"] = {key: value for key, value in weighed["deploy"].items() if key != "replicas"}
    return weighed


_WEIGHTLESS = ("build", "pull_policy", "scale", "depends_on", "profiles")
