"""Layers of what changed in a tree: applied on what was below they give that tree, with our reader
and, on a copy of the real files, with GNU tar.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Callable

import pytest

from udockpy.errors import ArchiveError
from udockpy.layer.diff import Change, How, compare, layer
from udockpy.layer.fakedb import MODE, NODE, OWNER, Fakedb, Record, key_of
from udockpy.layer.layers import layer_writer
from udockpy.layer.member import Member
from udockpy.layer.pack import Packed, pack
from udockpy.layer.tar_reader import open_layer
from udockpy.layer.tree_reader import open_tree
from udockpy.layer.tree_writer import write_tree

NOTHING = 10**9  # ns; the time of all files that nothing happened to


class Tree:
    """A tree with its fakedb."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "rootfs"
        self.fakedb = os.fspath(folder / "fakedb")

    def make(self) -> Tree:
        self.root.mkdir(parents=True)
        return self

    def copy(self, name: str) -> Tree:
        other = Tree(self.folder.parent / name).make()
        with open_tree(os.fspath(self.root), self.fakedb) as reader:
            write_tree(reader.members(), os.fspath(other.root), other.fakedb)
        return other

    def pretend(self, name: str, record: Record, **xattrs: bytes) -> None:
        fd = os.open(self.root, os.O_RDONLY)
        with Fakedb(self.fakedb, create=True) as fakedb:
            fakedb.update(key_of(name, dir_fd=fd), record)
            for key, value in xattrs.items():
                fakedb.setxattr(key_of(name, dir_fd=fd), key.replace("_", "."), value)
        os.close(fd)

    def names(self) -> list[Member]:
        """All that there is, but for what two trees never share, and the root's time."""
        with open_tree(os.fspath(self.root), self.fakedb) as reader:
            return [
                member._replace(
                    content=None,
                    inode=(0, 0),
                    mtime_ns=member.mtime_ns if member.name else 0,
                )
                for member in reader.members()
            ]

    def contents(self) -> dict[str, bytes]:
        found = (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        return {os.fspath(path.relative_to(self.root)): path.read_bytes() for path in found}


def between(lower: Tree, upper: Tree) -> list[Change]:
    with (
        open_tree(os.fspath(lower.root), lower.fakedb) as below,
        open_tree(os.fspath(upper.root), upper.fakedb) as above,
    ):
        return compare(below.names(), above.names())


def write(upper: Tree, changes: list[Change], newest: int | None = None) -> tuple[bytes, Packed]:
    output = io.BytesIO()
    with open_tree(os.fspath(upper.root), upper.fakedb) as reader:
        packed = pack(layer(reader.names(), changes, newest=newest), output)
    return output.getvalue(), packed


def members_of(content: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(content), encoding="utf-8") as archive:
        return {member.name.removeprefix("./"): member for member in archive}


def apply(lower: Tree, content: bytes, packed: Packed) -> Tree:
    """A copy of `lower` with the layer on it."""
    made = lower.copy(f"{lower.folder.name}-applied")
    path = lower.folder.parent / "layer"
    path.write_bytes(content)
    with layer_writer(os.fspath(made.root), made.fakedb, limit=1 << 40) as writer:
        writer.lowest = False
        with open_layer(os.fspath(path), packed.diff_id) as members:
            writer.apply(members)
    return made


@pytest.fixture
def lower(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "lower").make()
    for name in ("etc", "opt/a/b", "opt/c", "tmp"):
        (tree.root / name).mkdir(parents=True)
    for name in ("etc/issue", "etc/hosts", "opt/a/one", "opt/a/b/two", "opt/c/three", "a-b", "a"):
        (tree.root / name).write_text(name)
    os.link(tree.root / "etc/issue", tree.root / "etc/issue.net")
    (tree.root / "link").symlink_to("etc/issue")
    os.mkfifo(tree.root / "opt/fifo")
    tree.pretend("etc/hosts", Record(OWNER | MODE, 5, 6, 0o4711), security_capability=b"\x01\0cap")
    for base, folders, names in os.walk(tree.root):
        for name in (*folders, *names):
            os.utime(os.path.join(base, name), ns=(NOTHING, NOTHING), follow_symlinks=False)
    return tree


def same_times(tree: Tree) -> None:
    """As a build that gives all files one time leaves them."""
    for base, folders, names in os.walk(tree.root):
        for name in (*folders, *names):
            os.utime(os.path.join(base, name), ns=(NOTHING, NOTHING), follow_symlinks=False)


def rewrite(root: Path) -> None:
    (root / "etc/issue").write_text("changed")


def replace_by_file(root: Path) -> None:
    shutil.rmtree(root / "opt/a")
    (root / "opt/a").write_text("file")


def replace_by_folder(root: Path) -> None:
    (root / "a-b").unlink()
    (root / "a-b").mkdir()
    (root / "a-b/in").write_text("in")


def replace_by_link(root: Path) -> None:
    shutil.rmtree(root / "opt/c")
    (root / "opt/c").symlink_to("a")


def link_again(root: Path) -> None:
    os.link(root / "opt/a/one", root / "etc/other")


def unlink_from_the_first(root: Path) -> None:
    (root / "etc/issue").unlink()


def split(root: Path) -> None:
    (root / "etc/issue.net").unlink()
    (root / "etc/issue.net").write_text("etc/issue")
    same_times(Tree(root.parent))


def join(root: Path) -> None:
    (root / "a").unlink()
    os.link(root / "opt/a/one", root / "a")
    os.utime(root, ns=(NOTHING, NOTHING))


def move(root: Path) -> None:
    (root / "opt/a/b").rename(root / "tmp/b")


def empty(root: Path) -> None:
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda root: None, ""),
        (rewrite, "C:etc C:etc/issue C:etc/issue.net"),
        (lambda root: (root / "etc/new").write_text("n"), "C:etc A:etc/new"),
        (lambda root: shutil.rmtree(root / "opt/a"), "C:opt D:opt/a"),
        (replace_by_file, "C:opt C:opt/a"),
        (replace_by_folder, "C:a-b A:a-b/in"),
        (replace_by_link, "C:opt C:opt/c"),
        (link_again, "C:etc A:etc/other C:opt C:opt/a C:opt/a/one"),
        (unlink_from_the_first, "C:etc D:etc/issue"),
        (split, "C:etc C:etc/issue C:etc/issue.net"),
        (join, "C:a C:opt C:opt/a C:opt/a/one"),
        (move, "C:opt C:opt/a D:opt/a/b C:tmp A:tmp/b A:tmp/b/two"),
        (lambda root: (root / "opt/a").chmod(0o700), "C:opt C:opt/a"),
        (empty, "D:a D:a-b D:etc D:link D:opt D:tmp"),
    ],
)
def test_a_layer_makes_the_tree_of_the_one_below(
    lower: Tree, change: Callable[[Path], object], wanted: str
) -> None:
    upper = lower.copy("upper")
    change(upper.root)
    changes = between(lower, upper)
    assert " ".join(f"{change.how.value}:{change.name}" for change in changes) == wanted
    applied = apply(lower, *write(upper, changes))
    assert applied.names() == upper.names()
    assert applied.contents() == upper.contents()
    assert between(upper, applied) == []


