"""Leases as locks: never two holders, takeover by one's own clock, nobody's Lease is deleted but one's own."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import asyncio
import copy
import random

import aiohttp
import pytest

from conveyor.adapters.cluster import ApiError
from conveyor.adapters.lock_manager import DURATION, LockManager
from conveyor.api.errors import NotYet

pytestmark = pytest.mark.looptime

NAME = "stage-1"


class Leases:
    """The part of an API server that keeps Leases, with resource versions; requests and answers take time."""

    def __init__(self, *, to=0.0, back=0.0):
        self.objects = {}
        self.version = 0
        self.to, self.back = to, back
        self.errors = []
        self.seconds = lambda: (self.to, self.back)

    async def _travel(self, change):
        to, back = self.seconds()
        await asyncio.sleep(to)
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        try:
            return change()
        finally:
            await asyncio.sleep(back)

    def put(self, name, body):
        """Store with a new version."""
        self.version += 1
        stored = copy.deepcopy(body)
        stored["metadata"] = {**stored["metadata"], "resourceVersion": str(self.version)}
        self.objects[name] = stored
        return copy.deepcopy(stored)

    async def get(self, _prefix, _plural, _namespace, name):
        return await self._travel(lambda: copy.deepcopy(self.objects.get(name)))

    async def create(self, _prefix, _plural, _namespace, body):
        def change():
            name = body["metadata"]["name"]
            if name in self.objects:
                raise ApiError(409, "AlreadyExists", "")
            return self.put(name, body)

        return await self._travel(change)

    async def replace(self, _prefix, _plural, _namespace, name, body):
        def change():
            found = self.objects.get(name)
            if found is None:
                raise ApiError(404, "NotFound", "")
            wanted = body["metadata"]["resourceVersion"]
            if found["metadata"]["resourceVersion"] != wanted:
                raise ApiError(409, "Conflict", "")
            return self.put(name, body)

        return await self._travel(change)

    async def delete(self, _prefix, _plural, _namespace, name, **preconditions):
        def change():
            found = self.objects.get(name)
            version = found and found["metadata"]["resourceVersion"]
            if found is None or preconditions.get("resourceVersion", version) != version:
                return False
            del self.objects[name]
            return True

        return await self._travel(change)

    def holder(self):
        """Who holds the Lease; None when there is none."""
        found = self.objects.get(NAME)
        return found and found["spec"]["holderIdentity"]


def manager(leases, identity):
    return LockManager(leases, "conveyor-system", identity)


def foreign(leases, seconds=DURATION):
    """A Lease of a holder that is gone."""
    return leases.put(
        NAME,
        {
            "metadata": {"name": NAME},
            "spec": {"holderIdentity": "gone", "leaseDurationSeconds": seconds},
        },
    )


def clock():
    return asyncio.get_running_loop().time()


async def test_a_lock_is_a_lease_that_is_deleted_afterwards():
    leases = Leases()
    async with manager(leases, "a").lock(NAME) as held:
        assert held()
        lease = leases.objects[NAME]
        assert lease["spec"]["holderIdentity"] == "a"
        assert lease["spec"]["leaseDurationSeconds"] == DURATION
        assert lease["spec"]["renewTime"].endswith("Z")
    assert leases.objects == {}


async def test_it_is_given_back_after_an_error_too():
    leases = Leases()
    with pytest.raises(ZeroDivisionError):
        async with manager(leases, "a").lock(NAME):
            raise ZeroDivisionError
    assert leases.objects == {}


async def test_one_process_holds_a_lock_once_and_other_locks_beside_it():
    leases = Leases(to=0.01, back=0.01)
    locks = manager(leases, "a")
    inside = []
    most = {}

    async def hold(name):
        async with locks.lock(name) as held:
            inside.append(name)
            most[name] = max(most.get(name, 0), inside.count(name))
            most["all"] = max(most.get("all", 0), len(inside))
            await asyncio.sleep(3)
            assert held()
            inside.remove(name)

    await asyncio.gather(*(hold(f"stage-{number % 3}") for number in range(9)))
    assert most == {"stage-0": 1, "stage-1": 1, "stage-2": 1, "all": 3}
    assert leases.objects == {}


async def test_it_is_renewed_for_as_long_as_it_is_held():
    leases = Leases()
    async with manager(leases, "a").lock(NAME) as held:
        other = asyncio.create_task(anext(aiter_lock(manager(leases, "b"))))
        for _ in range(50):
            await asyncio.sleep(1)
            assert held()
            assert leases.holder() == "a"
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


async def aiter_lock(locks):
    async with locks.lock(NAME) as held:
        yield held


async def test_a_lease_of_somebody_gone_is_taken_over_when_it_did_not_change_for_its_duration():
    leases = Leases()
    foreign(leases)
    async with manager(leases, "b").lock(NAME) as held:
        assert DURATION <= clock() <= DURATION + 1
        assert held()
        assert leases.holder() == "b"
    assert leases.objects == {}


async def test_the_duration_is_the_one_that_the_lease_names():
    leases = Leases()
    foreign(leases, seconds=40)
    async with manager(leases, "b").lock(NAME):
        assert 40 <= clock() <= 41


async def test_every_change_seen_begins_the_duration_anew():
    leases = Leases()
    foreign(leases)
    asyncio.get_running_loop().call_later(10, foreign, leases)
    async with manager(leases, "b").lock(NAME):
        assert 10 + DURATION <= clock() <= 11 + DURATION


async def test_a_lease_that_is_renewed_is_never_taken_and_the_waiting_ends():
    leases = Leases()
    foreign(leases)
    for at in range(100):
        asyncio.get_running_loop().call_later(at, foreign, leases)
    with pytest.raises(NotYet, match="held by somebody else"):
        async with manager(leases, "b").lock(NAME):
            raise AssertionError("not reached")
    assert leases.holder() == "gone"
    assert clock() >= 60


async def test_what_a_killed_process_of_the_same_name_held_is_free_at_once():
    leases = Leases()
    foreign(leases)["spec"]["holderIdentity"] = "b"
    leases.objects[NAME]["spec"]["holderIdentity"] = "b"
    async with manager(leases, "b").lock(NAME):
        assert clock() < 1


async def test_a_lease_that_somebody_else_took_is_not_held_and_not_deleted():
    leases = Leases()
    async with manager(leases, "a").lock(NAME) as held:
        foreign(leases)
        await asyncio.sleep(6)
        assert not held()
    assert leases.holder() == "gone"


async def test_a_lease_that_was_taken_between_two_renewals_is_not_deleted():
    leases = Leases()
    async with manager(leases, "a").lock(NAME):
        foreign(leases)
    assert leases.holder() == "gone"


async def test_a_deleted_lease_is_lost():
    leases = Leases()
    async with manager(leases, "a").lock(NAME) as held:
        leases.objects.clear()
        await asyncio.sleep(6)
        assert not held()


@pytest.mark.parametrize(
    "error",
    [
        ApiError(500, "InternalError", "etcd"),
        OSError("no route"),
        TimeoutError(),
        aiohttp.ServerDisconnectedError(),
    ],
    ids=["500", "no route", "timeout", "disconnected"],
)
async def test_one_failed_renewal_is_made_good_by_the_next(error):
    leases = Leases()
    async with manager(leases, "a").lock(NAME) as held:
        leases.errors = [error]
        await asyncio.sleep(30)
        assert held()


async def test_without_renewals_it_is_not_held_before_others_may_take_it():
    leases = Leases()
    async with manager(leases, "a").lock(NAME) as held:
        leases.errors = [ApiError(500, "InternalError", "etcd")] * 100
        await asyncio.sleep(DURATION * 0.5)
        assert held()
        await asyncio.sleep(DURATION * 0.5 - 1)
        assert not held()
        leases.errors = []


async def test_an_answer_that_comes_late_does_not_make_the_lock_last_longer():
    """The Lease is there at 0 s, its holder hears of it at 13 s: others count from 0 s."""
    leases = Leases()
    leases.back = 13.0
    async with manager(leases, "a").lock(NAME) as held:
        leases.back = 0.0
        leases.errors = [ApiError(500, "InternalError", "etcd")] * 100
        await asyncio.sleep(DURATION + 1 - clock())
        assert not held()
        leases.errors = []


async def test_refusals_of_the_server_are_not_hidden():
    leases = Leases()
    leases.errors = [ApiError(403, "Forbidden", "leases is forbidden")]
    with pytest.raises(ApiError, match="forbidden"):
        async with manager(leases, "a").lock(NAME):
            raise AssertionError("not reached")


@pytest.mark.parametrize("seed", range(20))
async def test_never_two_holders_however_slow_the_server_is(seed):
    chance = random.Random(seed)  # noqa: S311 - a simulation
    leases = Leases()
    leases.seconds = lambda: (chance.uniform(0, 2), chance.uniform(0, 2))
    holding = {}
    done = []

    async def hold(identity):
        locks = manager(leases, identity)
        while len([one for one in done if one == identity]) < 3:
            try:
                async with locks.lock(NAME) as held:
                    holding[identity] = held
                    for _ in range(chance.randrange(1, 40)):
                        assert sum(other() for other in holding.values()) <= 1
                        await asyncio.sleep(0.5)
                    del holding[identity]
                done.append(identity)
            except NotYet:
                continue

    await asyncio.gather(*(hold(identity) for identity in "abc"))
    assert len(done) == 9
