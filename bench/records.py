"""Typed records to and from plain JSON or TOML values: one walk over annotated types for reading, checking and schema.

Annotations may hold plain types, `Literal`, unions, tuples, mappings with text keys, and dataclasses of these.
"""

from __future__ import annotations

import dataclasses
import math
import reprlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from bench.errors import RecordError

SHOWN = 60  # characters of a value in messages

WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "none"}
SCHEMA_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


@cache
def field_types(record: type) -> dict[str, Any]:
    """The annotated types of a dataclass by field name."""
    return typing.get_type_hints(record)


def is_record(kind: Any) -> bool:
    """True if `kind` is a dataclass."""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _is_mapping(kind: Any) -> bool:
    origin = typing.get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _item_types(kind: Any, count: int) -> tuple[Any, ...]:
    """The types of a tuple's items; those of `tuple[X, ...]` repeated `count` times."""
    arguments = typing.get_args(kind)
    return arguments[:1] * count if arguments[-1] is Ellipsis else arguments


def fits(value: Any, kind: Any) -> bool:
    """True if a value has an annotated type: a plain type, `Literal`, union or tuple. Numbers have to be finite."""
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind) and type(value) is not bool
    if _is_union(kind):
        return any(fits(value, one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        each = _item_types(kind, len(value))
        return len(value) == len(each) and all(map(fits, value, each))
    if kind is float:
        return type(value) is float and math.isfinite(value)
    return value is None if kind is type(None) else type(value) is kind


def describe_type(kind: Any) -> str:
    """An annotated type in words, for error messages."""
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    if _is_union(kind):
        return " or ".join(map(describe_type, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return "a list of " + ", ".join("…" if one is Ellipsis else describe_type(one) for one in typing.get_args(kind))
    return "an object" if is_record(kind) or _is_mapping(kind) else WORDS.get(kind, str(kind))


def show_value(value: Any) -> str:
    """A value as messages quote it: in one short line, whatever it is."""
    text = repr(value) if isinstance(value, bool | int | float | None) else reprlib.repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def to_plain(record: Any) -> Any:
    """A record as plain JSON types: dataclasses as objects, tuples as lists."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {f.name: to_plain(getattr(record, f.name)) for f in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {str(key): to_plain(value) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [to_plain(item) for item in record]
    return record


def from_plain(kind: Any, content: Any, *, where: str = "") -> Any:
    """The value of type `kind` that `to_plain` made `content` from.

    Args:
        where: path of the content, for error messages.

    Raises:
        RecordError: naming the path, when a field is missing, unknown or of another type.
    """
    try:
        return _reader(kind)(content)
    except (_MisfitError, ValueError):  # found the quick way; read again with the path of each value, for the message
        return _checked(kind, content, where=where)


class _MisfitError(Exception):
    """Content that is not of its type."""


_Reader = Callable[[Any], Any]


@cache
def _reader(kind: Any) -> _Reader:
    """The function that reads content of a type; it is put together once, for thousands of results are read by it."""
    if kind is Any:
        return lambda content: content
    if is_record(kind):
        return _record_reader(kind)
    if _is_union(kind):
        return _union_reader(kind)
    if typing.get_origin(kind) is tuple:
        return _tuple_reader(kind)
    if _is_mapping(kind):
        return _mapping_reader(_reader(typing.get_args(kind)[1]))
    return _plain_reader(kind)


def _plain_reader(kind: Any) -> _Reader:
    choices = typing.get_args(kind)  # of a Literal

    def read_choice(content: Any) -> Any:
        if content not in choices or type(content) is bool:
            raise _MisfitError
        return content

    def read_exact(content: Any) -> Any:
        if type(content) is not kind:
            raise _MisfitError
        return content

    def read_float(content: Any) -> float:
        found = float(content) if type(content) is int else content
        if type(found) is not float or not math.isfinite(found):
            raise _MisfitError
        return found

    if typing.get_origin(kind) is typing.Literal:
        return read_choice
    return read_float if kind is float else read_exact


def _mapping_reader(read_value: _Reader) -> _Reader:
    def read(content: Any) -> Any:
        if not isinstance(content, Mapping):
            raise _MisfitError
        return {key: read_value(value) for key, value in content.items()}

    return read


def _tuple_reader(kind: Any) -> _Reader:
    arguments = typing.get_args(kind)
    readers = [_reader(one) for one in arguments if one is not Ellipsis]
    is_open = arguments[-1] is Ellipsis

    def read(content: Any) -> Any:
        if not isinstance(content, list) or not (is_open or len(content) == len(readers)):
            raise _MisfitError
        if is_open:
            return tuple(map(readers[0], content))
        return tuple(one(item) for one, item in zip(readers, content, strict=True))

    return read


def _record_reader(kind: Any) -> _Reader:
    readers = {name: _reader(one) for name, one in field_types(kind).items()}
    needed = _needed_fields(kind)

    def read(content: Any) -> Any:
        if not isinstance(content, Mapping) or not needed <= content.keys() <= readers.keys():
            raise _MisfitError
        return kind(**{name: readers[name](value) for name, value in content.items()})

    return read


def _union_reader(kind: Any) -> _Reader:
    kinds = typing.get_args(kind)
    readers = [_reader(one) for one in kinds]
    records = [(_needed_fields(one), field_types(one).keys(), _reader(one)) for one in kinds if is_record(one)]
    mappings = [_reader(one) for one in kinds if _is_mapping(one)]

    def read(content: Any) -> Any:
        if isinstance(content, Mapping):
            fitting = (one for needed, known, one in records if needed <= content.keys() <= known)
            chosen = next(fitting, mappings[0] if mappings else None)
            if chosen is None:
                raise _MisfitError
            return chosen(content)
        for one in readers:
            with suppress(_MisfitError):
                return one(content)
        raise _MisfitError

    return read


@cache
def _needed_fields(record: Any) -> frozenset[str]:
    """Names of the fields without a default."""
    missing = dataclasses.MISSING
    return frozenset(f.name for f in dataclasses.fields(record) if f.default is f.default_factory is missing)


def _checked(kind: Any, content: Any, *, where: str) -> Any:
    """The value, read with the path of everything in it, which an error names."""
    if kind is Any:
        return content
    if is_record(kind):
        return _record_from(kind, content, where=where)
    if _is_union(kind):
        return _union_from(typing.get_args(kind), content, where=where, kind=kind)
    if typing.get_origin(kind) is tuple and isinstance(content, list):
        each = _item_types(kind, len(content))
        if len(each) == len(content):
            pairs = enumerate(zip(each, content, strict=True))
            return tuple(_checked(one, item, where=_join(where, str(place))) for place, (one, item) in pairs)
    if _is_mapping(kind):
        if not isinstance(content, Mapping):
            raise RecordError(f"{where or 'content'}: found {type(content).__name__}, expected an object")
        value_kind = typing.get_args(kind)[1]
        return {key: _checked(value_kind, value, where=_join(where, key)) for key, value in content.items()}
    found = float(content) if kind is float and type(content) is int else content
    if not fits(found, kind):
        raise RecordError(
            f"{where + ' is ' if where else 'found '}{show_value(content)}, expected {describe_type(kind)}"
        )
    return found


def _join(where: str, name: str) -> str:
    return f"{where}: {name}" if where else name


def _record_from(kind: type, content: Any, *, where: str) -> Any:
    prefix = f"{where}: " if where else ""
    if not isinstance(content, Mapping):
        raise RecordError(f"{prefix}found {type(content).__name__}, expected an object ({kind.__name__})")
    known = field_types(kind)
    if unknown := sorted(set(content) - set(known)):
        raise RecordError(
            f"{prefix}{kind.__name__} has no field {', '.join(unknown)}; was it written by a newer version?"
        )
    for one in dataclasses.fields(kind):
        if one.name not in content and one.default is one.default_factory is dataclasses.MISSING:
            expected = f"expected {describe_type(known[one.name])} ({kind.__name__})"
            raise RecordError(f"{prefix}{one.name} is None, {expected}")
    values = {name: _checked(known[name], value, where=_join(where, name)) for name, value in content.items()}
    try:
        return kind(**values)
    except ValueError as error:  # the record refuses a combination of values
        raise RecordError(f"{prefix}{error}") from None


def _union_from(kinds: Iterable[Any], content: Any, *, where: str, kind: Any) -> Any:
    """The first record among `kinds` that has all of the content's fields and lacks none; otherwise what fits."""
    if not isinstance(content, Mapping):
        for one in kinds:
            try:
                return _checked(one, content, where=where)
            except RecordError:
                continue
        raise RecordError(
            f"{where + ' is ' if where else 'found '}{show_value(content)}, expected {describe_type(kind)}"
        )
    records = [one for one in kinds if is_record(one)]
    for one in records:
        if _needed_fields(one) <= set(content) <= set(field_types(one)):
            return _checked(one, content, where=where)
    mappings = [one for one in kinds if _is_mapping(one)]
    if mappings:
        return _checked(mappings[0], content, where=where)
    raise RecordError(f"found fields {', '.join(content)}, which fit none of {[k.__name__ for k in records]}")


def schema_of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an annotated type: every record closed, every field required.

    Args:
        definitions: takes the schema of every record met, by name.
    """
    arguments = typing.get_args(kind)
    if is_record(kind):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}
            hints = field_types(kind)
            definitions[kind.__name__] = {
                "type": "object",
                "properties": {name: schema_of(hint, definitions) for name, hint in hints.items()},
                "required": list(hints),
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if typing.get_origin(kind) is typing.Literal:
        return {"enum": list(arguments)}
    if _is_union(kind):
        return {"anyOf": [schema_of(one, definitions) for one in arguments]}
    if typing.get_origin(kind) is tuple:
        if arguments[-1] is Ellipsis:
            return {"type": "array", "items": schema_of(arguments[0], definitions)}
        items = [schema_of(one, definitions) for one in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if _is_mapping(kind):
        return {"type": "object", "additionalProperties": schema_of(arguments[1], definitions)}
    return {"type": SCHEMA_TYPES[kind]} if kind in SCHEMA_TYPES else {}
