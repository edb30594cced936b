from __future__ import annotations

import pytest

from ecurie.api.a1111.listing import samplers_out, schedules_out
from ecurie.catalog.a1111_samplers import SAMPLERS, scheduler_for
from ecurie.catalog.schedulers import SCHEDULERS
from ecurie.errors import InvalidRequest, UnknownSampler


@pytest.mark.parametrize(
    ("sampler", "schedule", "scheduler"),
    [
        ("Euler", None, "euler"),
        ("Euler a", "Automatic", "euler-a"),
        ("euler A", "automatic", "euler-a"),
        ("Euler", "SGM Uniform", "euler-trailing"),
        ("Euler", "sgm_uniform", "euler-trailing"),
        ("Euler SGM Uniform", None, "euler-trailing"),
        ("Heun", "normal", "heun"),
        ("DPM++ 2M", None, "dpmpp-2m-karras"),
        ("DPM++ 2M", "Uniform", "dpmpp-2m"),
        ("DPM++ 2M Karras", None, "dpmpp-2m-karras"),
        ("DPM++ 2M Karras", "Automatic", "dpmpp-2m-karras"),
        ("dpm++ 2m karras", "", "dpmpp-2m-karras"),
        ("DPM++ 2M Karras", "uniform", "dpmpp-2m"),
        ("DPM++ SDE", "automatic", "dpmpp-sde-karras"),
        ("DPM++ 2M SDE", "Automatic", "dpmpp-2m-sde-exponential"),
        ("DPM++ 2M SDE Exponential", None, "dpmpp-2m-sde-exponential"),
        ("DPM++ 2M SDE", "karras", "dpmpp-2m-sde-karras"),
        ("DPM2 a", None, "dpm2-a-karras"),
        ("LMS Karras", None, "lms-karras"),
        ("PLMS", None, "pndm"),
        ("DDIM", "karras", "ddim"),
        ("UniPC", "normal", "unipc"),
        ("dpmpp-2m-sde", None, "dpmpp-2m-sde"),
    ],
)
def test_a_sampler_and_a_schedule_type_are_a_scheduler_of_ours(
    sampler: str, schedule: str | None, scheduler: str
) -> None:
    assert scheduler_for(sampler, schedule) == scheduler


def test_every_scheduler_but_the_model_s_own_has_a_name_there() -> None:
    named = {
        scheduler_for(sampler.name, schedule)
        for sampler in SAMPLERS.values()
        for schedule in sampler.schedulers
    }
    assert named == {entry.id for entry in SCHEDULERS if entry.class_name}


@pytest.mark.parametrize("name", ["nope", "DPM++ 3M SDE", "Karras", "", "Euler a nope"])
def test_an_unknown_sampler_is_told_those_that_are_known(name: str) -> None:
    with pytest.raises(UnknownSampler) as caught:
        scheduler_for(name, None)
    assert "DPM++ 2M SDE" in str(caught.value.remedy)
    assert caught.value.status == 400


def test_a_schedule_type_that_a_sampler_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Euler a has no schedule type Karras") as caught:
        scheduler_for("Euler a", "karras")
    assert caught.value.remedy == "use one of: Automatic, Uniform"
    with pytest.raises(InvalidRequest, match="no schedule type 'beta'"):
        scheduler_for("Euler", "beta")


def test_what_the_lists_offer_can_be_asked_for() -> None:
    for sampler in samplers_out():
        usual = scheduler_for(sampler.name, "Automatic")
        assert scheduler_for(sampler.name, sampler.options["scheduler"]) == usual
        assert [scheduler_for(alias, None) for alias in sampler.aliases] == [usual]
    labels = {schedule.label for schedule in schedules_out()}
    assert labels == {"Automatic"}.union(*(sampler.schedulers for sampler in SAMPLERS.values()))
