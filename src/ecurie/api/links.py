"""Where answers say that images are."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from ecurie.access.signing import Signer
from ecurie.api.admission import OUTPUTS, THUMBNAIL


@dataclass(frozen=True, slots=True)
class Links:
    """Signed where keys are in force, so that a browser, which sends no key with an <img>, can show them."""

    signer: Signer | None

    def image(self, filename: str) -> str:
        return self._link(OUTPUTS + quote(filename), filename)

    def thumbnail(self, filename: str) -> str:
        return self._link(OUTPUTS + quote(filename) + THUMBNAIL, filename)

    def _link(self, place: str, filename: str) -> str:
        return place if self.signer is None else f"{place}?{self.signer.query(filename)}"
