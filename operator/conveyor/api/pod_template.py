"""`spec.podTemplate`: the few things of a pod that a user of a build may choose.

In: JSON-like data. Out: frozen values. No copy of PodSpec: whatever decides a build's result or its
isolation is the operator's.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from conveyor.api.model import Model, Rule
from conveyor.api.quantity import QUANTITY_PATTERN, quantity

Quantity = int | Annotated[str, Field(pattern=QUANTITY_PATTERN, max_length=64)]
Quantities = Annotated[Mapping[str, Quantity], Field(max_length=16)]
LabelText = Annotated[str, Field(max_length=253)]
Labels = Annotated[Mapping[str, LabelText], Field(max_length=64)]

_OWN_LABELS = ("conveyor.dev/", "app.kubernetes.io/", "batch.kubernetes.io/")


class TolerationOperator(StrEnum):
    """How key and value are compared."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """Effect of the taint that is tolerated."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Model):
    """The same as in a pod."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(has(self.operator) && self.operator == 'Exists' && has(self.value))",
            message="operator Exists takes no value",
            holds=lambda it: it.operator is not TolerationOperator.EXISTS or it.value is None,
            field="value",
        ),
        Rule(
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="without key the operator must be Exists",
            holds=lambda it: it.key is not None or it.operator is TolerationOperator.EXISTS,
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="tolerationSeconds needs effect NoExecute",
            holds=lambda it: it.toleration_seconds is None or it.effect is TaintEffect.NO_EXECUTE,
            field="tolerationSeconds",
        ),
    )

    key: str | None = Field(default=None, min_length=1, max_length=317)
    operator: TolerationOperator | None = None
    value: str | None = Field(default=None, max_length=63)
    effect: TaintEffect | None = None
    toleration_seconds: int | None = Field(default=None, ge=0, le=2**31)


def _within_limits(resources: "Resources") -> bool:
    return all(
        quantity(str(amount)) <= quantity(str(resources.limits[name]))
        for name, amount in resources.requests.items()
        if name in resources.limits
    )


class Resources(Model):
    """Resources of the container in which a stage's commands run."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=(
                "!has(self.requests) || !has(self.limits) || self.requests.all(name,"
                " !(name in self.limits) || quantity(string(self.requests[name]))"
                ".compareTo(quantity(string(self.limits[name]))) <= 0)"
            ),
            message="a request must not be larger than its limit",
            holds=_within_limits,
            field="requests",
        ),
    )

    requests: Quantities = Field(default_factory=dict)
    limits: Quantities = Field(default_factory=dict)


class PodTemplate(Model):
    """Where and how build pods run."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=(
                "!has(self.labels) || self.labels.all(key, !"
                + " && !".join(f"key.startsWith('{prefix}')" for prefix in _OWN_LABELS)
                + ")"
            ),
            message=f"labels must not begin with {', '.join(_OWN_LABELS)}",
            holds=lambda it: not any(key.startswith(_OWN_LABELS) for key in it.labels),
            field="labels",
        ),
    )

    labels: Labels = Field(default_factory=dict)
    """Labels for the pods, for example for network policies."""
    annotations: Annotated[
        Mapping[str, Annotated[str, Field(max_length=4096)]], Field(max_length=64)
    ] = Field(default_factory=dict)
    """Annotations for the pods."""
    node_selector: Labels = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=32)
    """Taints that do not keep the pods away."""
    priority_class_name: str | None = Field(default=None, min_length=1, max_length=253)
    """PriorityClass of the pods."""
    runtime_class_name: str | None = Field(default=None, min_length=1, max_length=253)
    """RuntimeClass of the pods: gVisor or Kata, for example."""
    service_account_name: str | None = Field(default=None, min_length=1, max_length=253)
    """ServiceAccount of the pods, for its imagePullSecrets and admission; no token is mounted."""
    resources: Resources = Resources()
    """Resources of the container in which a stage's commands run."""