def test_contents_are_compared_where_times_do_not_tell(lower: Tree) -> None:
    upper = lower.copy("upper")
    (upper.root / "opt/c/three").write_text("OPT/C/THREE")
    same_times(upper)
    assert [change.name for change in between(lower, upper)] == ["opt", "opt/c", "opt/c/three"]


def test_what_is_pretended_is_in_the_layer(lower: Tree) -> None:
    upper = lower.copy("upper")
    (upper.root / "null").write_text("")
    upper.pretend("null", Record(OWNER | MODE | NODE, 0, 5, 0o20666, (1, 3)))
    upper.pretend("etc/issue", Record(OWNER, 7, 8))
    upper.pretend("etc/hosts", Record(MODE, mode=0o2755), security_capability=b"other")
    changes = between(lower, upper)
    content, packed = write(upper, changes)
    found = members_of(content)
    assert set(found) == {"etc", "etc/hosts", "etc/issue", "etc/issue.net", "null"}
    null, issue, hosts = found["null"], found["etc/issue"], found["etc/hosts"]
    assert (null.type, null.devmajor, null.devminor, null.mode) == (tarfile.CHRTYPE, 1, 3, 0o666)
    assert (issue.uid, issue.gid) == (7, 8)
    assert (hosts.uid, hosts.gid, hosts.mode) == (5, 6, 0o2755)
    assert hosts.pax_headers["SCHILY.xattr.security.capability"] == "other"
    assert apply(lower, content, packed).names() == upper.names()


