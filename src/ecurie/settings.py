"""Every setting, in one class: command-line flag, then environment (`ECURIE_…`), then file, then default.

The file is `settings.toml` in the data folder, or the one that `ECURIE_SETTINGS_FILE` names.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ecurie.errors import SettingsError, UnsafeBind

# Above it, Pillow warns of decompression bombs.
PILLOWS_LIMIT = 1024 * 1024 * 1024 // 4 // 3
BROKERS = ("redis", "rediss", "amqp", "amqps")
POSTGRES_DRIVER = "postgresql+psycopg"
POSTGRES_SCHEMES = frozenset({"postgres", "postgresql", POSTGRES_DRIVER})
DEFAULT_DATA_DIR = Path("~/.ecurie")


def split_names(values: Iterable[str]) -> tuple[str, ...]:
    """`a,b` and `c` as `a`, `b`, `c`."""
    return tuple(part.strip() for part in ",".join(values).split(",") if part.strip())


def _split(value: object) -> object:
    """Of a list too: a flag that may be repeated may hold several names as well."""
    if isinstance(value, str):
        return split_names([value])
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return split_names(value)
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several names; in the environment with commas between them."""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
UNITS |= {f"{letter}I": 1024**power for power, letter in enumerate("KMGT", start=1)}


def _bytes(value: object) -> object:
    """`12GB`, `1.5 GiB`, `800M` or a number of bytes."""
    match = (
        re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?", value.strip().upper())
        if isinstance(value, str)
        else None
    )
    return round(float(match[1]) * UNITS[match[2] or ""]) if match else value


