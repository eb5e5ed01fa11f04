"""Users and groups of a guest, from the text of its password and group files. Pure."""

from __future__ import annotations

from typing import NamedTuple

from udockpy.container.plan import Identity
from udockpy.errors import UserError

MAX_ID = 2**32 - 2  # -1 means "unchanged" to the kernel


class User(NamedTuple):
    """A line of a password file."""

    name: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str

    def line(self) -> str:
        return f"{self.name}:x:{self.uid}:{self.gid}:{self.gecos}:{self.home}:{self.shell}"


class Group(NamedTuple):
    """A line of a group file."""

    name: str
    gid: int
    members: tuple[str, ...] = ()

    def line(self) -> str:
        return f"{self.name}:x:{self.gid}:{','.join(self.members)}"


class Accounts(NamedTuple):
    """The text of a guest's /etc/passwd and /etc/group; empty where it has none."""

    passwd: str
    group: str

    def users(self) -> list[User]:
        rows = (line.split(":") for line in self.passwd.splitlines())
        return [
            User(row[0], int(row[2]), int(row[3]), row[4], row[5], row[6])
            for row in rows
            if len(row) == 7 and row[2].isdigit() and row[3].isdigit()
        ]

    def groups(self) -> list[Group]:
        rows = (line.split(":") for line in self.group.splitlines())
        return [
            Group(row[0], int(row[2]), tuple(filter(None, row[3].split(","))))
            for row in rows
            if len(row) == 4 and row[2].isdigit()
        ]


def resolve(text: str, accounts: Accounts) -> tuple[Identity, User]:
    """Reads NAME|UID[:GROUP|GID] as the guest knows it, and gives the user's line too."""
    name, colon, group = text.partition(":")
    user = _user(name, accounts)
    if not colon:
        named = [found.gid for found in accounts.groups() if user.name in found.members]
        groups = tuple(dict.fromkeys([user.gid, *named]))
        return Identity(user.uid, user.gid, groups, pretend=True), user
    gid = _group(group, accounts)
    return Identity(user.uid, gid, (gid,), pretend=True), user


def _user(name: str, accounts: Accounts) -> User:
    users = accounts.users()
    for user in users:
        if user.name == name:
            return user
    if name.isdigit() and int(name) <= MAX_ID:
        known = (user for user in users if user.uid == int(name))
        return next(known, User(name, int(name), 0, "", "/", ""))
    hint = "give a name from the guest's /etc/passwd, or a number"
    raise UserError("unknown user", name or "(empty)", "not in the guest's /etc/passwd", hint=hint)


def _group(name: str, accounts: Accounts) -> int:
    for group in accounts.groups():
        if group.name == name:
            return group.gid
    if name.isdigit() and int(name) <= MAX_ID:
        return int(name)
    hint = "give a name from the guest's /etc/group, or a number"
    raise UserError("unknown group", name or "(empty)", "not in the guest's /etc/group", hint=hint)


def merge(accounts: Accounts, user: User, groups: list[Group]) -> Accounts:
    """The guest's files with the host's user in them: his line replaces that of his uid, unknown
    groups are added.
    """
    if user.uid == 0:
        return accounts  # root's own line stays as it is, even when root runs udockpy
    kept = [line for line in accounts.passwd.splitlines() if not _is_user(line, user)]
    known = {group.gid for group in accounts.groups()}
    added = [group.line() for group in groups if group.gid not in known]
    return Accounts(_text([*kept, user.line()]), _text([*accounts.group.splitlines(), *added]))


def _is_user(line: str, user: User) -> bool:
    row = line.split(":")
    return len(row) > 2 and (row[2] == str(user.uid) or row[0] == user.name)


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
