"""sif list, header, dump and verify."""

from __future__ import annotations

import click

from udockpy.operations import sif as operations


@click.group()
def sif() -> None:
    """Look at and into SIF files."""


@sif.command("list")
@click.argument("image")
def list_(*, image: str) -> None:
    """List the objects of IMAGE."""
    from udockpy.sif.tables import objects

    click.echo("\n".join(objects(operations.read(image))))


@sif.command()
@click.argument("image")
def header(*, image: str) -> None:
    """Print the header of IMAGE."""
    from udockpy.sif.tables import header as lines

    click.echo("\n".join(lines(operations.read(image))))


@sif.command()
@click.argument("number", type=int, metavar="ID")
@click.argument("image")
def dump(*, number: int, image: str) -> None:
    """Write the object ID of IMAGE to standard output."""
    operations.dump(image, number)


@sif.command()
@click.argument("image")
def verify(*, image: str) -> None:
    """Check that IMAGE is whole, and as it was when somebody signed it.

    Who that was is not checked: that needs PGP and his key.
    """
    report = operations.check(image)
    signed = ", ".join(map(str, report.signed))
    click.echo(f"{image}: whole, {report.objects} objects")
    click.echo(f"{image}: {f'as signed: objects {signed}' if signed else 'nothing is signed'}")
