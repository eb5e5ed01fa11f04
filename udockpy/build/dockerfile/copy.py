"""COPY and ADD."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import posixpath
import re

from udockpy.build.dockerfile import files, words
from udockpy.build.dockerfile.stage import digest, key_of, tree_of
from udockpy.errors import reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.build.dockerfile.files import Source
    from udockpy.build.dockerfile.grammar import Instruction
    from udockpy.build.dockerfile.stage import Stage
    from udockpy.store.tree import Tree

URL = re.compile(r"[a-z][a-z0-9+.-]*://|git@")
CHECKSUM = re.compile(r"sha256:([0-9a-f]{64})")
CHUNK = 1 << 20


def copy(stage: Stage, instruction: Instruction) -> None:
    """Copies files of the context, of another stage or image, of here-documents and of URLs."""
    *patterns, target = stage.words(instruction)
    if not patterns:
        raise ValueError("write SOURCE... TARGET")
    urls = [pattern for pattern in patterns if URL.match(pattern)]
    checksum = stage.expand(instruction.flag("checksum"))
    _check_urls(instruction, urls, checksum)
    origin = stage.expand(instruction.flag("from"))
    local = [pattern for pattern in patterns if pattern not in urls]

    @functools.cache
    def sources() -> list[Source]:
        found = _sources(stage, instruction, origin, local)
        if len(found) + len(urls) > 1 and not target.endswith("/"):
            raise ValueError(f"several files, so the target {target} must end with /")
        return found

    mode = _mode(stage.expand(instruction.flag("chmod")))
    chown = stage.expand(instruction.flag("chown"))
    is_folder = target.endswith(("/", "/.")) or target == "."
    destination = posixpath.normpath(stage.path(target)) + ("/" if is_folder else "")

    def put(tree: Tree) -> None:
        fetched = [_fetched(stage, url, checksum) for url in urls]
        # A number without a group is the group, too.
        whom = f"{chown}:{chown}" if chown.isdigit() else chown
        owner = files.owner(whom, tree) if chown else None
        place = files.Place(tree, destination, owner, mode, stage.store.now)
        files.put([*sources(), *fetched], place, unpack=instruction.keyword == "ADD" and not urls)

    def content() -> str:
        return files.fingerprint(sources())

    if origin:
        # Of a stage that is known as a whole no tree has to be made to know what is copied.
        key = digest([key_of(stage.around.other(origin)), local, target])
        value = stage.store.digest_of(key, content)
    else:
        value = content()
    about = [instruction.keyword, destination, chown, mode, urls, checksum, value]
    stage.changes(instruction, json.dumps(about), put)


def _sources(
    stage: Stage, instruction: Instruction, origin: str, patterns: list[str]
) -> list[Source]:
    heredocs = {words.expand(heredoc.mark, {}): heredoc for heredoc in instruction.heredocs}
    tree = tree_of(stage.around.other(origin)) if origin else None
    found = []
    for pattern in patterns:
        if pattern in heredocs:
            heredoc = heredocs[pattern]
            text = heredoc.content
            if heredoc.expands:
                text = words.expand_heredoc(text, stage.known())
            added = [files.text(heredoc.name, text, stage.store.now)]
        elif origin:
            added = files.of_tree(tree, pattern) if tree else []
        else:
            context = stage.around.options.context
            added = files.of_context(context, stage.around.ignore, pattern)
        if not added:
            where = f"the stage or image {origin}" if origin else "the context"
            raise ValueError(f"{pattern}: {where} has no such file")
        found += added
    return found


def _check_urls(instruction: Instruction, urls: list[str], checksum: str) -> None:
    for url in urls:
        if instruction.keyword == "COPY":
            raise ValueError(f"{url}: only ADD has URLs")
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url}: only http and https are supported")
        if not CHECKSUM.fullmatch(checksum):
            raise ValueError(f"{url}: what it is must be said: ADD --checksum=sha256:...")
    if checksum and len(urls) != 1:
        raise ValueError("--checksum is for one URL")


def _fetched(stage: Stage, url: str, checksum: str) -> Source:
    """Downloads what has that checksum."""
    import urllib.parse
    import urllib.request

    name = posixpath.basename(urllib.parse.urlsplit(url).path) or "index.html"
    path = os.path.join(stage.store.new_folder(), name)
    state = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, open(path, "xb") as file:
            while chunk := answer.read(CHUNK):
                state.update(chunk)
                file.write(chunk)
    except OSError as e:
        raise ValueError(f"{url}: {reason_of(e)}") from None
    if f"sha256:{state.hexdigest()}" != checksum:
        raise ValueError(f"{url}: its checksum is sha256:{state.hexdigest()}")
    os.chmod(path, 0o600)
    os.utime(path, (stage.store.now, stage.store.now))
    (source,) = files.of_context(os.path.dirname(path), files.NOTHING, name)
    return source


def _mode(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch("[0-7]{1,5}", text) or int(text, 8) > 0o7777:
        raise ValueError(f"--chmod={text} is no octal mode")
    return int(text, 8)
