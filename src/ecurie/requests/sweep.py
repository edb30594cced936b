"""A sweep: one request with one or two of its fields varied, and the cells that this makes."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ecurie.adapter_stack import Name
from ecurie.domain import PriorityName
from ecurie.errors import InvalidRequest
from ecurie.mistakes import first_mistake
from ecurie.requests.body import GenerateBody
from ecurie.requests.drawing import seed_of
from ecurie.requests.pictures import FindPicture, keep_pictures

MOST_CELLS = 100
LORA = "lora:"
REPLACE = "prompt_replace"
FIXED = frozenset({"loras", "num_images", "priority"})
"""What a cell cannot vary: the stack as a whole, how many pictures it has, and how urgent it is."""

NAMES = "|".join([*sorted(GenerateBody.model_fields.keys() - FIXED), REPLACE])
AXIS = rf"^({LORA}[^\u0000]*|{NAMES})$"

Value = Annotated[str, Field(max_length=10_000)] | bool | int | float | None


class AxisBody(BaseModel):
    """`field` is one of a request's, `lora:NAME` for an adapter's weight, or `prompt_replace`: then the
    first value is what stands in the prompt, and every value takes its place in turn."""

    model_config = ConfigDict(extra="forbid", strict=True)

    field: Name = Field(json_schema_extra={"pattern": AXIS})
    values: list[Value] = Field(min_length=1, max_length=MOST_CELLS)

    @model_validator(mode="after")
    def _check(self) -> AxisBody:
        if self.field in FIXED:
            raise ValueError(f"'{self.field}' cannot be an axis; use lora:NAME, or an axis of seeds")
        if not self.field.startswith(LORA) and self.field not in {REPLACE, *GenerateBody.model_fields}:
            raise ValueError(f"'{self.field}' is no field of a request, lora:NAME or {REPLACE}")
        return self


class SweepBody(BaseModel):
    """The body of `POST /sweeps`: `request` is one of `POST /generate`, `x` and `y` what varies in it."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "request": {"prompt": "red apple", "seed": 7},
                    "x": {"field": "model", "values": ["sdxl-base", "pony-xl-v6"]},
                    "y": {"field": "lora:style-anime", "values": [0, 0.75]},
                }
            ]
        },
    )

    request: GenerateBody
    x: AxisBody
    y: AxisBody | None = None
    priority: PriorityName = Field("batch", description="Of its jobs.")

    @model_validator(mode="after")
    def _check(self) -> SweepBody:
        if self.request.num_images != 1:
            raise ValueError("a cell has one picture: leave 'num_images' out, or use an axis of seeds")
        if "priority" in self.request.model_fields_set:
            raise ValueError("'priority' is the sweep's, beside 'request'")
        if self.y and self.y.field == self.x.field and self.x.field != REPLACE:
            raise ValueError(f"both axes vary '{self.x.field}'")
        count = len(self.x.values) * (len(self.y.values) if self.y else 1)
        if count > MOST_CELLS:
            raise ValueError(f"{count} cells; a sweep may have {MOST_CELLS}")
        return self


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of the grid; `number` counts along its rows, from 0."""

    number: int
    label: str
    body: GenerateBody


def with_seed(sweep: SweepBody) -> SweepBody:
    """The seed is drawn here if it was left open, so that all cells share it unless it is an axis."""
    return _with_request(sweep, sweep.request.model_copy(update={"seed": seed_of(sweep.request)}))


def with_kept_pictures(sweep: SweepBody, find_picture: FindPicture) -> SweepBody:
    """The pictures are named by their uploads. Raises what `find_picture` raises."""
    return _with_request(sweep, keep_pictures(sweep.request, find_picture))


def _with_request(sweep: SweepBody, request: GenerateBody) -> SweepBody:
    return sweep.model_copy(update={"request": request})


def cells(sweep: SweepBody) -> Iterator[Cell]:
    """Row by row. Raises InvalidRequest naming the cell whose value cannot be."""
    rows: list[Value] = sweep.y.values if sweep.y else [None]
    for number, (row, column) in enumerate(itertools.product(rows, sweep.x.values)):
        fields = sweep.request.model_dump(exclude_unset=True)
        labels = [_vary(fields, sweep.x, column)]
        if sweep.y:
            labels.append(_vary(fields, sweep.y, row))
        label = ", ".join(labels)
        yield Cell(number, label, _checked(fields, label))


def _vary(fields: dict[str, Any], axis: AxisBody, value: Value) -> str:
    """Put the value into the fields; returns a label for it."""
    if axis.field == REPLACE:
        searched = axis.values[0]
        if not isinstance(searched, str) or not isinstance(value, str) or searched not in fields["prompt"]:
            raise InvalidRequest(
                f"{REPLACE}: the prompt does not hold {searched!r}",
                field="prompt",
                remedy="the first value is the text to replace, and all values are texts",
            )
        fields["prompt"] = fields["prompt"].replace(searched, value)
    elif axis.field.startswith(LORA):
        _set_weight(fields, axis.field.removeprefix(LORA), value)
    else:
        fields[axis.field] = value
    return label_of(axis.field, value)


def label_of(field: str, value: Value) -> str:
    shown = "default" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return shown if field == REPLACE else f"{field.removeprefix(LORA)}={shown}"


def _set_weight(fields: dict[str, Any], name: str, value: Value) -> None:
    loras = copy.deepcopy(fields.get("loras", []))
    mine = next((lora for lora in loras if lora["name"] == name), None)
    if mine is None:
        mine = {"name": name}
        loras.append(mine)
    mine["weight"] = value
    mine.pop("unet", None)
    mine.pop("text_encoder", None)
    fields["loras"] = loras


def _checked(fields: dict[str, Any], label: str) -> GenerateBody:
    try:
        return GenerateBody.model_validate(fields)
    except ValidationError as error:
        name, reason = first_mistake(error)
        raise InvalidRequest(f"the cell {label}: {name}: {reason}", field=name) from error
