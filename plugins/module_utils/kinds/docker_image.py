# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of a Docker daemon."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from typing import IO, Any

from ..core.codec import LINE, PATH, TEXT, TEXTS
from ..core.errors import StrataError
from ..core.field import Field, Role, table
from ..core.plan import Effect, Plan, State
from ..engines import buildkit, docker_build, notes
from ..engines.buildkit import BuildKit
from ..engines.docker import DEFAULT, Document
from .image import NAME, SHAPE, Image, image_fields, names

_ONLY_BUILDKIT = ("secrets", "ssh", "cache_to", "outputs")
_OUTPUTS = table(
    Field("type", TEXT, choices=("local", "tar", "oci"), required=True),
    Field("dest", PATH, required=True),
    key=lambda output: str(output["dest"]),
)
_OUT_OF_CACHE = {"nocache": None, "pull": None}


class DockerImage(Image):
    kind = "docker_image"
    fields = image_fields(
        Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT, aliases=("docker_url",)),
        Field("outputs", TEXTS, effect=Effect.LIVE, role=Role.DERIVED, default=()),
        build=(
            Field("builder", TEXT, choices=("auto", "buildkit", "classic")),
            Field("ssh", TEXTS),
            Field("outputs", _OUTPUTS),
        ),
        references=names(docker_build.familiar),
    )
    familiar = staticmethod(docker_build.familiar)

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> BuildKit:
        return BuildKit(spec.get("docker_host") or DEFAULT)

    # What was declared.

    def check(self) -> None:
        super().check()
        build = self.spec.get("build")
        if self.target == "absent" or build is None:
            return
        if self._needing and self._declared_builder == "classic":
            raise StrataError("only BuildKit has it, and build.builder is classic", option=f"build.{self._needing[0]}")
        network = build.get("network", "default")
        if self._declared_builder == "buildkit" and network not in buildkit.NETWORKS:
            raise StrataError(
                "BuildKit knows none of the daemon's networks",
                option="build.network",
                value=network,
                hint=f"Use {', '.join(buildkit.NETWORKS)}, or build.builder: classic",
            )

    @property
    def _needing(self) -> list[str]:
        """What was declared that only BuildKit has."""
        build = self.spec["build"]
        several = ["platform"] if len(build.get("platform", ())) > 1 else []
        return [option for option in _ONLY_BUILDKIT if build.get(option)] + several

    @property
    def _declared_builder(self) -> str:
        """The builder, as far as the declaration says; ``auto``: the host does."""
        build = self.spec["build"]
        given = str(build.get("builder", "auto"))
        if given != "auto":
            return given
        if self._needing:
            return "buildkit"
        return "auto" if build.get("network", "default") in buildkit.NETWORKS else "classic"

    # What there is.

    def _by_buildkit(self, engine: BuildKit) -> bool:
        """Whether BuildKit builds it: where it can, as with ``docker build``."""
        declared = self._declared_builder
        return engine.has_buildx if declared == "auto" else declared == "buildkit"

    def ignores(self, engine: BuildKit) -> tuple[str, ...]:
        own = (f"{self._dockerfile}.dockerignore",) if self._by_buildkit(engine) else ()
        return (*own, *self.ignored_by)

    def observe(self, engine: BuildKit, state: State) -> State:
        if self.target == "absent" or self.source != "build":
            return super().observe(engine, state)
        if self._declared_builder == "buildkit" and not engine.has_buildx:
            option = next(iter(self._needing), "builder")
            raise StrataError(
                "needs Docker's plugin buildx, which is not installed on this host",
                option=f"build.{option}",
                hint="Install docker-buildx-plugin from Docker, or the package docker-buildx",
            )
        self._check_store(engine)
        state = super().observe(engine, state)
        places = tuple(output["dest"] for output in self._outputs)
        for place in places:
            if not os.path.isdir(os.path.dirname(place)):
                raise StrataError("is in a folder that isn't there", option="build.outputs", value=place)
        state.facts["wanted"]["outputs"] = places
        there = tuple(place for place in places if state.exists and _noted(place) == (state.facts["id"], _shape(place)))
        return replace(state, config={**state.config, "outputs": there})

    def is_last(self, engine: BuildKit, state: State) -> bool:
        shape = state.config["shape"]
        if shape is None:
            return super().is_last(engine, state)
        return bool(shape == buildkit.UNKNOWN or engine.shape(state.facts["id"]) == shape)

    def _check_store(self, engine: BuildKit) -> None:
        """Whether the daemon's store has a place for what is to be built."""
        platforms = self.spec["build"].get("platform", ())
        archives = [output["dest"] for output in self._outputs if output["type"] == "oci"]
        if (len(platforms) < 2 and not archives) or engine.stores_in_containerd:
            return
        option, value, said = "build.platform", ",".join(platforms), "are several"
        if archives:
            option, value, said = "build.outputs", archives[0], "is to be of type oci"
        raise StrataError(
            f"{said}, which takes a daemon whose images containerd stores",
            option=option,
            value=value,
            hint='Set {"features": {"containerd-snapshotter": true}} in daemon.json; other images are not seen then',
        )

    @property
    def _outputs(self) -> tuple[dict[str, str], ...]:
        return tuple(self.spec["build"].get("outputs", ()))

    # What is to be done.

    def _build(self, engine: BuildKit, plan: Plan) -> None:
        """Build it; it gets its name at the end.

        BuildKit's history of an image doesn't tell the labels that it gave. What the image is apart from them tells
        whether they are its own, and is known once it is built: so it is built again, out of the cache, where that
        isn't what was guessed.
        """
        if not self._by_buildkit(engine):
            super()._build(engine, plan)
            return
        what, secrets = f"Building {self.name}", self.secrets()
        guess = plan.state.config.get("shape") or buildkit.UNKNOWN
        options = {**self._options(plan, guess), "cacheto": self.spec["build"].get("cache_to")}
        with self._context(engine) as context:
            image = engine.build_kit(what, context, options, secrets)
            shape = engine.shape(image)
            if shape != guess:
                again = {**self._options(plan, shape), "cacheto": options["cacheto"], **_OUT_OF_CACHE}
                image = engine.build_kit(what, context, again, secrets)
        engine.tag(image, self.name)
        engine.sweep(f"{NAME}={self.name}")

    def _context(self, engine: BuildKit) -> IO[bytes]:
        return docker_build.pack(self.spec["build"]["path"], self._dockerfile, self.ignores(engine))

    def _options(self, plan: Plan, shape: str) -> dict[str, Any]:
        build = self.spec["build"]
        labels = {**self.labels(plan), SHAPE: shape}
        return {**self.for_builder(build), "ssh": build.get("ssh"), "labels": labels}

    def update(self, engine: BuildKit, plan: Plan) -> None:
        super().update(engine, plan)
        if self.source != "build" or not self._outputs:
            return
        anew = {"create", "recreate"} & set(plan.steps)
        engine.forget_images()
        image = engine.image(self.name) or {}
        for output in self._outputs:
            if anew or output["dest"] not in plan.state.config["outputs"]:
                self._write(engine, plan, output, image)

    def _write(self, engine: BuildKit, plan: Plan, output: Mapping[str, str], image: Document) -> None:
        """Put what was built elsewhere, too: an archive as a whole, a folder file by file."""
        place = output["dest"]
        fresh = place if output["type"] == "local" else f"{place}.strata-next"
        shape = (image["Config"]["Labels"] or {}).get(SHAPE, "")
        options = {**self._options(plan, shape), **_OUT_OF_CACHE}
        with self._context(engine) as context:
            what = f"Writing {place}"
            engine.build_kit(what, context, options, self.secrets(), {"type": output["type"], "dest": fresh})
        of = {"image": image["Id"], "shape": _shape(fresh)}
        notes.announce(place, fresh, {"kind": self.kind, "owner": self.owner, "options": {}, **of})
        if fresh != place:
            os.replace(fresh, place)
        notes.settle(place)


def _shape(path: str) -> list[int] | None:
    """What tells that an archive was written again, by whomever; None for a folder, which isn't looked into."""
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns] if stat.S_ISREG(found.st_mode) else None


def _noted(path: str) -> tuple[Any, Any]:
    """Which image's it is, and what told it when it was written."""
    note = notes.read(path) or {}
    return note.get("image"), note.get("shape", [])
