"""What a seed stands for: how rough the world is, who asks for what and when, and what they do afterwards."""

import random
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tests.simulation.kernel import Chaos, Fate, Targets
from tests.simulation.outside import HELD, LEASE, Manners
from tests.simulation.table import CANARY

type Way = Literal["api", "async", "bus", "nonsense"]
"""How it is asked: waiting, not waiting, over the bus, over the bus with what is no request."""

STEPS = (
    *("store.claim", "store.load", "store.update", "store.settle"),
    *("provider.create", "provider.find", "provider.read", "provider.remove"),
    *("vault.seal", "vault.unseal", "sweep.query", "sweep.move_on", "bus.send"),
)
WEIGHTS = (3, 2, 4, 6, 8, 3, 1, 2, 3, 1, 1, 1, 1)
TROUBLE = tuple(fate for fate in Fate if fate is not Fate.DONE)
UNANSWERED = (Fate.LOST, Fate.SWALLOWED, Fate.LATE, Fate.KILLED_BEFORE, Fate.KILLED_AFTER)
NAMED_FOR = 70.0
"""How long somebody else has a name at least: longer than anything of ours that would have it may be on its way."""
GUARD = 5 * 3600
"""How long the product trusts a keyed provider's guard."""


@dataclass(frozen=True)
class Client:
    """One who asks for a stream, comes again when told to, and then perhaps does something with it."""

    begins: float
    way: Way
    body: dict[str, Any]
    tries: int
    patience: float
    """After so many seconds without an answer it hangs up and asks again."""
    then: tuple[str, ...]
    """``again``, ``delete``, ``refresh``, in the order in which it does them once it has a stream."""
    deadline: float = 3600
    """Of a request over the bus, from its beginning."""


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before a run begins. What happens at each step is decided by the seed too."""

    chaos: Chaos
    manners: Manners
    clients: dict[str, list[Client]]
    """By key."""
    conflicts: float
    twice: float
    """How often a message is delivered again."""
    lost: float
    """How often a command never arrives, or a beat is not asked for."""
    sweeping: bool
    """Whether anybody sweeps before all is well again."""
    outsiders: list[float] = field(default_factory=list)
    """When somebody removes a resource by the provider's own means."""
    foreign: tuple[float, float] | None = None
    """From when to when somebody else has the name that the streams shall have."""
    landing: float = 20.0
    """How long a request may be on its way after whoever sent it has died or given up; the product is told so."""


def planned(kind: str, rng: random.Random) -> Plan:
    """What this kind of provider is put through."""
    if kind == "keyed" and rng.random() < 0.4:
        return rng.choice([_forgotten, _at_the_brink, _in_a_hurry, _removed, _refused_meanwhile])(rng)
    if kind == "named" and rng.random() < 0.1:
        return rng.choice([_refused_meanwhile, _taken_by_its_own, _asked_for_in_two_ways])(rng)
    if kind == "anonymous" and rng.random() < 0.03:
        return _overtaken_by_a_refusal(rng)
    one_label = kind == "named" and rng.random() < 0.3
    keys = ["k1"] if rng.random() < 0.8 else ["k1", "k2"]
    chaos = _chaos(kind, rng)
    return Plan(
        chaos=chaos,
        manners=_manners(kind, rng, punctual=not chaos.skewed),
        clients={key: _clients(kind, rng, "door" if one_label else None) for key in keys},
        conflicts=rng.choice([0, 0, 0, 0.05, 0.2]),
        twice=rng.choice([0, 0.1, 0.4]),
        lost=rng.choice([0, 0, 0.1, 0.5]),
        sweeping=rng.random() < 0.8,
        outsiders=_outsiders(kind, rng),
        foreign=(rng.uniform(0, 5), rng.uniform(NAMED_FOR, 300)) if one_label and rng.random() < 0.4 else None,
        landing=rng.choice([20.0, 20.0, 60.0]),
    )


