"""Claims on a tree: shared by what runs on this node, or held alone."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from udockpy.errors import BusyError
from udockpy.store import claim


def test_claims_of_one_node_are_shared_and_only_the_first_was_alone(tmp_path: Path) -> None:
    called: list[int] = []
    fds = [claim.share(str(tmp_path), "tree", lambda: called.append(1)) for _ in range(3)]
    assert called == [1]
    for fd in fds:
        os.close(fd)
    os.close(claim.share(str(tmp_path), "tree", lambda: called.append(2)))
    assert called == [1, 2]


def test_who_is_alone_shares_with_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "PATIENCE", 0.05)
    with claim.alone(str(tmp_path), "tree"):
        with pytest.raises(BusyError, match=r"in use on .*first by process"):
            claim.share(str(tmp_path), "tree")
        with pytest.raises(BusyError), claim.alone(str(tmp_path), "tree"):
            pass
    fd = claim.share(str(tmp_path), "tree")
    with pytest.raises(BusyError), claim.alone(str(tmp_path), "tree"):
        pass
    os.close(fd)
    with claim.alone(str(tmp_path), "tree"):
        pass


def test_only_another_node_is_elsewhere(tmp_path: Path) -> None:
    claim.refuse_elsewhere(str(tmp_path), "tree")
    fd = claim.share(str(tmp_path), "tree")
    claim.refuse_elsewhere(str(tmp_path), "tree")
    (tmp_path / claim.NAME).write_text("another-boot 12 node17")
    with pytest.raises(BusyError, match="node17, first by process 12"):
        claim.refuse_elsewhere(str(tmp_path), "tree")
    os.close(fd)
    claim.refuse_elsewhere(str(tmp_path), "tree")


@pytest.mark.parametrize("signed", ["", "garbage", "\xff", "a b c d e"])
def test_a_signature_that_is_none_is_somebody_elses(
    tmp_path: Path, signed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "PATIENCE", 0.05)
    fd = claim.share(str(tmp_path), "tree")
    (tmp_path / claim.NAME).write_text(signed)
    with pytest.raises(BusyError):
        claim.share(str(tmp_path), "tree")
    os.close(fd)
    os.close(claim.share(str(tmp_path), "tree"))


def test_a_filesystem_without_locks_lets_everybody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):
        os.close(claim.share(str(tmp_path), "tree"))
