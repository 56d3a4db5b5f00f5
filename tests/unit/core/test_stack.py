# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks, over an engine that is a dictionary: what they validate, order, own, prune, and keep in mind."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import ClassVar

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import limits, policy, record
from ansible_collections.strata.virt.plugins.module_utils.core.codec import LINE, Codec
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.field import Field, Role, table
from ansible_collections.strata.virt.plugins.module_utils.core.plan import Layer, State
from ansible_collections.strata.virt.plugins.module_utils.core.resource import Resource
from ansible_collections.strata.virt.plugins.module_utils.core.stack import Stack


class Engine:
    """Remembers what there is, and what was asked of it."""

    def __init__(self) -> None:
        self.there: dict[str, dict] = {}
        self.calls: list[tuple[str, str]] = []
        self.reads = 0


ENGINE = Engine()


def _parse_key(value):
    if len(str(value)) > 8:
        raise ValueError("is longer than a key can be")
    return str(value)


DOORS = table(
    Field("name", LINE, required=True),
    Field("key", Codec(_parse_key), secret=True),
    Field("wood", LINE, default="pine"),
    key=lambda row: str(row["name"]),
)


class Thing(Resource):
    kind = "thing"
    rank = 20
    states = {"present": "present", "absent": "absent"}
    fields = (
        policy.name(),
        policy.state("present", "absent"),
        limits.memory(),
        Field("colour", LINE, default="grey"),
        Field("password", LINE, secret=True, aliases=("pass",)),
        Field("doors", DOORS),
        Field("broken", LINE),
    )

    @classmethod
    def open(cls, spec):
        return ENGINE

    @classmethod
    def read_many(cls, engine, names):
        engine.reads += 1
        mine = {name[1]: value for name, value in engine.there.items() if name[0] == cls.kind}
        return {
            name: State("present", value["config"], owner=value["owner"])
            for name, value in mine.items()
            if names is None or name in names
        }

    def advice(self, plan):
        return ["pine is cheap"] if plan.want.get("colour") == "pink" else []

    def create(self, engine, plan):
        engine.calls.append(("create", self.name))
        if self.spec.get("broken"):
            raise StrataError("broke")
        engine.there[self.kind, self.name] = {"config": dict(plan.want), "owner": self.owner}

    def update(self, engine, plan):
        engine.calls.append(("update", self.name))
        engine.there[self.kind, self.name]["config"].update(plan.of(Layer.CONFIG))

    recreate = update

    def remove(self, engine, plan):
        engine.calls.append(("remove", self.name))
        del engine.there[self.kind, self.name]


class Base(Thing):
    kind = "base"
    rank = 10

    def provides(self):
        return [("path", f"/nowhere/{self.name}")]


class User(Thing):
    kind = "user"
    rank = 30

    def files(self):
        return [("name", f"/nowhere/{self.name}")]

    def observe(self, engine, state):
        return replace(state, facts={"missing": self.missing()})

    def plan(self, state):
        if state.facts.get("missing"):
            raise StrataError("is not there")
        return super().plan(state)


class Chained(Thing):
    """One that lies on another of its kind."""

    kind = "chained"
    fields = (*Thing.fields, Field("on", LINE))

    def provides(self):
        return [("chain", self.name)]

    def needs(self):
        return [("chain", self.spec["on"])] if "on" in self.spec else []


class Unlisted(Thing):
    """Told only of those that are named, like files."""

    kind = "unlisted"
    listed = False

    @classmethod
    def read_many(cls, engine, names):
        found = super().read_many(engine, None)
        return {name: found[name] for name in names if name in found}


class Marked(Thing):
    """Told by whose they are for less than reading all."""

    kind = "marked"
    asked: ClassVar[list] = []

    @classmethod
    def owned(cls, engine, owner):
        return [name for (kind, name), value in engine.there.items() if (kind, value["owner"]) == (cls.kind, owner)]

    @classmethod
    def read_many(cls, engine, names):
        cls.asked.append(names)
        return super().read_many(engine, names)


