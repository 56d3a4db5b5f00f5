# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of whichever engine has them, in Docker's words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ..core import policy
from ..core.codec import BOOL, LINE, WORDS, Codec, parse_name
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Plan, State
from ..core.resource import Resource, Thing
from ..core.waiting import until
from ..engines import docker_networks as words
from ..engines.docker import OURS, OWNER, Docker, Document, container_name

_LETS_GO = 60.0  # seconds

PREVIOUS = ".strata-previous"
"""What holds the configuration of a network, and of its containers on it, while it is made anew."""

NETWORK, ENDPOINTS = OURS + "network", OURS + "endpoints"  # what is held there, as JSON
CHOSEN_BY = OURS + "subnets"  # who chose the subnets


def _parse_name(value: Any) -> str:
    name = parse_name(value)
    if name.endswith(PREVIOUS):
        raise ValueError("ends like the names of networks that are being made anew")
    return name


def network_fields(
    connect: tuple[Field, ...], ipam: tuple[Field, ...] = (), more: tuple[Field, ...] = ()
) -> tuple[Field, ...]:
    """The options.

    Args:
        connect: Those that reach the engine.
        ipam: What the engine has beside ``ipam_driver``.
        more: What the engine has beside ``internal``.
    """
    return (
        Field("name", Codec(_parse_name), role=Role.NAME, required=True, aliases=("network_name",)),
        policy.state("present", "absent"),
        policy.recreate(),
        *connect,
        Field("force", BOOL, role=Role.POLICY, given=False),
        Field("appends", BOOL, role=Role.POLICY, given=False, aliases=("incremental",)),
        Field("driver", LINE, "Driver", given="bridge"),
        Field("driver_options", words.OPTIONS, "Options", default={}),
        Field("ipam_driver", LINE, "IPAM.Driver", default="default"),
        *ipam,
        Field("ipam_config", words.POOLS, "IPAM.Config", default=(), check=words.check_pools),
        Field("enable_ipv6", BOOL, "EnableIPv6", default=False),
        Field("internal", BOOL, "Internal", default=False),
        *more,
        Field("labels", words.OPTIONS, "Labels", default={}),
        Field("connected", WORDS, effect=Effect.LIVE, default=(), aliases=("containers",), export=False),
    )


