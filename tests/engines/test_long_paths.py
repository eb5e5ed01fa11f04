"""Directories whose paths are longer than the kernel takes in one call."""

from __future__ import annotations

import pytest
from support.product import Product, text
from support.world import PROGRAMS, World

PATH_MAX = 4096
# Goes down to a directory whose path has the given length, and on by a name that makes it too long;
# what it makes it removes again, for nobody can from outside.
DESCENT = r"""
my ($top, $length) = @ARGV;
my $at = $top;
my @names;
sub down { my $name = shift; mkdir $name or die "mkdir: $!"; chdir $name or die "chdir: $!";
    push @names, $name; $at .= "/$name"; }
chdir "/" and mkdir $top and chdir $top or die "$top: $!";
while (length($at) + 301 < $length) { down("d" x 200) }
while (length($at) + 101 < $length) { down("d" x 100) }
down("e" x ($length - length($at) - 1));
print length($at) == $length ? "at\n" : "missed\n";
down("f" x 255);
open F, ">", "file" and print F "x" and close F or die "write: $!";
print -s "file", " ", (-e "../nothing" ? "there" : "not there"), "\n";
rename "file", "other" and unlink "other" or die "rename: $!";
for (reverse @names) { chdir ".." or die "up: $!"; rmdir $_ or die "rmdir: $!" }
chdir "/" and rmdir $top or die "$top: $!";
"""


@pytest.mark.parametrize("options", [[], ["--root"]], ids=["user", "root"])
@pytest.mark.parametrize("short_of", [1, 20, 200, 250], ids="{} short of it".format)
def test_a_step_over_the_limit(
    engine: Product, world: World, options: list[str], short_of: int
) -> None:
    """By both measures: the path in the guest, and the longer one that the host has for it."""
    guest = world.guest("bookworm")
    top = f"{PROGRAMS}/work/{engine.engine}-{short_of}-{len(options)}"
    for length in (PATH_MAX - short_of, PATH_MAX - short_of - len(str(guest))):
        done = engine.run(guest, "perl", "-e", DESCENT, top, str(length), options=options)
        assert done.stdout == b"at\n1 not there\n", text(done)
        assert done.returncode == 0, text(done)