def _chaos(kind: str, rng: random.Random) -> Chaos:
    """Nothing, one thing at one step, or a lot everywhere."""
    targets: Targets = {}
    if rng.random() < 0.6:
        step = "provider.renew" if kind == "leased" and rng.random() < 0.1 else rng.choices(STEPS, WEIGHTS)[0]
        targets[step, rng.choice([1, 1, 1, 2, 3])] = rng.choice(TROUBLE)
    rough = rng.random()
    if rough < 0.35:
        return Chaos(slow=rng.choice([0, 0.1]), targets=targets)
    most = 0.25 if rough > 0.9 else 0.1
    return Chaos(
        refused=rng.choice([0, most / 2, most]),
        lost=rng.choice([0, most / 2, most]),
        killed=rng.choice([0, most / 2, most]),
        slow=rng.choice([0, 0.1, 0.4]),
        stalled=rng.choice([0, 0, 0.05]),
        targets=targets,
        skewed=rng.choice([0, 0, 0, 0.5]),
    )


# -- what a guard that ends is put through: what the many seeds above come to too seldom


def _forgotten(rng: random.Random) -> Plan:
    """A stream was made and not recorded; its list is cut; somebody asks again after hours."""
    targets: Targets = {("provider.create", 1): rng.choice(UNANSWERED)}
    if rng.random() < 0.3:
        targets = {("store.settle", 1): rng.choice([Fate.KILLED_BEFORE, Fate.REFUSED, Fate.SWALLOWED])}
    if rng.random() < 0.6:
        targets["provider.create", 2] = rng.choice([Fate.REFUSED, Fate.REFUSED, *UNANSWERED])
    first = _client(rng, rng.choice(["api", "async", "bus"]), _body(rng, None), 0.0)
    later = [_client(rng, "api", first.body, _hours_later(rng)) for _ in range(rng.choice([1, 2]))]
    cut = rng.choice([0, 0.5, 1, 1])
    chaos = Chaos(lost=rng.choice([0, 0.1]), slow=rng.choice([0, 0.4]), targets=targets)
    manners = Manners(cut=cut, cut_for_good=cut == 1 and rng.random() < 0.3)
    first = replace(first, tries=rng.choice([1, 2, 2]))
    return _plan(rng, chaos, manners, [first, *later], rng.random() < 0.5, [])


def _at_the_brink(rng: random.Random) -> Plan:
    """Nothing was made, and a create is on its way just when the guard is no longer trusted."""
    targets: Targets = {("provider.create", 1): Fate.SWALLOWED, ("provider.create", 2): rng.choice(UNANSWERED)}
    first = _client(rng, "api", _body(rng, None), 0.0)
    later = _client(rng, "api", first.body, GUARD - rng.uniform(0, 25))
    manners = Manners(cut=rng.choice([0, 0, 0, 1]))
    chaos = Chaos(slow=rng.choice([0, 0.4]), targets=targets)
    return _plan(rng, chaos, manners, [replace(first, tries=1), replace(later, tries=5)], False, [])


def _in_a_hurry(rng: random.Random) -> Plan:
    """A create is on its way while its client asks again, and the provider says that the key is in use."""
    targets: Targets = {("provider.create", number): rng.choice(UNANSWERED) for number in range(1, rng.choice([2, 3]))}
    if rng.random() < 0.4:
        # What it was told of first came to nothing, and another is on its way when it is told again.
        late = rng.choice([Fate.LATE, Fate.KILLED_BEFORE])
        targets = {("provider.create", 1): Fate.SWALLOWED, ("provider.create", 3): late}
    if rng.random() < 0.4:
        targets["store.update", 3] = Fate.KILLED_AFTER
    first = _client(rng, rng.choice(["api", "async"]), _body(rng, None), 0.0)
    clients = [replace(first, tries=7), _client(rng, "api", first.body, rng.uniform(0, 60))]
    chaos = Chaos(slow=rng.choice([0, 0.4]), stalled=rng.choice([0, 0.1]), targets=targets)
    manners = Manners(cut=rng.choice([0, 0, 0.5, 1]), refuses_the_second=True, repeats=rng.random() < 0.5)
    return _plan(rng, chaos, manners, clients, True, [])


