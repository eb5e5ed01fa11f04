"""login and logout: credentials that the registry itself has taken."""

from __future__ import annotations

from udockpy.oci import reference as references
from udockpy.registry import credentials
from udockpy.registry.client import Registry
from udockpy.registry.credentials import Credentials
from udockpy.registry.http import Access

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def login(
    word: str, user: str, password: str, access: Access, environ: Mapping[str, str]
) -> str | None:
    """Asks the registry, and returns where the credentials are kept; None, and keeps nothing, where
    it takes anybody.
    """
    host = references.parse_host(word)
    who = Credentials(user, password)
    if not Registry(host, access, who, environ).check_login():
        return None
    return credentials.store(host, who, environ)


def logout(word: str, environ: Mapping[str, str]) -> bool:
    """Forgets the credentials; whether there were any."""
    return credentials.erase(references.parse_host(word), environ)
