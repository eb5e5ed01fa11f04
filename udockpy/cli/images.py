"""images."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_json, print_table
from udockpy.operations import images as operations


@click.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def images(*, as_json: bool) -> None:
    """List the images. Imported ones have no digest."""
    rows = []
    for image in operations.listing(os.environ):
        row: dict[str, str | int] = {"name": image.name, "rootfs": image.tree.rootfs}
        if image.entry is not None:
            row |= {
                "digest": image.entry.digest,
                "platform": str(image.entry.platform),
                "size": operations.size(image, os.environ),
            }
        rows.append(row)
    if as_json:
        print_json(rows)
        return
    columns = ("name", "digest", "platform", "size")
    table = [tuple(str(row.get(column, "")) for column in columns) for row in rows]
    print_table(("IMAGE", "DIGEST", "PLATFORM", "SIZE"), table)