def _refused_meanwhile(rng: random.Random) -> Plan:
    """A create is on its way, or done and not to be seen, while the next is refused for good, or is too late."""
    targets: Targets = {("provider.create", 1): rng.choice([*UNANSWERED, Fate.LATE, Fate.KILLED_BEFORE])}
    body = _body(rng, None)
    if rng.random() < 0.3:
        client = replace(_client(rng, "bus", body, rng.uniform(10, 25)), deadline=30, tries=1)
    else:
        targets["provider.create", 2] = Fate.REFUSED
        client = replace(_client(rng, rng.choice(["api", "bus"]), body, 0.0), tries=rng.choice([1, 2]))
    manners = Manners(cut=rng.choice([0, 0, 1]))
    return _plan(rng, Chaos(targets=targets), manners, [client], True, [])


def _taken_by_its_own(rng: random.Random) -> Plan:
    """A stream was made, nobody was told, and whoever sends its create again is told that the name is taken."""
    targets: Targets = {("provider.create", 1): rng.choice([Fate.LOST, Fate.LOST, Fate.SWALLOWED, Fate.LATE])}
    if rng.random() < 0.3:
        targets["provider.create", 3] = rng.choice(TROUBLE)
    first = _client(rng, rng.choice(["api", "async", "bus"]), _body(rng, None), 0.0)
    clients = [first, _client(rng, "api", first.body, rng.uniform(0, 60))]
    return _plan(rng, Chaos(targets=targets), Manners(repeats=True, unmarked=True), clients, rng.random() < 0.8, [])


def _asked_for_in_two_ways(rng: random.Random) -> Plan:
    """Over the bus, until a deadline that may be near, and by one who does not wait; it cannot be made for a while."""
    targets: Targets = {("provider.create", number): Fate.SWALLOWED for number in range(1, rng.choice([3, 6, 12, 24]))}
    over_the_bus = _client(rng, "bus", _body(rng, None), 0.0)
    over_the_bus = replace(over_the_bus, deadline=rng.choice([30, 100, 250, 5000]), tries=0)
    not_waiting = [
        _client(rng, "async", over_the_bus.body, rng.uniform(0, longest)) for longest in rng.choice([[60], [5, 300]])
    ]
    return _plan(rng, Chaos(targets=targets), Manners(), [over_the_bus, *not_waiting], rng.random() < 0.5, [])


def _overtaken_by_a_refusal(rng: random.Random) -> Plan:
    """What was asked for over the bus is made for one who waits and is stopped, and then refused to whoever goes on."""
    fates = (Fate.REFUSED, Fate.FROZEN, Fate.REFUSED)
    targets: Targets = {("provider.create", number): fate for number, fate in enumerate(fates, 1)}
    client = replace(_client(rng, "bus", _body(rng, None), 0.0), tries=3, patience=300.0)
    return _plan(rng, Chaos(targets=targets), Manners(), [client], True, [])


def _removed(rng: random.Random) -> Plan:
    """A stream was made and not recorded, and then somebody removes it: its key is held by what is gone."""
    targets: Targets = {("provider.create", 1): rng.choice([Fate.LOST, Fate.KILLED_AFTER])}
    if rng.random() < 0.5:
        targets["provider.create", 2] = rng.choice(TROUBLE)
    first = _client(rng, rng.choice(["api", "async"]), _body(rng, None), 0.0)
    clients = [replace(first, tries=5, begins=0.0), _client(rng, "api", first.body, rng.uniform(20, 200))]
    manners = Manners(cut=rng.choice([0, 0, 0.5, 1]), refuses_the_second=rng.random() < 0.3)
    outsiders = [rng.choice([rng.uniform(0.3, 2), rng.uniform(1, 40)])]
    return _plan(rng, Chaos(lost=rng.choice([0, 0.05]), targets=targets), manners, clients, True, outsiders)