class Deaf(Thing):
    kind = "deaf"

    @classmethod
    def open(cls, spec):
        raise StrataError("the daemon is not running", hint="Start it")


class Distant(Thing):
    """One whose engine is one of several."""

    kind = "distant"
    fields = (*Thing.fields, Field("place", LINE, role=Role.CONNECT))

    @classmethod
    def open(cls, spec):
        return PLACES[spec.get("place", "here")]


PLACES = {"here": Engine(), "there": Engine()}
KINDS = {kind.kind: kind for kind in (Thing, Base, User, Chained, Unlisted, Marked, Deaf, Distant)}


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    for engine in (ENGINE, *PLACES.values()):
        engine.__init__()
    monkeypatch.setattr(record, "FOLDER", str(tmp_path))


def stack(*entries, name="s", prune=True, check=False) -> dict:
    made = Stack(name, list(entries), KINDS.get, KINDS, prune=prune)
    made.read()
    if made.errors:
        raise made.errors[0]
    if not check:
        made.apply()
    return made.result()


def foreign(name: str, **config) -> None:
    ENGINE.there["thing", name] = {"config": config, "owner": None}


def test_it_creates_and_settles():
    entries = [{"thing": {"name": "a", "memory": "1G"}}, {"thing": {"name": "b"}}]
    assert stack(*entries, check=True)["changed"]
    assert ENGINE.there == {}
    assert stack(*entries)["changed"]
    assert not stack(*entries)["changed"]


def test_an_unchanged_run_reads_in_bulk_and_writes_nothing(monkeypatch):
    entries = [{"thing": {"name": f"n{number}"}} for number in range(100)]
    stack(*entries)
    ENGINE.reads = 0
    monkeypatch.setattr(record.files, "write", None)
    assert not stack(*entries)["changed"]
    assert ENGINE.reads == 1


def test_advice_says_what_it_is_about():
    assert stack({"thing": {"name": "a", "colour": "pink"}}, {"thing": {"name": "b"}})["advice"] == [
        "thing/a: pine is cheap"
    ]
    assert "advice" not in stack({"thing": {"name": "b"}})


def test_ranks_are_applied_in_order_and_removed_in_reverse():
    stack({"thing": {"name": "late"}}, {"base": {"name": "early"}})
    assert [call[1] for call in ENGINE.calls] == ["early", "late"]
    ENGINE.calls.clear()
    stack()
    assert ENGINE.calls == [("remove", "late"), ("remove", "early")]


def test_shuffled_entries_end_in_the_same_state():
    entries = [{"thing": {"name": f"n{number}", "colour": str(number)}} for number in range(20)]
    stack(*entries)
    first = json.dumps(sorted(map(repr, ENGINE.there.items())))
    ENGINE.__init__()
    random.Random(7).shuffle(entries)
    stack(*entries, name="t")
    assert json.dumps(sorted(map(repr, ENGINE.there.items()))) == first.replace("'s'", "'t'")


def test_prune_takes_only_what_the_stack_made():
    foreign("theirs")
    stack({"thing": {"name": "mine"}}, {"thing": {"name": "theirs", "memory": "1G"}})
    stack({"thing": {"name": "other"}}, name="another")
    result = stack()
    assert set(ENGINE.there) == {("thing", "theirs"), ("thing", "other")}
    assert [one["name"] for one in result["resources"] if one.get("pruned")] == ["mine"]


def test_without_prune_what_is_no_longer_declared_stays_owned():
    stack({"thing": {"name": "mine"}}, prune=False)
    stack(prune=False)
    assert set(ENGINE.there) == {("thing", "mine")}
    stack(prune=True)
    assert ENGINE.there == {}


def test_prune_works_without_the_record(tmp_path):
    stack({"thing": {"name": "mine"}})
    (tmp_path / "s.json").unlink()
    stack()
    assert ENGINE.there == {}


