"""What a change of the OpenAPI document means to clients that know the old one."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

Json = dict[str, Any]

AT_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
AT_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
# Whether one of two values allows more is unknown: only the same value is safe.
EXACT = ("pattern", "format", "multipleOf", "uniqueItems", "prefixItems")


def differences(old: Any, new: Any, *path: str) -> Iterator[str]:
    """Yield every difference of two documents, with the path to it."""
    old, new = _by_name(old), _by_name(new)
    if not isinstance(old, dict) or not isinstance(new, dict):
        if old != new:
            yield f"{' > '.join(path)}: {old!r} → {new!r}"
        return
    for key in old | new:
        if key not in new:
            yield f"{' > '.join([*path, key])}: removed"
        elif key not in old:
            yield f"{' > '.join([*path, key])}: added"
        else:
            yield from differences(old[key], new[key], *path, key)


def _by_name(value: Any) -> Any:
    """Return a list as a dictionary, in which the order does not count."""
    if not isinstance(value, list):
        return value
    if all(isinstance(each, dict) and "name" in each for each in value):
        return {f"{each.get('in', '')} {each['name']}".strip(): each for each in value}
    if any(isinstance(each, dict) for each in value):
        return {str(number): each for number, each in enumerate(value)}
    return {str(each): None for each in value}


def breaking_changes(old: Json, new: Json) -> Iterator[str]:
    """Yield, for each operation, why a client that knows the old document may fail.

    Every request that was valid must stay valid, and every response must be one that was
    possible before. New fields of a response are expected to be ignored.
    """
    requests, responses = (_Bodies(old, new, is_request=kind) for kind in (True, False))
    for path, operations in old["paths"].items():
        for method, before in operations.items():
            where = f"{method.upper()} {path}"
            after = new["paths"].get(path, {}).get(method)
            if after is None:
                yield f"{where}: removed"
                continue
            if after.get("security") and not before.get("security"):
                yield f"{where}: requires authentication"
            yield from _parameters(requests, before, after, where)
            yield from requests.contents(
                before.get("requestBody", {}),
                after.get("requestBody", {}),
                f"{where}, request",
            )
            yield from _responses(responses, before, after, where)


def _parameters(
    requests: "_Bodies", before: Json, after: Json, where: str
) -> Iterator[str]:
    olds, news = (_by_name(each.get("parameters", [])) for each in (before, after))
    for name, parameter in news.items():
        known = olds.get(name, {})
        if parameter.get("required") and not known.get("required"):
            yield f"{where}, {name}: is required"
    for name, parameter in olds.items():
        if name not in news:
            yield f"{where}, {name}: removed"
        else:
            pair = parameter["schema"], news[name]["schema"]
            yield from requests.schemas(*pair, f"{where}, {name}")


def _responses(
    responses: "_Bodies", before: Json, after: Json, where: str
) -> Iterator[str]:
    for status, response in before["responses"].items():
        there = f"{where}, {status}"
        changed = after["responses"].get(status)
        if changed is None:
            # Any error may be the default one.
            if status[0] in "23":
                yield f"{there}: removed"
            continue
        for name in response.get("headers", {}):
            if name not in changed.get("headers", {}):
                yield f"{there}, header {name}: removed"
        yield from responses.contents(response, changed, there)


@dataclass(frozen=True)
class _Bodies:
    """Compares the schemas of two documents: what one side sends, the other must read."""

    old: Json
    new: Json
    is_request: bool

    def contents(self, old: Json, new: Json, where: str) -> Iterator[str]:
        """Compare bodies, by their media types."""
        olds, news = old.get("content", {}), new.get("content", {})
        if new.get("required") and not old.get("required"):
            yield f"{where}: is required"
        for media, content in olds.items():
            if media not in news:
                yield f"{where}: no longer {media}"
            else:
                pair = content.get("schema", {}), news[media].get("schema", {})
                yield from self.schemas(*pair, where)

    def schemas(
        self, old: Json, new: Json, where: str, seen: frozenset[Any] = frozenset()
    ) -> Iterator[str]:
        """Yield why a value that is sent may not be one that the other side reads."""
        references = (old.get("$ref"), new.get("$ref"))
        if all(references) and references in seen:
            return
        seen |= {references}
        old, new = _resolved(old, self.old), _resolved(new, self.new)
        olds, news = _kinds(old), _kinds(new)
        if len(olds) == len(news) == 1:
            yield from self._values(old, new, where)
            yield from self._parts(old, new, where, seen)
            return
        for kind in olds if self.is_request else news:
            pairs = [
                (kind, other) if self.is_request else (other, kind)
                for other in (news if self.is_request else olds)
            ]
            reasons = [list(self.schemas(*pair, where, seen)) for pair in pairs]
            if not all(reasons):
                continue
            within = [r for r in reasons if not r[0].startswith(f"{where}: type ")]
            if within:
                yield from within[0]
            else:
                name = kind.get("$ref", kind.get("type", "any")).rpartition("/")[2]
                verb = "no longer accepts" if self.is_request else "may be"
                yield f"{where}: {verb} {name}"

    def _values(self, old: Json, new: Json, where: str) -> Iterator[str]:
        sent, read = (old, new) if self.is_request else (new, old)
        types = (sent.get("type"), read.get("type"))
        if types[1] not in (None, types[0]) and types != ("integer", "number"):
            changed = ["type"]
        else:
            changed = [
                *(k for k in AT_MOST if sent.get(k, inf) > read.get(k, inf)),
                *(k for k in AT_LEAST if sent.get(k, -inf) < read.get(k, -inf)),
                *(k for k in EXACT if k in read and sent.get(k) != read[k]),
            ]
            values = set(sent.get("enum", [None]))
            if "enum" in read and not values <= set(read["enum"]):
                changed.append("enum")
        for keyword in changed:
            yield f"{where}: {keyword} {old.get(keyword)} → {new.get(keyword)}"

    def _parts(
        self, old: Json, new: Json, where: str, seen: frozenset[Any]
    ) -> Iterator[str]:
        olds, news = old.get("properties", {}), new.get("properties", {})
        for name, schema in olds.items():
            if name in news:
                yield from self.schemas(schema, news[name], f"{where} > {name}", seen)
            else:
                yield f"{where} > {name}: removed"
        required, before = (
            set(each.get("required", ()))
            for each in ((new, old) if self.is_request else (old, new))
        )
        for name in sorted(required - before):
            if self.is_request:
                yield f"{where} > {name}: is required"
            elif name in news:
                yield f"{where} > {name}: may be missing"
        for keyword in ("items", "additionalProperties"):
            pair = old.get(keyword, {}), new.get(keyword, {})
            if any(pair) and all(isinstance(each, dict) for each in pair):
                yield from self.schemas(*pair, f"{where} > {keyword}", seen)


def _resolved(schema: Json, document: Json) -> Json:
    """Return the schema that a reference names; a constant is an enum of one value."""
    if "const" in schema:
        return {**schema, "enum": [schema["const"]]}
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    return _resolved(document["components"]["schemas"][name], document)


def _kinds(schema: Json) -> list[Json]:
    """Return the alternatives that a schema allows."""
    return schema.get("anyOf") or schema.get("oneOf") or [schema]