def _plan(
    rng: random.Random, chaos: Chaos, manners: Manners, clients: list[Client], sweeping: bool, outsiders: list[float]
) -> Plan:
    landing = rng.choice([20.0, 60.0])
    conflicts = rng.choice([0, 0, 0.1])
    return Plan(chaos, manners, {"k1": clients}, conflicts, 0.1, 0, sweeping, outsiders, landing=landing)


# -- the details


def _manners(kind: str, rng: random.Random, punctual: bool) -> Manners:
    repeats = rng.random() < 0.3
    if kind != "keyed":
        return Manners(repeats=repeats, unmarked=kind == "named" and rng.random() < 0.5)
    cut = rng.choice([0, 0, 0.5, 1])
    return Manners(
        cut=cut,
        cut_for_good=cut == 1 and rng.random() < 0.3,
        # It is by its clock that the product waits for what is on its way.
        refuses_the_second=punctual and rng.random() < 0.4,
        repeats=repeats,
    )


def _clients(kind: str, rng: random.Random, label: str | None) -> list[Client]:
    body = _body(rng, label)
    ways: list[Way] = ["api", "api", "api", "async", "bus"]
    first = _client(rng, rng.choice(ways), body, 0.0)
    clients = [first]
    if rng.random() < 0.05:
        first = replace(first, begins=rng.choice([0.0, 1.0, 30.0, 300.0]))
        clients = [_client(rng, "nonsense", {"options": {}}, 0.0), first]
    while rng.random() < 0.45 and len(clients) < 3:
        clients.append(_another(kind, rng, first, label))
    if rng.random() < (0.35 if kind == "keyed" else 0.1):
        clients.append(_client(rng, rng.choice(ways), first.body, _hours_later(rng)))
    return clients


def _client(rng: random.Random, way: Way, body: dict[str, Any], begins: float) -> Client:
    if way == "bus" and "camera_url" in body["options"]:
        body = {**body, "options": {**body["options"], "camera_url": None}}
    doings = rng.choice([(), ("again",), ("delete",), ("delete", "again"), ("refresh", "delete"), ("refresh", "again")])
    return Client(
        begins=begins,
        way=way,
        body=body,
        tries=rng.choice([1, 1, 2, 3, 5]),
        patience=rng.choice([2.0, 29.0, 29.0, 29.0]),
        then=doings,
        deadline=rng.choice([60, 3600, 3600, 7 * 3600]),
    )


def _another(kind: str, rng: random.Random, first: Client, label: str | None) -> Client:
    """The same request at about the same time, another with the same key, or one that comes again much later."""
    begins = rng.choice([0.0, 0.05, rng.uniform(0, 3), rng.uniform(20, 90), rng.uniform(60, 600)])
    if kind == "leased" and rng.random() < 0.3:
        begins = rng.uniform(LEASE, LEASE + 90)
    body = _body(rng, label) if rng.random() < 0.2 else first.body
    return _client(rng, rng.choice(["api", "api", first.way, "async"]), body, begins)


def _hours_later(rng: random.Random) -> float:
    """About when a guard is no longer trusted, about when it is over, or long after."""
    return rng.choice(
        [
            *(GUARD + rng.uniform(-40, 60), GUARD + rng.uniform(-600, 600)),
            *(HELD + rng.uniform(-60, 90), rng.uniform(GUARD, HELD), rng.uniform(HELD, HELD + 7200)),
        ]
    )


def _body(rng: random.Random, label: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"quality": rng.randrange(3)}
    if label:
        options["label"] = label
    if rng.random() < 0.4:
        options["camera_url"] = f"rtsp://{CANARY}of-the-request@camera.example/"
    body: dict[str, Any] = {"options": options}
    if rng.random() < 0.2:
        body["max_lifetime_seconds"] = rng.choice([60, 300])
    return body


def _outsiders(kind: str, rng: random.Random) -> list[float]:
    if kind == "anonymous" or rng.random() < 0.75:
        return []
    return sorted(rng.choice([rng.uniform(0, 5), rng.uniform(0, 120)]) for _ in range(rng.choice([1, 1, 2])))
