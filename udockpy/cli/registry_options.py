"""The options of all commands that talk to a registry."""

from __future__ import annotations

from typing import Any, Callable

import click

Function = Callable[..., Any]


def with_registry_options(function: Function) -> Function:
    """Decorates with --insecure and --cert-dir."""
    cert_dir = click.option(
        "--cert-dir", metavar="DIR", default="", help="take the authorities and certificates here"
    )
    insecure = click.option(
        "--insecure", is_flag=True, help="take any certificate, and do without TLS"
    )
    return insecure(cert_dir(function))
