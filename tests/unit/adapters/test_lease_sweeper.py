"""Leases that nobody renews any more are removed, and no others."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, arg-type"

from conveyor.adapters.lease_sweeper import ABANDONED, LeaseSweeper
from conveyor.api.names import LABEL_MANAGED_BY, MANAGED_BY

NAMESPACE = "conveyor-system"


class Leases:
    """The part of an API server that lists and deletes Leases."""

    def __init__(self):
        self.versions = {}

    async def list(self, _prefix, _plural, namespace, *, selector):
        assert (namespace, selector) == (NAMESPACE, f"{LABEL_MANAGED_BY}={MANAGED_BY}")
        items = [
            {"metadata": {"name": name, "resourceVersion": version}}
            for name, version in self.versions.items()
        ]
        return items, "1"

    async def delete(self, _prefix, _plural, _namespace, name, *, resourceVersion):  # noqa: N803 - as in the API
        if self.versions.get(name) != resourceVersion:
            return False
        del self.versions[name]
        return True


async def test_only_what_stays_the_same_is_swept():
    """One is renewed, one is abandoned, one appears later."""
    leases, now = Leases(), 0.0
    sweeper = LeaseSweeper(leases, NAMESPACE, lambda: now)
    leases.versions = {"renewed": "1", "abandoned": "2"}
    assert await sweeper.sweep() == 0
    now = ABANDONED
    leases.versions |= {"renewed": "3", "new": "4"}
    assert await sweeper.sweep() == 1
    assert leases.versions == {"renewed": "3", "new": "4"}


async def test_a_lease_seen_long_ago_is_not_old():
    """It was gone and came again in the meantime: its age counts from then."""
    leases, now = Leases(), 0.0
    sweeper = LeaseSweeper(leases, NAMESPACE, lambda: now)
    leases.versions = {"stage": "1"}
    await sweeper.sweep()
    leases.versions = {}
    await sweeper.sweep()
    now, leases.versions = ABANDONED, {"stage": "2"}
    assert await sweeper.sweep() == 0


async def test_a_lease_taken_meanwhile_stays():
    """The version that was listed is not there any more when it is to be deleted."""
    leases, now = Leases(), 0.0
    sweeper = LeaseSweeper(leases, NAMESPACE, lambda: now)
    leases.versions = {"stage": "1"}
    await sweeper.sweep()
    now = ABANDONED
    listed = leases.list

    async def list_then_take(*args, **options):
        found = await listed(*args, **options)
        leases.versions["stage"] = "2"
        return found

    leases.list = list_then_take
    assert await sweeper.sweep() == 0
    assert leases.versions == {"stage": "2"}
