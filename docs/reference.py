"""The application's own OpenAPI description as Markdown pages: one for each tag, and one of types.

A renderer of our own: of what is kept, Redoc and Swagger UI are programs that a browser runs, whose text no
search finds, and sphinxcontrib-openapi 0.10 tells neither limits nor defaults of fields.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

INTRODUCTION = """
Made from the server's own `/openapi.json`. [The HTTP interface](../api.md) explains it; [types](types.md) has
every object.
"""
RANGES = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
)
LIMITS = {
    "exclusiveMinimum": "> {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
    "pattern": "`{}`",
}


def pages(api: Schema) -> dict[str, str]:
    """Markdown by page name: `index`, `types`, and one for each tag (of none: the path's first part)."""
    types = api["components"]["schemas"]
    by_tag: dict[str, list[str]] = defaultdict(list)
    rows: dict[str, list[list[str]]] = defaultdict(list)
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            name, tag = f"{method.upper()} {path}", operation.get("tags", [path.split("/")[1]])[0]
            by_tag[tag].append("\n\n".join(_operation(name, operation, types)))
            place = f"{_anchor(tag)}.md#{_anchor(name)}"
            rows[tag].append([f"[`{name}`]({place})", _text(_first_line(operation))])
    index = "\n\n".join(f"## {tag}\n\n{_table(['route', 'what'], rows[tag])}" for tag in rows)
    contents = "\n".join(["```{toctree}", ":hidden:", *map(_anchor, by_tag), "types", "```"])
    return {
        "index": f"# API reference\n{INTRODUCTION}\n{index}\n\n{contents}",
        "types": "\n\n".join(["# Types", *(_type(name, schema) for name, schema in sorted(types.items()))]),
        **{_anchor(tag): f"# {tag}\n\n" + "\n\n".join(parts) for tag, parts in by_tag.items()},
    }


def _operation(name: str, operation: Schema, types: Schema) -> Iterator[str]:
    yield f"## `{name}`"
    yield operation.get("description", operation["summary"])
    if parameters := operation.get("parameters"):
        rows = [
            [f"`{told['name']}`", told["in"], *_value(told["schema"], told["required"]), _meaning(told)]
            for told in parameters
        ]
        yield _table(["parameter", "in", "type", "default", "meaning"], rows)
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = _named(content.get("schema", {}), types)
        yield f"**Body**, `{media_type}`: {_kind(content.get('schema', {}))}"
        if "properties" in schema:
            yield _fields(schema)
        yield from _examples(schema)
    yield _table(
        ["answer", "body", "when"], [_answer(*told) for told in sorted(operation["responses"].items())]
    )


def _answer(status: str, told: Schema) -> list[str]:
    kinds = [
        f"{_kind(content['schema'])}, `{media_type}`" if content.get("schema") else f"`{media_type}`"
        for media_type, content in told.get("content", {}).items()
    ]
    return [status, "; ".join(kinds), _text(told["description"].replace("Successful Response", "success"))]


def _type(name: str, schema: Schema) -> str:
    parts = [f"## {name}", schema.get("description", "")]
    parts += [_fields(schema)] if "properties" in schema else [_kind(schema)]
    return "\n\n".join(filter(None, [*parts, *_examples(schema)]))


def _fields(schema: Schema) -> str:
    needed = schema.get("required", [])
    rows = [
        [f"`{name}`", *_value(field, name in needed), _meaning(field)]
        for name, field in schema["properties"].items()
    ]
    return _table(["field", "type", "default", "meaning"], rows)


def _examples(schema: Schema) -> Iterator[str]:
    for example in schema.get("examples", []):
        yield f"```json\n{json.dumps(example, ensure_ascii=False)}\n```"


def _value(schema: Schema, required: bool) -> list[str]:
    default = f"`{json.dumps(schema['default'], ensure_ascii=False)}`" if "default" in schema else ""
    return [_kind(schema), "required" if required else default]


def _kind(schema: Schema) -> str:
    """What a value may be, in words, with its limits."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](types.md#{_anchor(name)})"
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_kind(option) for option in options)
    if values := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return ", ".join(f"`{value}`" for value in values)
    kind = schema.get("format", schema.get("type", "any"))
    if schema.get("type") == "array":
        kind = f"list of {_kind(schema.get('items', {}))}"
    elif isinstance(of := schema.get("additionalProperties"), dict):
        kind = f"object of {_kind(of)}"
    return ", ".join([kind, *_limits(schema)])


def _limits(schema: Schema) -> Iterator[str]:
    told = {key: _number(value) for key, value in schema.items()}
    for low, high, unit in RANGES:
        if low in told and high in told:
            yield f"{told[low]} to {told[high]}{unit}"
        elif low in told or high in told:
            yield f"≥ {told[low]}{unit}" if low in told else f"≤ {told[high]}{unit}"
    yield from (words.format(told[key]) for key, words in LIMITS.items() if key in told)


def _named(schema: Schema, types: Schema) -> Schema:
    return types[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _number(limit: Any) -> Any:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def _anchor(heading: str) -> str:
    kept = (letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return "".join(kept).replace(" ", "-")


def _first_line(operation: Schema) -> str:
    return operation.get("description", operation["summary"]).partition("\n\n")[0]


def _meaning(told: Schema) -> str:
    return _text(told.get("description", ""))


def _text(words: str) -> str:
    return " ".join(words.split())


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
