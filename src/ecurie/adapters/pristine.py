"""A model's tensors as its files hold them, mapped: nothing is copied, and the system may drop the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ecurie.errors import WeightsInvalid
from ecurie.formats.parts import Source


class Pristine:
    """Keeps the files open, so that a file which is replaced by a rename stays what it was for this model."""

    def __init__(self) -> None:
        self._files: dict[Path, Any] = {}

    def tensor(self, source: Source) -> Tensor:
        """On the CPU, in the stored dtype. Nobody may write into it.

        Raises WeightsInvalid.
        """
        try:
            if source.file not in self._files:
                self._files[source.file] = safe_open(source.file, framework="pt")
            tensor: Tensor = self._files[source.file].get_tensor(source.key)
        except (SafetensorError, OSError) as error:
            raise WeightsInvalid(f"{source.file} cannot be read: {error}") from error
        if source.rows is not None:
            tensor = tensor[slice(*source.rows)]
        return (tensor.T if source.transposed else tensor).reshape(source.shape)
