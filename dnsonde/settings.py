"""What can be set of a detector or a format, as the signature of its function says.

Keyword-only parameters with `Annotated[type, "meaning"]` and a default are its settings; who types them types texts.
"""

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dnsonde.errors import UsageError

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting: `--set NAME=VALUE`."""

    name: str
    type: type[int] | type[float] | type[str] | type[bool]
    default: int | float | str | bool
    meaning: str


def parameters(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """A function's settings, in order."""
    hints = typing.get_type_hints(function, include_extras=True)
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            kind, meaning = typing.get_args(hints[parameter.name])
            found.append(Parameter(parameter.name, kind, parameter.default, meaning))
    return tuple(found)


def checked(whose: str, known: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, texts turned into the parameter's type; UsageError for what `whose` cannot be set to."""
    types = {parameter.name: parameter.type for parameter in known}
    result: dict[str, Any] = {}
    for name, value in values.items():
        if name not in types:
            raise UsageError(f"{whose} has no setting {name!r}; it has: {', '.join(types) or 'none'}")
        kind = types[name]
        try:
            result[name] = _boolean(value) if kind is bool else kind(value)
        except ValueError:
            raise UsageError(f"{name} of {whose} takes {KINDS[kind]}, not {value!r}") from None
    return result


def _boolean(value: object) -> bool:
    text = str(value).lower()
    if text not in TRUE + FALSE:
        raise ValueError(value)
    return text in TRUE