class Network(Resource):
    """One network.

    Class attributes:
        own: The networks that the engine has by itself.
        whose: The engine, in messages about them.
    """

    own: ClassVar[tuple[str, ...]]
    whose: ClassVar[str]
    rank = 50
    states = {"present": "present", "absent": "absent"}
    busy = frozenset({"present"})

    # What was declared.

    def check(self) -> None:
        if self.spec["force"] and self.target != "absent":
            self.spec["recreate"] = "always"

    def settled(self) -> Resource:
        calm = type(self)({**self.options, "force": False}, owner=self.owner, applied=self.applied)
        return super(Network, calm).settled()

    def provides(self) -> list[Thing]:
        return [(self.kind, self.name)]

    def settings(self, state: State) -> dict[str, Any]:
        want = super().settings(state)
        if want.get("scope") is None:
            want.pop("scope", None)  # the driver's own
        if "ipam_config" in want:
            want["ipam_config"] = self._subnets(want["ipam_config"], state)
        if "connected" in want:
            names = {state.facts.get("named", {}).get(name, name) for name in want["connected"]}
            there = set(state.config.get("connected", ()))
            want["connected"] = tuple(sorted(names | there if self.spec["appends"] else names))
        return want

    def _subnets(self, declared: tuple[Mapping[str, Any], ...], state: State) -> tuple[Mapping[str, Any], ...]:
        """Wanted subnets as they are observed: what the daemon chose where nobody did is no drift."""
        there = state.config.get("ipam_config", ())
        if not declared and state.facts.get("subnets_by") == "daemon":
            return tuple(there)
        before = self.field("ipam_config").decode(self.applied.get("ipam_config") or [])
        known = {row["subnet"]: row for row in before}
        rows = []
        for row in declared:
            was = known.get(row["subnet"], {}).get("gateway")
            if row.get("gateway") == "" and was in (None, "", words.first_host(row["subnet"])):
                row = {key: value for key, value in row.items() if key != "gateway"}
            rows.append(row)
        if declared:
            # A network of one family may be given a subnet of the other one by the daemon.
            families = {words.version(row["subnet"]) for row in (*declared, *before)}
            rows += [row for row in there if words.version(row["subnet"]) not in families]
        return tuple(sorted(rows, key=lambda row: str(row["subnet"])))

    def refuse(self, engine: Docker) -> None:
        """Refuse what this engine can't make."""

    # What there is.

    @classmethod
    def read_many(cls, engine: Docker, names: Iterable[str] | None) -> dict[str, State]:
        found = {network["Name"]: network for network in engine.networks()}
        journals = {name[: -len(PREVIOUS)]: found.pop(name) for name in list(found) if _is_journal(found[name])}
        if names is None:
            plain = {name for name, network in found.items() if cls._untouchable(network) is None}
            asked = {*plain, *journals}
        else:
            asked = set(names)
        asked &= {*found, *journals}
        containers = engine.containers() if asked else []
        return {name: cls._read(found.get(name), journals.get(name), containers) for name in asked}

    @classmethod
    def _read(cls, network: Document | None, journal: Document | None, containers: list[Document]) -> State:
        left: dict[str, Any] = {}
        owner: str | None = None
        if journal is not None:
            left = {"leftovers": [journal["Name"]], "held": json.loads(journal["Labels"][ENDPOINTS])}
            owner = json.loads(journal["Labels"][NETWORK])["Labels"].get(OWNER)
        if network is None:
            return State(facts=left, owner=owner)
        config = {field.name: words.at(network, field.at) for field in cls.fields if field.at}
        labels = config["labels"] or {}
        config["labels"] = {key: value for key, value in labels.items() if not key.startswith(OURS)}
        config["ipam_config"] = words.pools(network)
        on_it = words.on(network, containers)
        owners = {container_name(container): (container.get("Labels") or {}).get(OWNER) for container in on_it}
        config["connected"] = tuple(sorted(owners))
        facts = {
            "id": network["Id"],
            "containers": owners,
            "subnets": [{key: value for key, value in row.items() if value} for row in config["ipam_config"]],
            "subnets_by": labels.get(CHOSEN_BY),
            "untouchable": cls._untouchable(network),
            **left,
        }
        return State("present", config, facts=facts, owner=labels.get(OWNER))

    def observe(self, engine: Docker, state: State) -> State:
        if self.target == "absent":
            return state
        facts = dict(state.facts)
        unknown = set(self.spec.get("connected", ())) - set(state.config.get("connected", ()))
        facts["named"] = {name: self._container(engine, name) for name in sorted(unknown)}
        state = replace(state, facts=facts)
        steps = super().plan(state).steps
        if "create" in steps or "recreate" in steps:
            self.refuse(engine)
            self._refuse_overlaps(engine.networks())
        if "recreate" in steps:
            facts["endpoints"] = {**facts.get("held", {}), **self._endpoints(engine, facts["containers"])}
        return state

    def _container(self, engine: Docker, name: str) -> str:
        found = engine.inspect(name)
        if found is None:
            raise StrataError(
                "is not on this host",
                option="connected",
                value=name,
                hint="In a stack, networks come before containers: use the container's own option networks",
            )
        return str(found["Name"]).lstrip("/")

    def _refuse_overlaps(self, networks: Iterable[Document]) -> None:
        """Name the network that has a subnet already, before anything is touched."""
        for network in networks:
            mine = self.owner and (network.get("Labels") or {}).get(OWNER) == self.owner
            # What the same stack made may be about to go: then the daemon is the judge.
            if network["Name"] == self.name or mine:
                continue
            for row in self.spec.get("ipam_config", ()):
                for other in words.pools(network):
                    if other["subnet"] and words.overlap(row["subnet"], other["subnet"]):
                        raise StrataError(
                            f"overlaps with {other['subnet']} of the network {network['Name']}",
                            option="ipam_config",
                            value=row["subnet"],
                            hint="Choose another subnet, or remove that network first",
                        )

    def _endpoints(self, engine: Docker, containers: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What was set for each container on the network, by its name."""
        found = {name: engine.inspect(name) for name in containers}
        return {name: self._endpoint(document) for name, document in found.items() if document}

    def _endpoint(self, container: Document) -> dict[str, Any]:
        return words.endpoint(container, self.name)

    # What is to be done.

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        wrong = state.facts.get("untouchable")
        if wrong and {"remove", "recreate"} & set(plan.steps):
            what = ", ".join(change.name for change in plan.changes)
            raise StrataError(f"{wrong}, and can't be changed ({what})")
        if "remove" in plan.steps:
            self._refuse_in_use(state)
        told: list[Change] = []
        if "leftovers" in state.facts:
            told.append(Change("leftovers", state.facts["leftovers"], None, Effect.REMOVE))
            # Containers are first put back on what is there: making it anew starts from that.
            first = () if "create" in plan.steps else ("reconnect",)
            last = ("reconnect",) if "create" in plan.steps else ()
            plan = replace(plan, steps=plan.steps if "remove" in plan.steps else (*first, *plan.steps, *last))
            if self.target == "absent" and not state.exists:
                plan = replace(plan, steps=("remove",))
        if "recreate" in plan.steps:
            subnets = [row["subnet"] for row in plan.want.get("ipam_config", state.config["ipam_config"])]
            for name, settings in state.facts["endpoints"].items():
                lost = words.strangers(settings, subnets) if subnets else []
                told += [Change("fixed_address", address, None, Effect.RECREATE, key=name) for address in lost]
        return replace(plan, changes=(*told, *plan.changes)) if told else plan

    def _refuse_in_use(self, state: State) -> None:
        # Those of the same stack may go before it does: whether they did shows when it is its turn.
        users = [name for name, owner in state.facts["containers"].items() if not self.owner or owner != self.owner]
        if users and not self.spec["force"]:
            raise self._in_use(users)

    def _in_use(self, users: Iterable[str]) -> StrataError:
        return StrataError(
            f"is in use by {', '.join(sorted(users))}",
            hint="Remove or disconnect them first, or set force: true, which disconnects them",
        )

    def _body(self, base: dict[str, Any], want: Mapping[str, Any]) -> dict[str, Any]:
        body = {**base, "Name": self.name}
        labels = dict(body.get("Labels") or {})
        for name, value in want.items():
            field = self.field(name)
            if name == "ipam_config":
                there = {row["subnet"]: row for row in words.pools(base)}
                rows = [{**there.get(row["subnet"], {}), **row} for row in value]
                words.put(body, field.at, words.pool_entries(rows))
                labels[CHOSEN_BY] = "task" if self.spec.get("ipam_config") else "daemon"
            elif field.codec.partial:
                old = labels if name == "labels" else words.at(body, field.at)
                merged = {key: item for key, item in {**(old or {}), **value}.items() if item is not None}
                if name == "labels":
                    labels = merged
                else:
                    words.put(body, field.at, merged)
            elif field.at:
                words.put(body, field.at, value)
        body["Labels"] = labels
        return body

    def create(self, engine: Docker, plan: Plan) -> None:
        journal = self._journal(engine)
        old = json.loads(journal["Labels"][NETWORK]) if journal else None
        base = old or {"Labels": {OWNER: self.owner, CHOSEN_BY: "daemon"}}
        self._make(engine, self._body(base, plan.want), old)
        self._connect(engine, plan)

    def _make(self, engine: Docker, body: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
        try:
            engine.create_network(body)
        except StrataError as error:
            if old is None:
                raise
            engine.create_network(old)
            self._reconnect(engine)
            raise StrataError(
                f"the new network was refused, so the old one is back with its containers: {error.message}",
                hint=error.hint,
            ) from None

    def update(self, engine: Docker, plan: Plan) -> None:
        self._connect(engine, plan)

    def _connect(self, engine: Docker, plan: Plan) -> None:
        network = self._find(engine, self.name)
        if "connected" not in plan.want or network is None:
            return
        there = {container_name(container) for container in words.on(network, engine.containers())}
        wanted = set(plan.want["connected"])
        for container in sorted(wanted - there):
            engine.connect(self.name, container, {})
        for container in sorted(there - wanted):
            engine.disconnect(self.name, container)

    def recreate(self, engine: Docker, plan: Plan) -> None:
        document = self._find(engine, self.name)
        if document is None:
            raise StrataError("was removed meanwhile", hint="Run again")
        old = words.body_of(document)
        on_it = [container_name(container) for container in words.on(document, engine.containers())]
        kept = self._endpoints(engine, on_it)
        # A network that holds a configuration only takes no subnet and no interface.
        held = {NETWORK: json.dumps(old, sort_keys=True), ENDPOINTS: json.dumps(kept, sort_keys=True)}
        engine.create_network({"Name": self.name + PREVIOUS, "ConfigOnly": True, "Labels": held})
        for container in kept:
            engine.disconnect(document["Id"], container)
        self._take_away(engine, document)
        self._make(engine, self._body(old, plan.want), old)
        self._reconnect(engine)
        self._connect(engine, plan)

    def reconnect(self, engine: Docker, plan: Plan) -> None:
        """Put the containers back that a run which was cut short took off."""
        self._reconnect(engine)
        self._connect(engine, plan)

    def _reconnect(self, engine: Docker) -> None:
        journal, network = self._journal(engine), self._find(engine, self.name)
        if journal is None or network is None:
            return
        there = {container_name(container) for container in words.on(network, engine.containers())}
        subnets = [row["subnet"] for row in words.pools(network)]
        for name, settings in json.loads(journal["Labels"][ENDPOINTS]).items():
            if name not in there and engine.inspect(name) is not None:
                engine.connect(network["Id"], name, words.fitted(settings, subnets))
        engine.remove_network(journal["Id"])

    def remove(self, engine: Docker, plan: Plan) -> None:
        journal = self._journal(engine)
        if journal is not None:
            engine.remove_network(journal["Id"])
        network = self._find(engine, self.name)
        if network is None:
            return
        users = [container_name(container) for container in words.on(network, engine.containers())]
        if users and not self.spec["force"]:
            raise self._in_use(users)
        for name in users:
            engine.disconnect(network["Id"], name)
        self._take_away(engine, network)

    @staticmethod
    def _take_away(engine: Docker, network: Document) -> None:
        """Remove it. A swarm lets go of a network once its tasks on it are gone, and says that it is removed before."""
        engine.remove_network(network["Id"])
        if network.get("Scope") == "swarm":
            gone = network["Id"]
            until(lambda: all(one["Id"] != gone for one in engine.networks()), "the swarm to let go of it", _LETS_GO)

    @classmethod
    def _untouchable(cls, network: Document) -> str | None:
        if network["Name"] in cls.own:
            return f"is one of {cls.whose} own networks"
        return "holds a configuration only (--config-only)" if network.get("ConfigOnly") else None

    @staticmethod
    def _find(engine: Docker, name: str) -> Document | None:
        return next((network for network in engine.networks() if network["Name"] == name), None)

    def _journal(self, engine: Docker) -> Document | None:
        found = self._find(engine, self.name + PREVIOUS)
        return found if found is not None and _is_journal(found) else None


def _is_journal(network: Document) -> bool:
    return bool(network["Name"].endswith(PREVIOUS) and NETWORK in (network.get("Labels") or {}))
