"""Users and groups of a guest."""

from __future__ import annotations

import pytest

from udockpy.container import users
from udockpy.container.users import Accounts, Group, User
from udockpy.errors import UserError

ACCOUNTS = Accounts(
    "root:x:0:0:root:/root:/bin/bash\nwww:x:33:33:www:/var/www:/bin/false\nodd line\n"
    "12:x:500:5::/:/bin/sh\n",
    "root:x:0:\nwww:x:33:\nstaff:x:50:www,other\n",
)
PEER = User("peer", 1001, 1001, "", "/home/peer", "/bin/sh")


@pytest.mark.parametrize(
    ("text", "uid", "gid", "groups"),
    [
        ("root", 0, 0, (0,)),
        ("www", 33, 33, (33, 50)),
        ("33", 33, 33, (33, 50)),
        ("www:staff", 33, 50, (50,)),
        ("www:7", 33, 7, (7,)),
        ("4242", 4242, 0, (0,)),
        ("4242:4243", 4242, 4243, (4243,)),
        ("12", 500, 5, (5,)),
    ],
)
def test_users_as_the_guest_knows_them(
    text: str, uid: int, gid: int, groups: tuple[int, ...]
) -> None:
    identity, _ = users.resolve(text, ACCOUNTS)
    assert (identity.uid, identity.gid, identity.groups, identity.pretend) == (
        uid,
        gid,
        groups,
        True,
    )


@pytest.mark.parametrize(
    "text", ["", "nobody", "www:none", ":", "www:", "-1", "4294967295", "99999999999"]
)
def test_unknown_users_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"unknown (user|group)") as caught:
        users.resolve(text, ACCOUNTS)
    assert caught.value.exit_code == 125


def test_the_user_is_added_to_his_guest() -> None:
    merged = users.merge(ACCOUNTS, PEER, [Group("peer", 1001), Group("staff2", 50)])
    assert merged.passwd == f"{ACCOUNTS.passwd}peer:x:1001:1001::/home/peer:/bin/sh\n"
    assert merged.group == f"{ACCOUNTS.group}peer:x:1001:\n"


def test_the_line_of_his_uid_is_replaced() -> None:
    merged = users.merge(ACCOUNTS, PEER._replace(uid=33), [])
    assert [user.name for user in merged.users()] == ["root", "12", "peer"]


def test_roots_line_stays() -> None:
    assert users.merge(ACCOUNTS, PEER._replace(uid=0), []) == ACCOUNTS
