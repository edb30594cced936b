"""The client's names for the server's fields are the server's."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel

import ecurie.client
import ecurie.client.errors
from ecurie.adapter_stack import LoraBody
from ecurie.api import replay_schemas, schemas, sweep_schemas
from ecurie.client import AsyncClient, AsyncJob, AsyncSweep, Client, ClientError, Job, Sweep, shapes
from ecurie.domain import JobState
from ecurie.domain.jobs import NAMES
from ecurie.requests.body import GenerateBody, HiresBody
from ecurie.requests.sweep import AxisBody

PAIRS: list[tuple[type[Any], type[BaseModel]]] = [
    (shapes.Lora, LoraBody),
    (shapes.Hires, HiresBody),
    (shapes.Axis, AxisBody),
    (shapes.ModelInfo, schemas.ModelOut),
    (shapes.LoraInfo, schemas.LoraOut),
    (shapes.PresetInfo, schemas.PresetOut),
    (shapes.SchedulerInfo, schemas.SchedulerOut),
    (shapes.SystemInfo, schemas.SystemOut),
    (shapes.UploadInfo, schemas.PictureOut),
    (shapes.ProgressInfo, schemas.ProgressOut),
    (shapes.ImageInfo, schemas.ImageOut),
    (shapes.ReplayInfo, replay_schemas.ReplayOut),
    (shapes.ResultInfo, schemas.ResultOut),
    (shapes.FailureInfo, schemas.FailureOut),
    (shapes.JobInfo, schemas.JobOut),
    (shapes.CellInfo, sweep_schemas.CellOut),
    (shapes.SweepInfo, sweep_schemas.SweepOut),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_a_shape_has_the_fields_of_the_answer(ours: type[Any], theirs: type[BaseModel]) -> None:
    assert list(ours.__annotations__) == list(theirs.model_fields)


def test_every_field_of_a_request_may_be_given() -> None:
    fields = ("prompt", *shapes.Fields.__annotations__)
    assert sorted(fields) == sorted(GenerateBody.model_fields)


def test_states_and_classes_are_the_servers() -> None:
    assert get_args(shapes.State) == tuple(state.value for state in JobState)
    assert set(get_args(shapes.Priority)) == set(NAMES.values())


def test_both_clients_have_the_same_calls() -> None:
    for ours, theirs in ((Client, AsyncClient), (Job, AsyncJob), (Sweep, AsyncSweep)):
        public = [name for name in dir(ours) if not name.startswith("_")]
        assert public == [name for name in dir(theirs) if not name.startswith("_")]


def test_what_the_package_offers() -> None:
    errors = {
        name for name, kind in inspect.getmembers(ecurie.client.errors, inspect.isclass)
        if issubclass(kind, ClientError) and not name.startswith("_")
    }  # fmt: skip
    assert errors < set(ecurie.client.__all__)
    assert all(hasattr(ecurie.client, name) for name in ecurie.client.__all__)
    drawn = ecurie.client.errors.__doc__ or ""
    assert all(name in drawn for name in errors)


def test_a_call_keeps_its_name_and_words() -> None:
    client = Client("http://localhost:1")
    assert client.generate.__name__ == "generate"
    assert (client.generate.__doc__ or "").startswith("Draw, and wait")
    assert "fields" in inspect.signature(client.generate).parameters
    client.close()


def test_hints_can_be_read() -> None:
    assert get_type_hints(shapes.JobInfo)["result"] == shapes.ResultInfo | None