def test_a_record_of_nothing_says_that_nothing_is_the_stacks(tmp_path):
    stack({"thing": {"name": "mine"}})
    stack()
    assert record.load("s") == {}
    ENGINE.there["thing", "later"] = {"config": {}, "owner": "s"}
    ENGINE.reads = 0
    stack()
    assert (ENGINE.reads, set(ENGINE.there)) == (0, {("thing", "later")})
    (tmp_path / "s.json").unlink()
    stack()
    assert (ENGINE.there, record.load("s")) == ({}, None), "one of the engines could not be asked"


def test_what_could_not_be_asked_for_is_remembered():
    record.save("s", {"deaf/x": {"name": "x"}, "thing/a": {"name": "a"}})
    stack({"thing": {"name": "b"}})
    assert set(record.load("s")) == {"deaf/x", "thing/b"}
    stack()
    assert set(record.load("s")) == {"deaf/x"}


def test_a_dropped_option_goes_back_to_its_default():
    stack({"thing": {"name": "a", "colour": "red", "memory": "1G"}})
    stack({"thing": {"name": "a", "memory": "1G"}})
    assert ENGINE.there["thing", "a"]["config"]["colour"] == "grey"


def test_what_others_set_stays():
    foreign("a", colour="blue")
    stack({"thing": {"name": "a", "memory": "1G"}})
    stack({"thing": {"name": "a"}})
    assert ENGINE.there["thing", "a"]["config"] == {"colour": "blue", "memory": "max"}


def test_dropped_options_are_remembered_over_a_failed_run():
    stack({"thing": {"name": "a", "colour": "red"}})
    made = Stack("s", [{"thing": {"name": "a", "memory": "1G"}}], KINDS.get, KINDS)
    made.read()
    made._write_ahead()  # and then it is killed
    stack({"thing": {"name": "a", "memory": "1G"}})
    assert ENGINE.there["thing", "a"]["config"]["colour"] == "grey"


def test_one_failure_does_not_stop_the_others():
    made = Stack("s", [{"thing": {"name": "x", "broken": "yes"}}, {"thing": {"name": "y"}}], KINDS.get, KINDS)
    made.read()
    made.apply()
    assert [str(error) for error in made.errors] == ["thing/x: broke"]
    assert ("thing", "y") in ENGINE.there


def test_an_engine_that_is_down_stops_everything_before_anything_is_touched():
    with pytest.raises(StrataError, match=r"deaf/x: the daemon is not running. Start it"):
        stack({"thing": {"name": "a"}}, {"deaf": {"name": "x"}})
    assert ENGINE.there == {}


def test_another_stacks_things_are_not_taken():
    stack({"thing": {"name": "a"}}, name="first")
    with pytest.raises(StrataError, match="belongs to the stack 'first'"):
        stack({"thing": {"name": "a"}}, name="second")


def test_secrets_are_kept_as_hashes(tmp_path):
    """At any depth, and by any name of theirs; what else an entry says is compared as ever."""
    doors = [{"name": "front", "key": "hunter2", "wood": "oak"}]
    stack({"thing": {"name": "a", "password": "hunter2", "doors": doors}}, {"thing": {"name": "b", "pass": "hunter2"}})
    text = (tmp_path / "s.json").read_text()
    assert "hunter2" not in text
    assert text.count("sha256:") == 4
    again = {"thing": {"name": "a", "password": "hunter2", "doors": [{"name": "front", "key": "hunter2"}]}}
    stack(again, {"thing": {"name": "b", "pass": "hunter2"}})
    assert ENGINE.there["thing", "a"]["config"]["doors"] == ({"name": "front", "key": "hunter2", "wood": "pine"},)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"thong": {"name": "a"}}, "there is no kind 'thong'"),
        ({"thing": {"name": "a", "shape": "round"}}, "thing/a.*shape"),
        ({"thing": {"name": "a", "doors": [{"name": "x", "wod": "oak"}]}}, "thing/a.*doors.wod.*key, name, wood"),
        ({"thing": {"name": "a", "doors": ["x"]}}, "thing/a.*doors"),
        ({"thing": {"name": "a", "doors": [{"name": "x"}, {"wood": "oak"}]}}, "thing/a: missing.*: name.*doors"),
        ({"thing": {"name": "a", "memory": "12X"}}, "thing/a: memory: is no size"),
        ({"thing": {"name": ""}}, "name: must not be empty"),
        ({"thing": {"name": "a/b"}}, "name: is no valid name"),
        ({"thing": {"name": "a/../b"}}, "name: is no valid name"),
        ({"thing": {}}, "name"),
        ({"thing": {"name": "a", "state": "sideways"}}, "state"),
        ({"thing": None}, "options of an entry are a mapping"),
        ({"thing": {"name": "a"}, "base": {"name": "b"}}, "one kind and its options"),
        ("thing", "one kind and its options"),
    ],
)
def test_a_bad_entry_is_named_and_nothing_is_read(entry, words):
    with pytest.raises(StrataError, match=words) as refused:
        stack({"thing": {"name": "good", "doors": [{"name": "x"}]}}, entry)
    assert "resources[1]" in str(refused.value)
    assert "resources[0]" not in str(refused.value), "what is right was blamed, too"
    assert ENGINE.reads == 0


