# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declaration of a container leads to, given its image and what is there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core.codec import MAX
from ..core.errors import StrataError
from ..core.field import Field
from ..engines.docker_at import own
from ..engines.docker_build import familiar
from ..engines.docker_config import NO_LABEL, adds_no_label
from ..engines.docker_limits import swap_beside
from ..engines.docker_networks import shares
from ..engines.docker_values import bracketed, joined, split_port
from ..engines.docker_values_limits import check_beside
from .docker_fields import IGNORE, MORE, STRICT

Values = Mapping[str, Any]

FROM_IMAGE = (
    "command",
    "entrypoint",
    "env",
    "exposed_ports",
    "healthcheck",
    "labels",
    "stop_signal",
    "user",
    "volumes",
    "working_dir",
)
"""What an image may give."""

_COMPATIBLE = {
    "auto_remove": False,
    "detach": True,
    "init": False,
    "interactive": False,
    "memory": MAX,
    "paused": False,
    "privileged": False,
    "read_only": False,
    "tty": False,
}


def complete(spec: dict[str, Any], options: Values) -> None:
    """Add what some options say of others, or of their absence."""
    if spec["container_default_behavior"] == "compatibility":
        for option, value in _COMPATIBLE.items():
            spec.setdefault(option, value)
    if spec.get("detach") is False and spec.get("auto_remove"):
        # The same in the end; but the daemon would take it away before anybody could ask how it went.
        spec.update(auto_remove=False, cleanup=True)
    if spec["command_handling"] == "compatibility":
        for option in ("command", "entrypoint"):
            if option in spec:
                spec[option] = joined(options[option])
                if not spec[option]:
                    del spec[option]


def check(spec: Values, fields: Sequence[Field]) -> None:
    """Refuse options that don't go together."""
    for other in ("cpu_period", "cpu_quota"):
        if "cpus" in spec and spec.get(other):
            raise StrataError(f"can't go with {other}: both limit the same cpu time", option="cpus")
    if spec.get("restart_retries") and spec.get("restart_policy") != "on-failure":
        raise StrataError(
            "needs restart_policy: on-failure beside it", option="restart_retries", value=spec["restart_retries"]
        )
    mode = spec.get("network_mode")
    if shares(mode) and spec.get("networks"):
        raise StrataError("can't go with networks: it is no network", option="network_mode", value=mode)
    if spec.get("auto_remove") and spec.get("restart_policy", "no") != "no":
        raise StrataError("can't go with restart_policy: either it is removed or it starts again", option="auto_remove")
    memory, swap = spec.get("memory"), spec.get("memory_swap", 0)
    if memory not in (None, MAX) and 0 < swap < memory:
        raise StrataError("must be memory and swap together, and is less than memory", option="memory_swap")
    _check_targets(spec)
    _check_comparisons(by_name(spec.get("comparisons", {}), fields), fields)


def _check_targets(spec: Values) -> None:
    seen: dict[str, str] = {}
    for option, target in targets(spec):
        if target in seen:
            where = f"twice in {option}" if seen[target] == option else f"in {seen[target]} and in {option}"
            raise StrataError(f"mounts {target} {where}", option=option)
        seen[target] = option


def targets(spec: Values) -> Iterable[tuple[str, str]]:
    """Where something is mounted, and the option that says so."""
    for bind in spec.get("volumes", ()):
        yield "volumes", bind.split(":")[1] if ":" in bind else bind
    for row in spec.get("mounts", ()):
        yield "mounts", row["target"]
    for mount in spec.get("tmpfs", ()):
        yield "tmpfs", mount.partition(":")[0]


def _check_comparisons(words: Mapping[str, str], fields: Iterable[Field]) -> None:
    known = {field.name: field for field in fields}
    for option, word in words.items():
        if option == "*":
            continue
        field = known.get(option)
        if field is None:
            raise StrataError(f"names {option}, which is no setting of a container", option="comparisons")
        if word == MORE and field.codec.type not in ("list", "dict"):
            raise StrataError(f"compares {option} by {MORE}, which is for lists and mappings", option="comparisons")


def by_name(words: Mapping[str, str], fields: Iterable[Field]) -> dict[str, str]:
    """The words of ``comparisons`` by the names of options, whichever of their names were given."""
    names = {alias: field.name for field in fields for alias in field.aliases}
    return {names.get(option, option): word for option, word in words.items()}


# What is wanted, in the words of what is observed.


