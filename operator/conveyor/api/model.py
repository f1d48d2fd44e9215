"""What every model of the API has in common: camelCase JSON, frozen, rules checked twice.

In: JSON-like data. Out: frozen values. A `Rule` is written once as CEL, which the API server
evaluates at `kubectl apply`, and once as Python, which the operator evaluates again (objects may be
older than the CRD).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.config import JsonDict, JsonValue

from conveyor.api.errors import UserError
from conveyor.api.names import Reason

_ACRONYMS = {"ttl": "TTL"}

M = TypeVar("M", bound="Model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule about an object.

    Attributes:
        message: What would be right.
        holds: Whether a model is right.
        cel: The same as an expression over `self`; "" when the schema says it in another way.
        field: JSON name of the field that the error points to; "" for the whole object.
    """

    message: str
    holds: Callable[..., bool]
    cel: str = ""
    field: str = ""

    def validation(self) -> JsonDict:
        """Entry for `x-kubernetes-validations`."""
        entry: JsonDict = {"rule": self.cel, "message": self.message}
        return entry | {"fieldPath": f".{self.field}"} if self.field else entry


def camel(name: str) -> str:
    """`pull_secret_refs` → `pullSecretRefs`."""
    first, *rest = name.split("_")
    return first + "".join(_ACRONYMS.get(word, word.capitalize()) for word in rest)


def _publish_rules(schema: JsonDict, model: type["Model"]) -> None:
    validations: list[JsonValue] = [rule.validation() for rule in model.rules if rule.cel]
    if validations:
        schema["x-kubernetes-validations"] = validations


class Model(BaseModel):
    """Base of the spec's models: unknown fields are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=camel,
        populate_by_name=True,
        json_schema_extra=_publish_rules,
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        broken = [rule.message for rule in self.rules if not rule.holds(self)]
        if broken:
            raise ValueError("; ".join(broken))
        return self


class Lenient(Model):
    """Base of what the operator or the API server wrote: fields of another version are skipped."""

    model_config = ConfigDict(extra="ignore")


def parse(model: type[M], data: Mapping[str, object], where: str) -> M:
    """Read one model and explain everything that is wrong with it at once.

    Args:
        model: What to read.
        data: JSON-like data.
        where: Name of the whole in messages, such as "spec".

    Raises:
        UserError: With reason InvalidSpec; one "path: problem" per line of the message.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UserError(Reason.INVALID_SPEC, explain(error, where)) from None


def explain(error: ValidationError, where: str) -> str:
    """All problems, one a line, each with its path; values are not repeated (secrets)."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join([where, *(str(part) for part in problem["loc"])])
        lines.append(f"{path}: {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)
