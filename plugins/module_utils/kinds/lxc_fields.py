# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of lxc_container that live in its configuration, and how LXC's keys and canonical values become each
other.

What is stored and what a container runs with is read by the same table (lxc.container.conf(5)).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..core import limits
from ..core.codec import BOOL, INT, LINE, MAX, Codec, parse_int, parse_memory, parse_path, parse_pids
from ..core.errors import StrataError
from ..core.field import Field, table
from ..core.limits import parse_amount
from ..core.plan import Effect
from ..engines import cgroupfs, idmaps
from ..engines.lxc import Running
from ..engines.lxc_config import INCLUDE, NET, Config, repeated
from . import lxc_mounts, lxc_networks

CAP_DROP, CAP_KEEP = "lxc.cap.drop", "lxc.cap.keep"
ROOTFS, ROOTFS_OPTIONS = "lxc.rootfs.path", "lxc.rootfs.options"
IDMAP = "lxc.idmap"
USERNS = "/usr/share/lxc/config/userns.conf"
IDMAPPED = "idmap=container"
"""The root is shifted by its mount: on the disk everything belongs to whom it did (LXC 5, Linux 5.12)."""
APPARMOR, SECCOMP = "lxc.apparmor.profile", "lxc.seccomp.profile"


@dataclass(frozen=True)
class Limit:
    """A limit: a key ``lxc.cgroup2.FILE``, and the same file of the running container's cgroup."""

    file: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str

    @property
    def key(self) -> str:
        return f"lxc.cgroup2.{self.file}"


@dataclass(frozen=True)
class Place:
    """Whose configuration it is.

    Attributes:
        made: The configuration as it was when the container was made: what it says is LXC's own.
        rootless: It is a plain user's, whose root is shifted on the disk.
    """

    made: Config = field(default_factory=lambda: Config(""))
    rootless: bool = False


@dataclass(frozen=True)
class Keys:
    """Keys of the configuration.

    Attributes:
        keys: Those that the option owns, with what is below them.
        read: The canonical value of a configuration; None where it doesn't say.
        put: Brings a value into a configuration.
    """

    keys: tuple[str, ...]
    read: Callable[[Config, Place], Any]
    put: Callable[[Config, Any, Place], None]


def _flag(key: str) -> Keys:
    return Keys(
        (key,),
        lambda config, place: config.get(key) == "1",
        lambda config, value, place: config.put(key, "1" if value else None),
    )


def _number(key: str) -> Keys:
    return Keys(
        (key,),
        lambda config, place: lxc_networks.as_it_stands(int, config.get(key) or "0"),
        lambda config, value, place: config.put(key, str(value) if value else None),
    )


def _text(key: str) -> Keys:
    return Keys(
        (key,), lambda config, place: config.get(key) or "", lambda config, value, place: config.put(key, value or None)
    )


# Capabilities: LXC takes a list of those that go or of those that stay, not both.


def _parse_capability(value: Any) -> str:
    text = str(value).lower()
    text = text[4:] if text.startswith("cap_") else text
    if not re.fullmatch(r"[a-z_]+", text):
        raise ValueError(f"{value!r} is no capability: write sys_module, or CAP_SYS_MODULE")
    return text


CAPABILITIES = Codec(lambda names: tuple(sorted({_parse_capability(one) for one in names})), "list", list, "str")


def _read_keep(config: Config, place: Place) -> tuple[str, ...] | None:
    words = config.words(CAP_KEEP)
    return tuple(sorted(words - {"none"})) if words else None


def _put_keep(config: Config, value: Any, place: Place) -> None:
    if value is None:
        config.put_words(CAP_KEEP, ())
        return
    config.put_words(CAP_DROP, ())
    config.put_words(CAP_KEEP, value or ("none",))


def _put_drop(config: Config, value: Any, place: Place) -> None:
    if value:
        config.put_words(CAP_KEEP, ())
    config.put_words(CAP_DROP, value)


# The root: its options are one list of words.


def rootfs_options(config: Config) -> list[str]:
    return [word for word in (config.get(ROOTFS_OPTIONS) or "").split(",") if word]


def _put_option(config: Config, word: str, there: bool) -> None:
    words = [one for one in rootfs_options(config) if one != word] + ([word] if there else [])
    config.put(ROOTFS_OPTIONS, ",".join(words) or None)


# The user namespace.


def _read_map(config: Config, place: Place) -> str | None:
    lines = config.values().get(IDMAP, [])
    return idmaps.parse(lines) if lines else None