def test_rows_are_validated_whatever_rows_of_others_give():
    doors = ([{"name": "x"}], [{"name": "x", "wood": "oak"}, {"name": "y"}], [{"name": "x", "key": None}], [])
    stack(*({"thing": {"name": f"a{place}", "doors": rows}} for place, rows in enumerate(doors)))
    made = [ENGINE.there["thing", f"a{place}"]["config"]["doors"] for place in range(len(doors))]
    found = [[(row["name"], row.get("wood")) for row in rows] for rows in made]
    assert found == [[("x", None)], [("x", "oak"), ("y", None)], [("x", None)], []]


def test_two_entries_for_the_same_thing():
    with pytest.raises(StrataError, match="thing/a: is declared twice"):
        stack({"thing": {"name": "a"}}, {"thing": {"name": "a"}})


def test_every_bad_entry_is_named_at_once():
    odd = {"thing": {"name": "a", "shape": "round"}}
    with pytest.raises(StrataError) as refused:
        stack({"thing": {"name": ""}}, {"thong": {}}, odd, {"thing": {"name": "b"}}, odd)
    named = [place for place in range(5) if f"resources[{place}]" in str(refused.value)]
    assert named == [0, 1, 2, 4]


def test_an_entry_stays_as_it_was_given():
    given = {"thing": {"name": "a", "memory": "1G", "doors": [{"name": "x"}]}}
    before = json.dumps(given)
    stack(given)
    assert json.dumps(given) == before


def test_names_that_nobody_declares_are_passed_over():
    foreign("not a name of ours / at all")
    stack({"thing": {"name": "mine"}})
    stack()
    assert set(ENGINE.there) == {("thing", "not a name of ours / at all")}


def test_what_another_resource_makes_counts_as_there():
    with pytest.raises(StrataError, match="user/a: is not there"):
        stack({"user": {"name": "a"}}, check=True)
    both = [{"user": {"name": "a"}}, {"base": {"name": "a"}}]
    stack(*both, check=True)
    stack(*both)
    assert ENGINE.calls == [("create", "a"), ("create", "a")]
    gone = [{"user": {"name": "b"}}, {"base": {"name": "b", "state": "absent"}}]
    with pytest.raises(StrataError, match="user/b: is not there"):
        stack(*gone, check=True)


def test_what_waits_for_a_failed_one_is_not_touched():
    made = Stack(
        "s",
        [
            {"user": {"name": "a"}},
            {"base": {"name": "a", "broken": "yes"}},
            {"user": {"name": "b"}},
            {"base": {"name": "b"}},
        ],
        KINDS.get,
        KINDS,
    )
    made.read()
    made.apply()
    assert sorted(str(error) for error in made.errors) == ["base/a: broke", "user/a: waits for base/a, which failed"]
    assert ("user", "b") in ENGINE.there
    assert ("user", "a") not in ENGINE.there


