"""`spec.mounts`: where the directories of werf.yaml's `mount` come from.

In: JSON-like data. Out: frozen values. `tmp_dir` needs nothing; `fromPath` is the cluster administrator's business.
"""

from typing import ClassVar

from pydantic import Field

from conveyor.api.model import Model, Rule
from conveyor.api.refs import NAME_PATTERN, is_object_name


class PersistentVolumeClaim(Model):
    """The same as a pod's volume of this kind."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"self.claimName.matches('{NAME_PATTERN}')",
            message="claimName must be an object's name: lower-case letters, digits, '-' and '.'",
            holds=lambda it: is_object_name(it.claim_name),
            field="claimName",
        ),
    )

    claim_name: str = Field(min_length=1, max_length=253)
    """Name of a PersistentVolumeClaim in this namespace."""


class BuildDir(Model):
    """What `from: build_dir` is."""

    persistent_volume_claim: PersistentVolumeClaim
    """Volume that keeps build_dir from one build to the next; several Jobs use it at once."""


class Mounts(Model):
    """Where the directories of `mount` come from."""

    build_dir: BuildDir | None = None
    """`from: build_dir`. Default: an empty directory for every Job."""
