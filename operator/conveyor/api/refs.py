"""References to other objects in the ImageBuild's namespace; there are none to other namespaces.

In: names. Out: frozen values.
"""

import re
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import Field

from conveyor.api.model import Model, Rule

_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


def name_rule(field: str, get: Callable[[Any], str]) -> Rule:
    """The rule of a field that has an object's name."""
    return Rule(
        cel=f"self.{field}.matches('{_NAME}')",
        message=f"{field} must be an object's name: lower-case letters, digits, '-' and '.'",
        holds=lambda it: re.fullmatch(_NAME, get(it)) is not None,
        field=field,
    )


class LocalRef(Model):
    """An object of this namespace by name."""

    rules: ClassVar[tuple[Rule, ...]] = (name_rule("name", lambda ref: ref.name),)

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