def test_what_others_of_a_rank_need_is_made_first():
    entries = [{"chained": {"name": name, "on": above}} for name, above in (("c", "b"), ("b", "a"), ("a", "no"))]
    for order in (entries, entries[::-1]):
        ENGINE.__init__()
        stack(*order)
        assert ENGINE.calls == [("create", "a"), ("create", "b"), ("create", "c")]
    ENGINE.__init__()
    stack(*({"chained": {"name": name, "on": above}} for name, above in (("x", "y"), ("y", "x"))))
    assert sorted(ENGINE.calls) == [("create", "x"), ("create", "y")]


def test_what_waits_for_a_failed_one_of_its_rank_is_not_touched():
    made = Stack(
        "s", [{"chained": {"name": "b", "on": "a"}}, {"chained": {"name": "a", "broken": "yes"}}], KINDS.get, KINDS
    )
    made.read()
    made.apply()
    assert sorted(str(error) for error in made.errors) == [
        "chained/a: broke",
        "chained/b: waits for chained/a, which failed",
    ]


CHAIN = [{"chained": {"name": "a"}}, {"chained": {"name": "b", "on": "a"}}, {"chained": {"name": "c", "on": "b"}}]


@pytest.mark.parametrize(
    ("entries", "prune"),
    [([], True), ([{"chained": {"name": name, "state": "absent"}} for name in "abc"], False)],
    ids=["pruned", "absent"],
)
def test_what_goes_waits_for_what_it_holds(entries, prune):
    stack(*CHAIN)
    ENGINE.calls.clear()
    stack(*entries, prune=prune)
    assert ENGINE.calls == [("remove", "c"), ("remove", "b"), ("remove", "a")]


def test_what_is_declared_to_go_goes_in_reverse_before_anything_is_made():
    stack({"base": {"name": "low"}}, {"thing": {"name": "high"}})
    ENGINE.calls.clear()
    gone = [{"base": {"name": "low", "state": "absent"}}, {"thing": {"name": "high", "state": "absent"}}]
    stack({"base": {"name": "new"}}, *gone)
    assert ENGINE.calls == [("remove", "high"), ("remove", "low"), ("create", "new")]


def test_what_cant_be_listed_is_pruned_by_the_record():
    stack({"unlisted": {"name": "a"}}, {"unlisted": {"name": "b"}})
    assert not stack({"unlisted": {"name": "a"}}, {"unlisted": {"name": "b"}})["changed"]
    stack({"unlisted": {"name": "a"}})
    assert list(ENGINE.there) == [("unlisted", "a")]
    stack()
    assert ENGINE.there == {}


def test_only_what_is_owned_is_read_where_the_engine_tells_it():
    ENGINE.there["marked", "theirs"] = {"config": {}, "owner": None}
    stack({"marked": {"name": "a"}}, {"marked": {"name": "b"}})
    Marked.asked.clear()
    stack({"marked": {"name": "a"}})
    assert Marked.asked[0] == ["a", "b"]
    assert list(ENGINE.there) == [("marked", "theirs"), ("marked", "a")]


def test_what_has_the_same_name_elsewhere_is_another_one():
    here, there = {"name": "a", "colour": "red"}, {"name": "a", "place": "there"}
    stack({"distant": here}, {"distant": there})
    assert not stack({"distant": there}, {"distant": here})["changed"]
    colours = {place: engine.there["distant", "a"]["config"].get("colour") for place, engine in PLACES.items()}
    assert colours == {"here": "red", "there": None}
    stack({"distant": {"name": "a"}}, {"distant": there})
    assert PLACES["here"].there["distant", "a"]["config"]["colour"] == "grey"
    stack()
    assert [engine.there for engine in PLACES.values()] == [{}, {}]


@pytest.mark.parametrize("place", ["here", "there"])
def test_what_is_pruned_knows_what_was_applied_to_it_wherever_it_is(place, monkeypatch):
    monkeypatch.setattr(Distant, "prunable", lambda self, state: self.applied.get("colour") == "red")
    stack({"distant": {"name": "a", "place": place, "colour": "red"}})
    assert stack()["changed"]
    assert PLACES[place].there == {}
