"""`spec.mounts`, `spec.secrets`: where the directories of werf.yaml's `mount` and what a RUN mounts come from.

In: JSON-like data. Out: frozen values. `tmp_dir` needs nothing; `fromPath` is the cluster administrator's business.
"""

from typing import ClassVar

from pydantic import Field

from conveyor.api.model import Model, Rule
from conveyor.api.refs import SecretKeyRef, name_rule


class PersistentVolumeClaim(Model):
    """The same as a pod's volume of this kind."""

    rules: ClassVar[tuple[Rule, ...]] = (name_rule("claimName", lambda it: it.claim_name),)

    claim_name: str = Field(min_length=1, max_length=253)
    """Name of a PersistentVolumeClaim in this namespace."""


class BuildDir(Model):
    """What `from: build_dir` is."""

    persistent_volume_claim: PersistentVolumeClaim
    """Volume that keeps build_dir from one build to the next; several Jobs use it at once."""


class RunCache(Model):
    """What RUN --mount=type=cache is."""

    persistent_volume_claim: PersistentVolumeClaim
    """Volume that keeps caches from one build to the next; several Jobs use it at once."""


class Mounts(Model):
    """Where the directories of `mount` and of RUN --mount=type=cache come from."""

    build_dir: BuildDir | None = None
    """`from: build_dir`. Default: an empty directory for every Job."""
    cache: RunCache | None = None
    """`RUN --mount=type=cache`. Default: an empty directory for every Job."""


class BuildSecret(Model):
    """A secret that a RUN may ask for."""

    id: str = Field(pattern=r"^[A-Za-z0-9_][-A-Za-z0-9._/]*$", max_length=255)
    """The `id` in RUN --mount=type=secret,id=…."""
    secret_ref: SecretKeyRef
    """Secret and key that hold it."""