Bytes = Annotated[int, BeforeValidator(_bytes)]
"""A size in bytes, as people write it."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ECURIE_", extra="forbid", frozen=True)

    data_dir: Path = Field(DEFAULT_DATA_DIR, description="The one folder that holds all state.")
    settings_file: Path | None = Field(None, description="Settings file; default: settings.toml in data_dir.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8009, ge=1, le=65535, description="Port to listen on.")
    demo: bool = Field(False, description="Use the bundled demo models.")
    catalog: Path | None = Field(None, description="Catalogue file; default: ecurie.yaml in data_dir.")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$",
        description="Where to compute: auto, cpu, mps, cuda or cuda:N.",
    )
    workers: Literal["auto"] | Annotated[int, Field(ge=0, le=64)] = Field(
        "auto", description="Processes that make images; auto: one for each CUDA device, else one."
    )
    api_key: SecretStr | None = Field(
        None, description="An admin's API key of your own choice, beside those of `ecurie keys`."
    )
    allowed_hosts: Names = Field((), description="Host names to accept besides loopback ones.")
    allowed_origins: Names = Field((), description="Web origins that may send requests.")
    trusted_proxies: Names = Field(
        (), description="Addresses or networks of proxies whose X-Forwarded-For is believed."
    )
    wrong_keys_per_minute: int = Field(
        10, ge=1, description="Wrong API keys from one address before more are refused."
    )
    image_link_seconds: int = Field(
        3600,
        ge=60,
        description="How long the address of an image holds without a key, where keys are needed.",
    )
    max_queue: int = Field(1000, ge=1, description="Queued jobs before new ones are refused.")
    max_pixels: int = Field(2048 * 2048, ge=64, description="Largest width x height of an image.")
    max_body_bytes: int = Field(1_000_000, ge=1000, description="Largest request body.")
    max_upload_bytes: int = Field(
        20_000_000, ge=1000, description="Largest picture that a client may send, as a file."
    )
    max_upload_pixels: int = Field(
        50_000_000,
        ge=64,
        le=PILLOWS_LIMIT,
        description="Most pixels of such a picture, all frames counted.",
    )
    max_connections: int = Field(
        500, ge=10, description="Connections at once, listeners of events included; more get 503."
    )
    receive_seconds: float = Field(120, gt=0, description="Time for the body of a request to arrive.")
    send_seconds: float = Field(60, gt=0, description="Time for a client to take a part of an answer.")
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL of the jobs, postgresql://USER:PASSWORD@HOST/NAME; default: SQLite.",
    )
    broker_url: SecretStr | None = Field(
        None,
        description="Celery's broker, redis://… or amqp://…: workers are then started by `ecurie worker`.",
    )
    keep_uploads_days: float = Field(
        30, ge=0, description="Pictures that were sent and not used for so long are removed; 0: never."
    )
    keep_outputs_days: float = Field(
        0, ge=0, description="Images are removed so long after their job's end; 0: never."
    )
    keep_jobs_days: float = Field(
        0,
        ge=0,
        description="Jobs are forgotten so long after their end (a day at least), if their images may be; "
        "0: never.",
    )
    max_attempts: int = Field(3, ge=1, description="Runs of a job whose worker keeps dying.")
    lease_seconds: float = Field(30, gt=0, description="A silent worker loses its job after this time.")
    max_overtake_seconds: float = Field(
        60, ge=0, description="How long a worker stays with a model while an older job waits for another."
    )
    stall_seconds: float = Field(
        900, gt=0, description="A job without progress is taken away after this time."
    )
    drain_seconds: float = Field(5, ge=0, le=6, description="At stop, time for the running job to finish.")
    ram_budget: Bytes | None = Field(
        None,
        ge=1,
        description="Host memory for models, such as 12GB; default: 80 % of what is free at start.",
    )
    vram_budget: Bytes | None = Field(
        None, ge=1, description="Accelerator memory, such as 10GB; default: 90 % of what is free at start."
    )
    max_resident_models: int | None = Field(
        None, ge=1, description="Models kept in memory at most; default: as many as the budgets hold."
    )
    preload: Names = Field((), description="Ids of models to load before the worker says that it is ready.")
    verify_weights: bool = Field(
        False, description="Compare unpatched weights with the file before each job (slow; for debugging)."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of a worker; default: torch's choice.")
    prefetch: bool = Field(True, description="Read the files of the next jobs while one runs.")
    download: Literal["auto", "never"] = Field(
        "auto", description="Whether a job may download files that the catalogue names."
    )
    civitai_token: SecretStr | None = Field(None, description="API key for Civitai.")
    civitai_url: str = Field("https://civitai.com", description="Where to ask for `civitai:` sources.")
    plain_http_hosts: Names = Field((), description="Hosts (name:port) whose files may come without TLS.")
    reference_image: Path | None = Field(
        None, description="Picture that requests with ip_strength use when they bring none."
    )
    previews: bool = Field(True, description="Show what a job draws while it draws: a small picture of it.")
    preview_decoder: Path | None = Field(
        None,
        description="AutoencoderTiny, such as taesdxl, for sharper previews; default: a linear map.",
    )
    outputs_url: str | None = Field(
        None,
        description="Where images go, and pictures that are sent: file:///folder or s3://bucket/prefix; "
        "default: folders in data_dir.",
    )
    s3_endpoint_url: str | None = Field(
        None, description="Address of S3-compatible storage; default: that of AWS."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least log level.")

    @field_validator("data_dir", "catalog", "settings_file", "reference_image", "preview_decoder")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        known = {**env_settings(), **init_settings()}
        folder = Path(known.get("data_dir") or DEFAULT_DATA_DIR).expanduser()
        file = Path(known.get("settings_file") or folder / "settings.toml").expanduser()
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)

    @field_validator("api_key")
    @classmethod
    def _not_blank(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not key.get_secret_value().strip():
            raise ValueError("is empty, which would leave the server open")
        return key

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise ValueError(f"is no address or network: {error}") from error
        return proxies

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and url.get_secret_value().partition("://")[0] not in BROKERS:
            raise ValueError(f"is not the address of a broker: it begins with {', '.join(BROKERS)}, then ://")
        return url

    @field_validator("database_url")
    @classmethod
    def _with_driver(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        scheme, separator, rest = url.get_secret_value().partition("://")
        if not separator or not rest or scheme not in POSTGRES_SCHEMES:
            raise ValueError("is not postgresql://USER:PASSWORD@HOST/NAME")
        return SecretStr(f"{POSTGRES_DRIVER}://{rest}")

    @property
    def outputs_place(self) -> str:
        """The URL of finished images."""
        return self.outputs_url or (self.data_dir / "outputs").as_uri()

    @property
    def uploads_place(self) -> str:
        """The URL of the pictures that clients send: workers need them, so they are where the outputs are."""
        beside = None if self.outputs_url is None else f"{self.outputs_url.rstrip('/')}/uploads"
        return beside or (self.data_dir / "uploads").as_uri()

    @property
    def models_dir(self) -> Path:
        return self.data_dir / "models"

    @property
    def workers_dir(self) -> Path:
        return self.data_dir / "workers"

    @property
    def catalog_file(self) -> Path:
        return self.catalog or self.data_dir / "ecurie.yaml"

    @property
    def hashes_file(self) -> Path:
        """A cache beside the job table: it may be deleted."""
        return self.data_dir / "hashes.db"

    @property
    def store_url(self) -> str:
        """Of the job database, as SQLAlchemy takes it; it may hold a password."""
        if self.database_url is None:
            return f"sqlite:///{self.data_dir / 'ecurie.db'}"
        return self.database_url.get_secret_value()

    @property
    def on_loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def in_reach(self) -> bool:
        """Whether others than this machine's users reach the server, by themselves or through a proxy."""
        return not self.on_loopback or bool(self.trusted_proxies)

    def check_bind(self, any_key: Callable[[], bool]) -> None:
        """Raise UnsafeBind when others could reach the server and there is no key; `any_key`: whether the
        table has one."""
        if not self.in_reach or self.api_key is not None or any_key():
            return
        where = f"listening on {self.host}" if not self.on_loopback else "a proxy before this server"
        raise UnsafeBind(
            f"{where} would let everyone on the network use this server",
            remedy="make a key with `ecurie keys create --role admin --name NAME`, or set ECURIE_API_KEY to "
            "a secret of your choice, or keep to this machine (--host 127.0.0.1, no trusted proxies)",
        )

    def check_reach(self) -> None:
        """Raise SettingsError when workers of other machines could not use the job table.

        A SQLite file is shared by locks and memory that no network file system keeps, so with a broker it is
        enough only where the broker itself is of this machine, and its workers with it.
        """
        if self.broker_url is None or not self.store_url.startswith("sqlite"):
            return
        host = urlsplit(self.broker_url.get_secret_value()).hostname or "localhost"
        if not is_loopback(host):
            raise SettingsError(
                f"with a broker on {host}, workers of several machines would share the SQLite file "
                f"{self.data_dir / 'ecurie.db'}, which only processes of one machine can",
                remedy="set ECURIE_DATABASE_URL to a PostgreSQL database, for the server and all workers",
            )

    def as_environment(self) -> dict[str, str]:
        """The variables that make a child process see these very settings."""
        variables: dict[str, str] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            elif isinstance(value, tuple):
                value = ",".join(value)
            if value is not None:
                variables[f"ECURIE_{name.upper()}"] = str(value)
        return variables