def test_the_root_itself_changes_only_with_its_owner_or_mode(lower: Tree) -> None:
    upper = lower.copy("upper")
    os.utime(upper.root, ns=(5, 5))
    assert between(lower, upper) == []
    upper.pretend("", Record(OWNER, 3, 3))
    assert between(lower, upper) == [Change(How.CHANGED, "")]


def test_a_layer_of_everything(lower: Tree, tmp_path: Path) -> None:
    with open_tree(os.fspath(lower.root), lower.fakedb) as reader:
        changes = compare((), reader.names())
    assert {change.how for change in changes} == {How.ADDED}
    nothing = Tree(tmp_path / "nothing").make()
    assert apply(nothing, *write(lower, changes)).names() == lower.names()


def test_the_same_changes_are_the_same_bytes(lower: Tree) -> None:
    made = []
    for name in ("one", "two"):
        upper = lower.copy(name)
        rewrite(upper.root)
        (upper.root / "etc/new").write_text("new")
        made.append(write(upper, between(lower, upper), newest=1000))
    assert made[0] == made[1]
    assert max(member.mtime for member in members_of(made[0][0]).values()) == 1000


def test_a_name_that_means_a_removal_is_refused(lower: Tree) -> None:
    upper = lower.copy("upper")
    (upper.root / "etc/.wh.odd").write_text("")
    with pytest.raises(ArchiveError, match=r"etc/\.wh\.odd") as caught:
        write(upper, between(lower, upper))
    assert caught.value.hint == "rename it"


def test_gnu_tar_reads_a_layer(lower: Tree, tmp_path: Path) -> None:
    upper = lower.copy("upper")
    odd = "bad\nname\udcff" + "l" * 200
    (upper.root / odd).write_text("odd")
    os.utime(upper.root / odd, ns=(1, 1_700_000_000_123_456_789))
    link_again(upper.root)
    content, _ = write(upper, between(lower, upper))
    target = tmp_path / "tar"
    target.mkdir()
    unpack = ["tar", "-xz", "--delay-directory-restore", "-C", target]
    done = subprocess.run(unpack, input=content, check=False, capture_output=True)
    assert b"Ignoring unknown extended header keyword 'hdrcharset'" in done.stderr
    assert done.returncode == 0
    assert (target / odd).stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert (target / "etc/other").samefile(target / "opt/a/one")


@pytest.mark.parametrize("seed", range(40))
def test_random_changes(lower: Tree, seed: int) -> None:
    """Anything that can be done to a tree, many times over."""
    choice = random.Random(seed)
    upper = lower.copy("upper")
    for step in range(choice.randrange(1, 40)):
        disturb(choice, upper, f"n{step}")
    changes = between(lower, upper)
    applied = apply(lower, *write(upper, changes))
    assert applied.names() == upper.names()
    assert applied.contents() == upper.contents()
    # Nothing is in the layer that is as it was: without a change another, smaller one would do.
    assert all(change.name for change in changes)


def disturb(choice: random.Random, tree: Tree, fresh: str) -> None:
    paths = sorted(tree.root.rglob("*"))
    folders = [tree.root, *(path for path in paths if path.is_dir() and not path.is_symlink())]
    files = [path for path in paths if path.is_file() and not path.is_symlink()]
    target = choice.choice(folders) / fresh
    what = choice.randrange(8)
    if what == 0:
        target.mkdir()
    elif what == 1:
        target.write_bytes(choice.randbytes(choice.randrange(5000)))
    elif what == 2 and files:
        os.link(choice.choice(files), target)
    elif what == 3 and files:
        choice.choice(files).unlink()
    elif what == 4 and paths:
        path = choice.choice(paths)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    elif what == 5 and files:
        choice.choice(files).rename(target)
    elif what == 6 and files:
        owner = Record(OWNER | MODE, choice.randrange(9), choice.randrange(9), 0o4755)
        tree.pretend(os.fspath(choice.choice(files).relative_to(tree.root)), owner)
    elif what == 7:
        target.symlink_to(choice.choice(folders))
