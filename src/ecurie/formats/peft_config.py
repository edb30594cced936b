"""PEFT's configuration of an adapter: what its tensors alone do not say.

PEFT writes `adapter_config.json` beside `adapter_model.safetensors`. diffusers keeps the same fields as JSON
in the file's metadata, `lora_adapter_metadata`, either bare or by part: `unet.lora_alpha`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecurie.errors import AdapterInvalid, NotBuiltYet
from ecurie.formats.hashes import sha256_of
from ecurie.formats.inventory import PARTS, Part
from ecurie.formats.safetensors_file import Header

PEFT_FILE, CONFIG_FILE = "adapter_model.safetensors", "adapter_config.json"
METADATA_KEY = "lora_adapter_metadata"
MAX_CONFIG_BYTES = 10_000_000
BUILT_TYPES = {"LORA", "LOHA", "LOKR", "OFT", "IA3"}
# What changes the weights besides the factors of the adapted layers.
NOT_BUILT = (
    *("modules_to_save", "trainable_token_indices", "layer_replication", "target_parameters", "lora_bias"),
    *("alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config", "kasa_config"),
    *("velora_config", "monteclora_config", "megatron_config"),
)
# A pattern is a regular expression from a file of anyone: only forms that match in short time are run.
PLAIN_PATTERN = re.compile(r"[\w.\\^$|\-*+]{1,300}")
MAX_QUANTIFIERS = 3
LARGEST = 1e30
SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class PeftConfig:
    """The fields of one model's adapter, checked as far as they are used."""

    file: Path
    fields: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.fields.get("peft_type", "LORA"))

    def number(
        self, name: str, default: float | None = None, *, least: float = -LARGEST, most: float = LARGEST
    ) -> float:
        value = self.fields.get(name, default)
        real = isinstance(value, int | float) and not isinstance(value, bool)
        if not real or not least <= value <= most:
            shown = f"{value!r}"[:SHOWN_CHARACTERS]
            raise AdapterInvalid(
                f"{self.file}: its PEFT configuration has {name} = {shown}, not a number that can be"
            )
        return float(value)

    def patterned(self, name: str, pattern: str, module: str) -> float:
        """The number `name`, or what the first fitting pattern of `pattern` says for this module."""
        patterns = self.fields.get(pattern) or {}
        if not isinstance(patterns, dict):
            raise AdapterInvalid(f"{self.file}: {pattern} of its PEFT configuration is no mapping")
        for expression in patterns:
            if self.matches(rf"(.*\.)?({self._checked(expression)})$", module):
                return PeftConfig(self.file, patterns).number(expression)
        return self.number(name)

    def feedforward(self, module: str) -> bool:
        """Whether (IA)^3 scales this module's inputs."""
        wanted = self.fields.get("feedforward_modules") or []
        if isinstance(wanted, str):
            return self.matches(rf"({self._checked(wanted)})\Z", module)
        if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
            raise AdapterInvalid(f"{self.file}: feedforward_modules of its PEFT configuration is no list")
        return module.endswith(tuple(wanted))

    def matches(self, expression: str, module: str) -> bool:
        try:
            return re.match(expression, module) is not None
        except re.error as error:
            raise AdapterInvalid(
                f"{self.file}: its PEFT configuration has the pattern {expression!r}: {error}"
            ) from error

    def _checked(self, expression: str) -> str:
        quantifiers = expression.count("*") + expression.count("+")
        if not PLAIN_PATTERN.fullmatch(expression) or quantifiers > MAX_QUANTIFIERS:
            raise NotBuiltYet(
                f"{self.file}: the pattern {expression!r} of its PEFT configuration is not plain enough",
                remedy="write the names of the modules instead",
            )
        return expression


Configs = Mapping[Part | None, PeftConfig]
"""By part; under None the one for every part."""


def config_beside(file: Path) -> Path | None:
    """The configuration that belongs to a file of a PEFT folder."""
    config = file.with_name(CONFIG_FILE)
    return config if file.name == PEFT_FILE and config.is_file() else None


def config_sha256_of(file: Path) -> str:
    """64 hex digits, or nothing where no configuration belongs to the file. Raises OSError."""
    config = config_beside(file)
    return sha256_of(config) if config is not None else ""


def read_configs(file: Path, header: Header) -> Configs:
    """Read what PEFT says of a file, from its metadata or beside it; empty where there is nothing.

    Raises AdapterInvalid for what is no such configuration, NotBuiltYet for what cannot be applied yet.
    """
    text = header.metadata.get(METADATA_KEY)
    beside = config_beside(file)
    if text is None and beside is not None:
        text = _read_text(beside)
    if text is None:
        return {}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AdapterInvalid(f"{file}: its PEFT configuration is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise AdapterInvalid(f"{file}: its PEFT configuration is no mapping")
    return {part: _checked(PeftConfig(file, fields)) for part, fields in _by_part(content).items()}


def _read_text(config: Path) -> str:
    try:
        if config.stat().st_size > MAX_CONFIG_BYTES:
            raise AdapterInvalid(f"{config} is too large for a configuration")
        return config.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AdapterInvalid(f"{config} cannot be read: {error}") from error


def _by_part(content: dict[str, Any]) -> dict[Part | None, dict[str, Any]]:
    split: dict[Part | None, dict[str, Any]] = {}
    for part in PARTS:
        fields = {
            key.removeprefix(f"{part}."): value
            for key, value in content.items()
            if key.startswith(f"{part}.")
        }
        if fields:
            split[part] = fields
    return split or {None: content}


def _checked(config: PeftConfig) -> PeftConfig:
    if config.kind not in BUILT_TYPES:
        raise NotBuiltYet(
            f"{config.file} is an adapter of PEFT's kind {config.kind}, which cannot be applied"
        )
    set_ones = [name for name in NOT_BUILT if config.fields.get(name)]
    if config.fields.get("bias", "none") != "none":
        set_ones.append("bias")
    if set_ones:
        raise NotBuiltYet(
            f"{config.file} was made with PEFT's {', '.join(set_ones)}, which cannot be applied; "
            "without it the picture would be another",
            remedy="train or export the adapter without it",
        )
    return config