SECRETS = frozenset({"api_key", "broker_url", "civitai_token", "database_url"})
"""Settings that are no flags, and never shown: others could read them in the process list or a log."""


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_settings(**flags: Any) -> Settings:
    """Settings from the flags that were given, the environment and the settings file.

    Raises SettingsError naming the setting and where it came from.
    """
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    _refuse_unknown_variables()
    try:
        settings = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        source = f"--{name.replace('_', '-')}" if name in given else _source_of(name)
        got = "" if name in SECRETS else f" (got {first['input']!r})"
        raise SettingsError(
            f"{source}: {first['msg']}{got}",
            remedy="docs/api.md lists every setting",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the settings file is not valid TOML: {error}") from error
    if settings.settings_file is not None and not settings.settings_file.is_file():
        raise SettingsError(f"the settings file {settings.settings_file} does not exist")
    if settings.demo and settings.catalog is not None:
        raise SettingsError(
            f"both the demo models and the catalogue {settings.catalog} are asked for",
            remedy="leave out --demo (ECURIE_DEMO) or --catalog (ECURIE_CATALOG)",
        )
    return settings


def _refuse_unknown_variables() -> None:
    known = {f"ECURIE_{name.upper()}" for name in Settings.model_fields}
    for variable in sorted(os.environ):
        if variable.startswith("ECURIE_") and variable not in known:
            near = difflib.get_close_matches(variable, known, 1)
            raise SettingsError(
                f"the environment has {variable}, which is no setting",
                remedy=f"did you mean {near[0]}?" if near else "docs/api.md lists every setting",
            )


def _source_of(name: str) -> str:
    variable = f"ECURIE_{name.upper()}"
    return variable if variable in os.environ else f"settings file, '{name}'"
