"""Where answers say that images are."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from ecurie.access.signing import Signer
from ecurie.api.admission import OUTPUTS


@dataclass(frozen=True, slots=True)
class Links:
    """Signed where keys are in force, so that a browser, which sends no key with an <img>, can show them."""

    signer: Signer | None

    def image(self, filename: str) -> str:
        place = OUTPUTS + quote(filename)
        return place if self.signer is None else f"{place}?{self.signer.query(filename)}"
