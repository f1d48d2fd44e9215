"""References to other objects in the ImageBuild's namespace; there are none to other namespaces.

In: names. Out: frozen values.
"""

import re
from typing import ClassVar

from pydantic import Field

from conveyor.api.model import Model, Rule

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


def is_object_name(text: str) -> bool:
    """Whether an object may have this name."""
    return re.fullmatch(NAME_PATTERN, text) is not None


class LocalRef(Model):
    """An object of this namespace by name."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"self.name.matches('{NAME_PATTERN}')",
            message="name must be an object's name: lower-case letters, digits, '-' and '.'",
            holds=lambda ref: is_object_name(ref.name),
            field="name",
        ),
    )

    name: str = Field(min_length=1, max_length=253)
    """Name of the object."""


class ConfigMapKeyRef(LocalRef):
    """A key of a ConfigMap of this namespace."""

    key: str = Field(default="ca.crt", pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)
    """Key in the ConfigMap."""


class SecretKeyRef(LocalRef):
    """A key of a Secret of this namespace."""

    key: str = Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)
    """Key in the Secret."""