def _put_map(config: Config, value: Any, place: Place) -> None:
    if value:
        config.put(IDMAP, "\n".join(idmaps.lines(value)))


def _put_unprivileged(config: Config, value: Any, place: Place) -> None:
    """What goes with a map; which one, ``id_map`` says."""
    _put_option(config, IDMAPPED, bool(value) and not place.rootless)
    included = config.own().get(INCLUDE, [])
    if not value:
        config.put(IDMAP, None)
        config.put(INCLUDE, "\n".join(path for path in included if path != USERNS) or None)
    elif USERNS not in included:
        # It takes back what was said before it, as the devices that only the host's own root can rule.
        config.put_first(INCLUDE, USERNS)


# The escape hatch.


def _value(given: Any) -> str:
    """A value as LXC spells it: switches are 0 and 1."""
    return str(int(given)) if isinstance(given, bool) else str(given).strip()


def _parse_config(value: Mapping[Any, Any]) -> dict[str, str | None]:
    """Keys as LXC spells them. Lists are for keys that may be repeated; None and "" take a key away."""
    settings: dict[str, str | None] = {}
    for key, given in value.items():
        if not re.fullmatch(r"lxc\.[A-Za-z0-9_.-]+", str(key)):
            raise ValueError(f"{key!r} is no key of LXC: they begin with 'lxc.'")
        if str(key).startswith("lxc.cgroup."):
            raise ValueError(f"{key!r} is of cgroup v1: write lxc.cgroup2.{str(key)[11:]}")
        lines = given if isinstance(given, (list, tuple)) else [given]
        texts = [text for line in lines if line is not None for text in _value(line).split("\n")]
        if len(texts) > 1 and not repeated(str(key)):
            raise ValueError(f"{key!r} has one value only")
        settings[str(key)] = "\n".join(texts) or None
    return settings


def _parse_seccomp(value: Any) -> str:
    return "" if str(value) in ("", "none") else parse_path(value)


def _check_delay(value: int) -> None:
    if value < 0:
        raise ValueError("must be 0 or more")


def _parse_weight(text: str) -> int:
    return parse_int(text.replace("default", ""))


def _refuse_idle(value: Any) -> None:
    if not isinstance(value, int):
        raise ValueError("is a number for LXC: cpu.idle is no part of its configuration")


LIMITS = tuple(
    replace(one, check=_refuse_idle) if one.name == "cpu_weight" else one
    for one in limits.controls(
        {
            "cpus": Limit("cpu.max", cgroupfs.read_cpu_max, cgroupfs.write_cpu_max),
            "cpu_weight": Limit("cpu.weight", parse_int),
            "memory": Limit("memory.max", parse_memory),
            "memory_high": Limit("memory.high", parse_memory),
            "memory_low": Limit("memory.low", parse_amount),
            "memory_swap": Limit("memory.swap.max", parse_amount),
            "pids_limit": Limit("pids.max", parse_pids),
            "io_weight": Limit("io.weight", _parse_weight, lambda value: f"default {value}"),
            "cpuset_cpus": Limit("cpuset.cpus", limits.NUMBERS.parse),
            "cpuset_mems": Limit("cpuset.mems", limits.NUMBERS.parse),
        }
    )
)

