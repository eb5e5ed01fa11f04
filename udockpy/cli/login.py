"""login and logout."""

from __future__ import annotations

import os
import sys

import click

from udockpy.cli.output import print_line
from udockpy.cli.registry_options import with_registry_options
from udockpy.errors import UsageError
from udockpy.operations import login as operations
from udockpy.registry.http import Access


@click.command()
@click.option("-u", "--username", metavar="NAME", help="who you are in the registry")
@click.option("--password-stdin", is_flag=True, help="read the password from standard input")
@with_registry_options
@click.argument("registry", default="docker.io")
def login(
    *, username: str | None, password_stdin: bool, insecure: bool, cert_dir: str, registry: str
) -> None:
    """Ask REGISTRY whether it takes a name and a password, and keep them as docker and podman do.

    The password is never taken from the command line, where other users of the node can read it.
    """
    if password_stdin:
        if not username:
            raise UsageError("cannot log in", registry, "no name is given", hint="use --username")
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        if not sys.stdin.isatty():
            hint = "use --username and --password-stdin"
            raise UsageError("cannot ask for the password", registry, "no terminal", hint=hint)
        username = username or click.prompt("Name", err=True)
        password = click.prompt("Password", hide_input=True, err=True)
    if not password:
        raise UsageError("cannot log in", registry, "the password is empty")
    access = Access(insecure, cert_dir)
    place = operations.login(registry, username, password, access, os.environ)
    print_line(f"logged in; kept in {place}" if place else "no login is needed; nothing is kept")


@click.command()
@click.argument("registry", default="docker.io")
def logout(*, registry: str) -> None:
    """Forget the name and the password for REGISTRY."""
    print_line("logged out" if operations.logout(registry, os.environ) else "was not logged in")
