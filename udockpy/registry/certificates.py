"""TLS: which authorities are trusted for a registry, and the user's own certificates.

As docker and podman have it: a folder HOST[:PORT] with authorities (*.crt) and client certificates
(NAME.cert with NAME.key), below ~/.config/containers/certs.d, /etc/containers/certs.d or
/etc/docker/certs.d; or such a folder named by the user.
"""

from __future__ import annotations

import os
import ssl

from udockpy import home as homes
from udockpy.errors import RegistryError, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM = ("/etc/containers/certs.d", "/etc/docker/certs.d")


def context(
    host: str,
    environ: Mapping[str, str],
    *,
    registry: str,
    folder: str = "",
    insecure: bool = False,
) -> ssl.SSLContext:
    """How to talk TLS with `host`, to which `registry` sends us: its token server, for example.

    The registry's authorities are trusted there, too, but its client certificates not shown.
    `folder` stands for all other folders.
    """
    made = ssl.create_default_context()
    own = [folder] if folder else _folders(host, environ)
    for path in own:
        _load(made, path, (".crt", ".cert"), named=bool(folder))
    for path in [] if folder or host == registry else _folders(registry, environ):
        _load(made, path, (".crt",), named=False)
    if insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def _folders(host: str, environ: Mapping[str, str]) -> list[str]:
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(homes.user_home(environ), ".config")
    bases = (os.path.join(config, "containers", "certs.d"), *SYSTEM)
    return [os.path.join(base, host) for base in bases]


def _load(made: ssl.SSLContext, folder: str, kinds: tuple[str, ...], *, named: bool) -> None:
    try:
        names = sorted(os.listdir(folder))
    except OSError as e:
        if named:
            raise RegistryError("cannot read certificates", folder, reason_of(e)) from e
        return
    for name in names:
        if not name.endswith(kinds):
            continue
        path = os.path.join(folder, name)
        try:
            if name.endswith(".crt"):
                made.load_verify_locations(cafile=path)
            else:
                made.load_cert_chain(path, f"{path[: -len('.cert')]}.key", password=_no_password)
        except OSError as e:  # ssl.SSLError too
            reason = reason_of(e) if not isinstance(e, ssl.SSLError) else "malformed"
            raise RegistryError("cannot use a certificate", path, reason) from e


def _no_password() -> str:
    """OpenSSL would ask at the terminal otherwise."""
    raise PermissionError("the key needs a password")