def beside(want: dict[str, Any], spec: Values, image: Values, config: Values, image_id: str | None) -> dict[str, Any]:
    """Wanted values as they are observed: what the image gives anyhow counts as unset.

    Args:
        want: The values.
        spec: The declaration.
        image: What the image gives; its ID is None where it is to be pulled.
        config: The canonical values of the container that there is.
        image_id: The image of that container.
    """
    if "image" in want:
        want["image"] = _image(spec, image, config, image_id)
    if "platform" in want and (config.get("platform") or "").startswith(f"{want['platform']}/"):
        want["platform"] = config["platform"]  # the variant, which nobody named
    if "env" in want:
        want["env"] = own(want["env"], image["env"])
    if "labels" in want:
        there = image["labels"]
        want["labels"] = {key: None if there.get(key) == item else item for key, item in want["labels"].items()}
    for name in ("entrypoint", "user", "working_dir", "stop_signal"):
        if name in want and want[name] == image[name]:
            want[name] = () if name == "entrypoint" else ""
    entrypoint = want.get("entrypoint", config.get("entrypoint"))
    if "command" in want and want["command"] == image["command"] and not entrypoint:
        want["command"] = ()
    if want.get("healthcheck"):
        want["healthcheck"] = check_beside(want["healthcheck"], image["healthcheck"] or {})
    if "volumes" in want:
        want["volumes"] = tuple(bind for bind in want["volumes"] if bind not in image["volumes"])
    if "mounts" in want:
        want["mounts"] = tuple(row for row in want["mounts"] if not _is_given(row, image["volumes"]))
    if "memory_swap" in want:
        want["memory_swap"] = swap_beside(want["memory_swap"], want.get("memory") or config.get("memory") or MAX)
    if "published_ports" in want:
        want["published_ports"] = _ports(want["published_ports"], spec, config)
    if "exposed_ports" in want:
        ports = want["published_ports"] if "published_ports" in want else config.get("published_ports") or ()
        published = {split_port(port)[2] for port in ports}
        want["exposed_ports"] = tuple(sorted({*want["exposed_ports"]} - {*image["exposed_ports"]} - published))
    if "security_opts" in want and adds_no_label({**config, **want}, ("privileged", "pid_mode", "ipc_mode")):
        want["security_opts"] = tuple(word for word in want["security_opts"] if word != NO_LABEL)
    for name in ("mac_address", "platform"):
        if name in want and want[name] is None:
            del want[name]  # nothing to go back to
    return want


def _image(spec: Values, image: Values, config: Values, image_id: str | None) -> Any:
    if image["id"] is None:
        return f"{spec['image']} (pulled)"
    renamed = spec["image_name_mismatch"] == "recreate" and familiar(config.get("image", "")) != familiar(spec["image"])
    return config["image"] if image_id == image["id"] and not renamed else spec["image"]


def _is_given(row: Values, volumes: Iterable[str]) -> bool:
    """Whether it is a volume without a name where the image has one."""
    return set(row) == {"target", "type"} and row["type"] == "volume" and row["target"] in volumes


def _ports(ports: Iterable[str], spec: Values, config: Values) -> tuple[str, ...]:
    address = spec.get("default_host_ip")
    if address:
        ports = [f"{bracketed(address)}{port}" if port.startswith(":") else port for port in ports]
    # No address is every address, which some tools write as 0.0.0.0.
    there = config.get("published_ports", ())
    every = {port: f"0.0.0.0{port}" for port in ports if f"0.0.0.0{port}" in there}
    return tuple(sorted(every.get(port, port) for port in ports))


def with_mode(want: dict[str, Any], spec: Values, config: Values, usual: str) -> None:
    """Have ``networks`` and ``network_mode`` agree on what a container is connected to."""
    if "networks" not in spec:
        return
    names = {row["name"] for row in want["networks"]}
    mode = want.get("network_mode") if "network_mode" in spec else None
    if mode is None and not spec["networks_cli_compatible"] and not config:
        mode = usual
    if mode and not shares(mode) and mode not in names:
        want["networks"] = tuple(sorted([*want["networks"], {"name": mode}], key=lambda row: str(row["name"])))


def without_unknown(want: dict[str, Any], config: Values) -> None:
    """Leave out the MAC addresses that a container which was stopped doesn't tell: it has them again once it runs."""
    silent = {row["name"] for row in config.get("networks", ()) if not row.get("mac_address")}
    if "networks" in want:
        want["networks"] = tuple(
            {leaf: value for leaf, value in row.items() if leaf != "mac_address" or row["name"] not in silent}
            for row in want["networks"]
        )
    if not config.get("mac_address"):
        want.pop("mac_address", None)


# Comparing otherwise than strictly.


def words_of(spec: Values, fields: Sequence[Field]) -> dict[str, str]:
    """How to compare what, where not as usual."""
    words = by_name(spec.get("comparisons", {}), fields)
    keeps = not spec.get("purge_networks", spec["networks_cli_compatible"])
    return {**({"networks": MORE} if keeps else {}), **words}


def leniently(
    want: dict[str, Any], config: Values, words: Mapping[str, str], fields: Iterable[Field], firm: Iterable[str]
) -> dict[str, Any]:
    """The values that leave as they are what needn't be equal.

    Args:
        want: What is wanted.
        config: The canonical values of the container that there is.
        words: How to compare what; ``*`` stands for everything that isn't named.
        fields: The options.
        firm: Options that are compared strictly whatever is said: those of a profile.
    """
    for field in fields:
        word = words.get(field.name, words.get("*"))
        if field.name not in want or field.name in firm:
            continue
        there = config.get(field.name)
        if word == IGNORE:
            want[field.name] = there
        elif word == MORE and there:
            want[field.name] = _with_more(field, want[field.name], there)
        elif word == STRICT and field.codec.partial:
            want[field.name] = {**dict.fromkeys(there or {}), **want[field.name]}
    return want


def _with_more(field: Field, want: Any, there: Any) -> Any:
    if field.codec.single:
        return want  # leaves that aren't given aren't compared anyhow
    if isinstance(want, Mapping):
        return {**there, **want}
    if field.codec.row:
        rows = {**field.keyed(there), **field.keyed(want)}
        return tuple(rows[key] for key in sorted(rows))
    missing = [value for value in want if value not in there]
    if not missing:
        return there
    more = [*there, *missing]
    return tuple(sorted(more) if list(want) == sorted(want) and list(there) == sorted(there) else more)


def labels_besides(words: Mapping[str, str], want: Values, image: Values) -> list[str]:
    """The labels that the image has and nobody declared, where labels are to be exactly those declared."""
    strict = words.get("labels", words.get("*")) == STRICT
    return sorted(set(image["labels"]) - set(want.get("labels") or {})) if strict else []
