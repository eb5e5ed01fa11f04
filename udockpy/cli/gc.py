"""gc, and cache clean."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_json, print_line
from udockpy.operations.gc import gc as operation
from udockpy.util.text import size

DRY = click.option("-n", "--dry-run", is_flag=True, help="only say what would be removed")
JSON = click.option("--json", "as_json", is_flag=True, help="print JSON")


@click.command()
@click.option(
    "-a", "--all", "caches", is_flag=True, help="also what can be made again: unpacked trees"
)
@DRY
@JSON
def gc(*, caches: bool, dry_run: bool, as_json: bool) -> None:
    """Remove what nothing needs any more: blobs and trees of no image, halves of downloads, what
    killed commands left.
    """
    _clean(caches=caches, dry_run=dry_run, as_json=as_json)


@click.group()
def cache() -> None:
    """What can be made again."""


@cache.command()
@DRY
@JSON
def clean(*, dry_run: bool, as_json: bool) -> None:
    """Remove it, as gc --all does. Images are unpacked again when they are used."""
    _clean(caches=True, dry_run=dry_run, as_json=as_json)


def _clean(*, caches: bool, dry_run: bool, as_json: bool) -> None:
    found = operation(os.environ, caches=caches, dry=dry_run)
    if as_json:
        print_json([garbage._asdict() for garbage in found])
        return
    for garbage in found:
        print_line(f"{garbage.kind} {garbage.path}: {size(garbage.size)}")
    total = size(sum(garbage.size for garbage in found))
    print_line(f"{total} {'would be' if dry_run else 'are'} free")