KEYED = (
    Field(
        "networks",
        table(*lxc_networks.INTERFACE),
        Keys((NET,), lambda config, place: lxc_networks.read(config), lambda c, v, place: lxc_networks.put(c, v)),
        Effect.RESTART,
    ),
    # The namespace comes before all that the file included for it takes back.
    Field(
        "unprivileged",
        BOOL,
        Keys((IDMAP, ROOTFS_OPTIONS), lambda config, place: bool(config.values().get(IDMAP)), _put_unprivileged),
        Effect.RESTART,
        default=False,
    ),
    Field("id_map", Codec(idmaps.parse_text), Keys((IDMAP,), _read_map, _put_map), Effect.RESTART),
    Field(
        "read_only",
        BOOL,
        Keys(
            (ROOTFS_OPTIONS,),
            lambda config, place: "ro" in rootfs_options(config),
            lambda config, value, place: _put_option(config, "ro", value),
        ),
        Effect.RESTART,
        default=False,
    ),
    Field(
        "mounts",
        lxc_mounts.MOUNTS,
        Keys(
            (lxc_mounts.ENTRY,),
            lambda config, place: lxc_mounts.read_mounts(config, place.made),
            lambda config, value, place: lxc_mounts.put_mounts(config, value, place.made, place.rootless),
        ),
        Effect.RESTART,
        default=(),
    ),
    Field(
        "devices",
        lxc_mounts.DEVICES,
        Keys(
            (lxc_mounts.ENTRY, lxc_mounts.ALLOW),
            lambda config, place: lxc_mounts.read_devices(config, place.made),
            lambda config, value, place: lxc_mounts.put_devices(config, value, place.made),
        ),
        Effect.RESTART,
        default=(),
    ),
    Field(
        "cap_drop",
        CAPABILITIES,
        Keys((CAP_DROP, CAP_KEEP), lambda config, place: tuple(sorted(config.words(CAP_DROP))), _put_drop),
        Effect.RESTART,
    ),
    Field("cap_keep", CAPABILITIES, Keys((CAP_KEEP, CAP_DROP), _read_keep, _put_keep), Effect.RESTART),
    Field("no_new_privileges", BOOL, _flag("lxc.no_new_privs"), Effect.RESTART, default=False),
    Field("apparmor_profile", LINE, _text(APPARMOR), Effect.RESTART),
    Field("seccomp_profile", Codec(_parse_seccomp), _text(SECCOMP), Effect.RESTART),
    Field("autostart", BOOL, _flag("lxc.start.auto"), Effect.NEXT_BOOT, default=False),
    Field("start_order", INT, _number("lxc.start.order"), Effect.NEXT_BOOT, default=0),
    Field("start_delay", INT, _number("lxc.start.delay"), Effect.NEXT_BOOT, default=0, check=_check_delay),
)
CONFIG = Field("config", Codec(_parse_config, "dict", dict, partial=True), effect=Effect.RESTART)


def owners(key: str) -> list[str]:
    """The typed options that own a raw key."""
    found = [one.name for one in LIMITS if one.at.key == key]
    return found + [
        one.name for one in KEYED if any(key == owned or key.startswith(f"{owned}.") for owned in one.at.keys)
    ]


def check(spec: Mapping[str, Any]) -> None:
    """Refuse what doesn't go together.

    Raises:
        StrataError: It names the option.
    """
    for key in spec.get("config", {}):
        for typed in owners(key):
            if typed in spec:
                hint = "Give one of them only"
                raise StrataError(f"sets what the option {typed} sets, too", option="config", value=key, hint=hint)
    if spec.get("cap_drop") and "cap_keep" in spec:
        raise StrataError("LXC takes a list of what goes or of what stays, not both", option="cap_keep")
    if spec.get("unprivileged") is False and spec.get("id_map"):
        raise StrataError("goes with unprivileged", option="id_map", value=spec["id_map"])


def read(config: Config, place: Place) -> dict[str, Any]:
    """The canonical values of a configuration, by field name; those that it doesn't have are left out."""
    settings = config.settings()
    values: dict[str, Any] = {"config": settings}
    for limit in LIMITS:
        text = settings.get(limit.at.key)
        if text is not None:
            values[limit.name] = lxc_networks.as_it_stands(limit.at.read, text)
    for one in KEYED:
        value = one.at.read(config, place)
        if value is not None:
            values[one.name] = value
    return values


def patch(config: Config, values: Mapping[str, Any], place: Place) -> None:
    """Bring the values of some options into a configuration; nothing else is touched."""
    for limit in LIMITS:
        if limit.name in values:
            value = values[limit.name]
            unset = value in (None, MAX, "") or (value == limit.default and value != 0)
            config.put(limit.at.key, None if unset else limit.at.write(value))
    for one in KEYED:
        if one.name in values and (values[one.name] is not None or one.name == "cap_keep"):
            one.at.put(config, values[one.name], place)
    for key, value in (values.get("config") or {}).items():
        config.put(key, value)


def live(field: Field, running: Running, config: Config, place: Place, stored: Any) -> Any:
    """The canonical value that a container runs with.

    Args:
        field: The option.
        running: The container.
        config: What is stored.
        place: Whose it is.
        stored: The canonical value of that.
    """
    keys = field.at.keys
    if NET in keys:
        return field.at.read(lxc_networks.running(config, running.get), place)
    # LXC spells some values in its own way: what it spells alike on both sides runs as it is stored.
    if all(running.as_stored(key) for key in keys):
        return stored
    lines = [f"{key} = {text}" for key in keys for text in (running.get(key) or "").split("\n")]
    # What included files bring is no more the container's own than what it was made with.
    own = config.own()
    theirs = [
        f"{key} = {text}" for key in keys for text in config.values().get(key, ()) if text not in own.get(key, ())
    ]
    made = Config("\n".join([place.made.text, *theirs]))
    return field.at.read(Config("\n".join(lines)), replace(place, made=made))
