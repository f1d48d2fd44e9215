"""Which backend a build has."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

from types import SimpleNamespace

import pytest

from conveyor.adapters.engine_containers import LOCAL_NAMESPACE
from conveyor.api.errors import NotYet, UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild
from conveyor.shell.backends import Backends, engine_of, sweep_engine
from conveyor.shell.settings import Settings


def build(**spec):
    return ImageBuild.from_object(
        {
            "metadata": {"name": "b", "namespace": "n", "uid": "u"},
            "spec": {"repo": "r.example/x", "config": "-", **spec},
        }
    )


CLUSTER, ENGINE = object(), SimpleNamespace(claims={})
KEEPING = SimpleNamespace(claims={"kept": "volume"})


def test_a_build_has_the_backend_that_it_names():
    both = Backends(CLUSTER, ENGINE)
    assert both.of(build()) is CLUSTER
    assert both.of(build(backend="kubernetes")) is CLUSTER
    assert both.of(build(backend="docker")) is ENGINE


def test_without_an_engine_it_is_refused():
    with pytest.raises(UserError, match=r"builds\.docker\.endpoint") as caught:
        Backends(CLUSTER, None).of(build(backend="docker"))
    assert caught.value.reason is Reason.NOT_SUPPORTED


async def test_the_machine_of_a_build():
    async def machine():
        return "linux/arm64"

    both = Backends(CLUSTER, SimpleNamespace(claims={}, machine=machine))
    assert await both.engine(build()) == ""
    assert await both.engine(build(backend="docker")) == "linux/arm64"
    with pytest.raises(UserError, match=r"builds\.docker\.endpoint"):
        await Backends(CLUSTER, None).engine(build(backend="docker"))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"podTemplate": {"nodeSelector": {"a": "b"}}}, "spec.podTemplate.nodeSelector"),
        ({"podTemplate": {"serviceAccountName": "x"}}, "spec.podTemplate.serviceAccountName"),
        (
            {"mounts": {"buildDir": {"persistentVolumeClaim": {"claimName": "x"}}}},
            "spec.mounts.buildDir",
        ),
    ],
)
def test_what_only_pods_have_is_refused(spec, told):
    with pytest.raises(UserError, match="only pods") as caught:
        Backends(CLUSTER, ENGINE).of(build(backend="docker", **spec))
    assert told in caught.value.message
    assert Backends(CLUSTER, ENGINE).of(build(**spec)) is CLUSTER


def test_an_engine_that_keeps_volumes_has_caches():
    claim = {"persistentVolumeClaim": {"claimName": "kept"}}
    mounts = {"cache": claim, "buildDir": claim}
    assert Backends(CLUSTER, KEEPING).of(build(backend="docker", mounts=mounts)) is KEEPING


def test_an_engine_of_the_settings():
    assert engine_of(CLUSTER, Settings()) is None
    found = engine_of(CLUSTER, Settings(docker_endpoint="tcp://e:1", docker_tls_dir="/tls"))
    assert found.api.endpoint.url == "https://e:1"
    with pytest.raises(UserError):
        engine_of(CLUSTER, Settings(docker_endpoint="nonsense"))


class FakeEngine:
    def __init__(self, *jobs):
        self.jobs = jobs
        self.deleted = []
        self.volumes = 0

    async def list(self, *_):
        if not self.jobs:
            raise NotYet(Reason.ENGINE_UNREACHABLE, "nobody there", after=1.0)
        return list(self.jobs), ""

    async def delete(self, _prefix, _plural, namespace, name, **_):
        self.deleted.append((namespace, name))
        return True

    async def remove_volumes(self):
        self.volumes += 1


def job(name, owner, namespace="n"):
    owners = [{"kind": "ImageBuild", "uid": owner}]
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": name, "ownerReferences": owners}
    }


async def builds():
    alive, over = (
        {"metadata": {"name": "b", "namespace": "n", "uid": uid}} for uid in ("alive", "over")
    )
    spec = {"repo": "r.example/x", "config": "-"}
    status = {"observedGeneration": 0, "completedAt": "2026-05-06T07:08:09Z"}
    return [{**alive, "spec": spec}, {**over, "spec": spec, "status": status}]


async def test_jobs_of_builds_that_are_gone_are_removed():
    engine = FakeEngine(
        job("a", "alive"), job("b", "gone"), job("d", "over"), job("c", "x", LOCAL_NAMESPACE)
    )
    await sweep_engine(engine, builds)
    assert engine.deleted == [("n", "b"), ("n", "d")]
    assert engine.volumes == 1


async def test_an_engine_that_is_away_is_swept_later():
    await sweep_engine(FakeEngine(), builds)
