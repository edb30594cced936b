"""Options: remembered for whoever set them, and overridden by a request.

The web UI has one set of options, so that whoever switches the model switches it for all. Here they belong to
the caller's API key (without keys to everybody, who then are one person) and, among programs that share a
key, to the user name that a program sends by HTTP Basic.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from ecurie.api.a1111.bodies import OptionsBody
from ecurie.catalog.catalog import Catalog
from ecurie.catalog.checkpoint_names import checkpoint_name, find_checkpoint
from ecurie.domain import Caller
from ecurie.errors import InvalidRequest
from ecurie.jobs.client_options import Client

MODEL, CLIP_SKIP, FORMAT, QUALITY, VAE = (
    *("sd_model_checkpoint", "CLIP_stop_at_last_layers", "samples_format", "jpeg_quality"),
    "sd_vae",
)
FORMATS = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}
OWN_VAE = ("", "automatic", "none")
NAME_DIGITS = 16
USUAL_QUALITY = 90


def client_of(request: Request, caller: Caller) -> Client:
    """Only a hash of the user name is kept: some write a key there."""
    scheme, _, coded = request.headers.get("authorization", "").partition(" ")
    user = _user_in(coded) if scheme.casefold() == "basic" else ""
    return Client(caller.owner, hashlib.sha256(user.encode()).hexdigest()[:NAME_DIGITS] if user else "")


def _user_in(coded: str) -> str:
    try:
        return base64.b64decode(coded.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a client's options and a request's overrides come to; None is the catalogue's."""

    model: str | None = None
    clip_skip: int | None = None
    format: str = "png"
    quality: int = USUAL_QUALITY


def checked(given: OptionsBody, catalog: Catalog) -> dict[str, Any]:
    """The options that are given, the model by its id; None where one is to be forgotten.

    Raises UnknownModel or InvalidRequest.
    """
    values = given.model_dump(exclude_unset=True)
    vae = values.pop(VAE, None)
    if vae is not None and vae.strip().casefold() not in OWN_VAE:
        raise InvalidRequest(
            f"{VAE}: '{vae[:100]}' cannot be chosen: each model has its own VAE",
            field=VAE,
            remedy="use Automatic; another VAE is named by 'vae' in a catalogue entry of its own",
        )
    if MODEL in values:
        name = (values[MODEL] or "").strip()
        values[MODEL] = find_checkpoint(name, catalog) if name else None
    if (wanted := values.get(FORMAT)) is not None:
        values[FORMAT] = wanted.strip().casefold()
        if values[FORMAT] not in FORMATS:
            raise InvalidRequest(f"{FORMAT}: '{wanted[:100]}' is none of {', '.join(FORMATS)}", field=FORMAT)
    return values


def chosen_of(stored: Mapping[str, Any], overrides: Mapping[str, Any]) -> Chosen:
    """Both as `checked` gives them."""
    values = {**stored, **{name: value for name, value in overrides.items() if value is not None}}
    return Chosen(
        model=values.get(MODEL),
        clip_skip=values.get(CLIP_SKIP),
        format=FORMATS[values.get(FORMAT, "png")],
        quality=values.get(QUALITY, USUAL_QUALITY),
    )


def shown(stored: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    """All options, as a client reads them."""
    model_id = stored.get(MODEL, catalog.default_model)
    name, entry = checkpoint_name(model_id, catalog), catalog.models().get(model_id)
    return {
        MODEL: name.title,
        "sd_checkpoint_hash": name.sha256 or "",
        VAE: "Automatic",
        CLIP_SKIP: stored.get(CLIP_SKIP, entry.clip_skip if entry else 1),
        FORMAT: stored.get(FORMAT, "png"),
        QUALITY: stored.get(QUALITY, USUAL_QUALITY),
    }


def changes(values: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What to remember of `values`, when `before` was shown.

    Some clients send back all that they have read, so a value that was shown is none that was chosen: it
    would stand in the way of another model's own. A model is always one that was chosen.
    """
    return {name: value for name, value in values.items() if name == MODEL or value != before.get(name)}
