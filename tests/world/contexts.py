"""Small build contexts that cover the instructions of Dockerfiles: what buildah makes of them, as
root, is the measure of ours.

A context is a mapping of file names to contents. Modes and times are the same wherever it is
written: a name that ends with `*` is executable, one with `@` a link, one with `/` a directory.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

TIME = 1_000_000_000
BUSYBOX = "/bin/busybox"
APPLETS = (
    "cat chgrp chmod chown cp echo env false find grep id ln ls mkdir mkfifo mknod mv printf pwd rm"
    " sed sh sort stat test touch tr true"
)
Context = dict[str, str]


def archive(*names: str, mode: str = "w:gz") -> str:
    """A tar archive, as text of one byte a character."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode=mode, format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        for name in names:
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.mode, member.mtime = (0o2750 if name.endswith("/") else 0o640), TIME
            member.uid, member.gid = 7, 8
            content = b"" if name.endswith("/") else name.encode()
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return output.getvalue().decode("latin-1")


FILES = {"a.txt": "a\n", "b.txt": "b\n", "run.sh*": "#!/bin/sh\n", ".hidden": "h\n"}
TREE = {
    "dir/one": "1\n",
    "dir/sub/two*": "2\n",
    "dir/sub/.dot": "",
    "dir/empty/": "",
    "dir/link@": "sub/two",
    "dir/dangling@": "/nowhere",
    "dir/updir@": "sub",
}


def of(dockerfile: str, *more: Context) -> Context:
    made = {"Dockerfile": f"FROM base\n{dockerfile}"}
    for files in more:
        made |= files
    return made


CONTEXTS: dict[str, Context] = {
    "run": of(
        'RUN echo $0 >/shell && id >/id && pwd >/pwd\nRUN ["/bin/sh", "-c", "echo \'$BASE\' >/x"]\n'
    ),
    "run-changes": of(
        "RUN chmod 4755 /bin/busybox; chown www:staff /etc/issue; rm -r /opt/full; mkdir /opt/new;"
        " mkfifo /fifo; echo x >/hard; ln /hard /other; rm /etc/group;"
        " mkdir /etc/group; ln -s a /etc/group/b\nRUN rm -r /opt && echo file >/opt\n"
    ),
    "env": of(
        'ENV ONE=1 TWO="two words" THREE=three\\ words\nENV OLD the old form\n'
        "ENV FOUR=$ONE-${TWO}-'$ONE'-\"$ONE\" ONE=again\nRUN env | grep -E '^[A-Z]*=' | sort"
        " | grep -vE '^(HOME|HOSTNAME|PWD|SHLVL|PATH|USER|LOGNAME|TERM|container)=' >/env\n"
    ),
    "substitution": of(
        "ENV A=a E=\nENV B=${A:-x} C=${N:-n} D=${A:+y} F=${N:+z} G=${E:-e} H=${N:-${A}b} I=\\$A"
        ' J=${A}${A} K=x$A.y L="${N:-two words}"\nLABEL a=$A b=${N:-$B} "c"="$C d"\n'
        "WORKDIR /${A}dir\nCOPY $A.txt ${N:-b}.txt ./\nEXPOSE ${N:-80}\nUSER ${N:-www}\n"
        "VOLUME /v$A\nSTOPSIGNAL SIG${N:-INT}\n",
        FILES,
    ),
    "arguments": {
        "Dockerfile": "ARG IMAGE=base\nARG OUTER=outer\nFROM ${IMAGE}\nARG GIVEN=default\n"
        "ARG DEFAULT=default\nARG OUTER\nARG NONE\nENV BOTH=env\nARG BOTH=arg\n"
        'RUN echo "$GIVEN $DEFAULT $OUTER $NONE $BOTH" >/said\nENV KEPT=$GIVEN\n'
    },
    "copy-file": of(
        "COPY a.txt /new/place/\nCOPY b.txt run.sh /new/\nCOPY a.txt /renamed\n", FILES
    ),
    "copy-relative": of("WORKDIR /w\nCOPY a.txt .\nCOPY a.txt x\nCOPY b.txt y/\nCOPY . z\n", FILES),
    "copy-directory": of("COPY dir /made\nCOPY dir /other/\nCOPY dir/sub /opt/full\n", TREE),
    "copy-everything": of("COPY . /all/\n", FILES, TREE),
    "copy-wildcards": of("COPY *.txt /t/\nCOPY d*/s?b /s/\nCOPY [ab].t* /u/\n", FILES, TREE),
    "copy-hidden": of("COPY * /all/\n", FILES),
    "copy-json": of('COPY ["with space.txt", "/to here/"]\n', {"with space.txt": "s"}),
    "copy-chown": of(
        "COPY --chown=www a.txt /names/\nCOPY --chown=www:staff dir /both/\n"
        "COPY --chown=12 a.txt /number/\nCOPY --chown=12:staff b.txt /mixed\n",
        FILES,
        TREE,
    ),
    "copy-chmod": of("COPY --chmod=4711 a.txt /file\nCOPY --chmod=600 b.txt /new/\n", FILES),
    "copy-links": of("COPY dir/link /file\nCOPY dir/updir /folder\nCOPY dir/updir/two /x\n", TREE),
    "copy-through-link": of("COPY a.txt /opt/link/\nCOPY dir /opt/link/\n", FILES, TREE),
    "copy-over": of(
        "RUN mkdir -m 700 -p /made/sub && chown 5:6 /made/sub && echo x >/made/one\n"
        "COPY dir /made\n",
        TREE,
    ),
    "copy-from": {
        "Dockerfile": "FROM base AS first\nRUN mkdir -m 711 /d; echo x >/d/f; chown -R 3:4 /d;"
        " ln -s f /d/l; chmod 2755 /d/f\nFROM base\nRUN echo y >/y; chown 9 /y\n"
        "FROM base\nCOPY --from=first /d /d\nCOPY --from=first /d/f /d/l /opt/full /files/\n"
        "COPY --from=1 --chown=1:2 /y /y\nCOPY --from=base /etc/passwd /copied\n"
    },
    "from-stage": {
        "Dockerfile": 'FROM base AS one\nENV A=1\nWORKDIR /one\nRUN echo 1 >f\nCMD ["one"]\n'
        "FROM one AS unused\nRUN false\nFROM one\nRUN cat f >g\nENV B=$A\n"
    },
    "scratch": {"Dockerfile": 'FROM scratch\nCOPY a.txt dir /\nCMD ["/a.txt"]\n', **FILES, **TREE},
    "ignore": of(
        "COPY . /all/\nCOPY dir /dir/\n",
        FILES,
        TREE,
        {
            ".dockerignore": "# a comment\n*.txt\n!b.txt\n/dir/empty\n**/two\n.hidden\nk?p/\n",
            "kep/x": "x",
            "keep/x": "x",
            "deep/er/c.txt": "c",
            "deep/er/two/x": "x",
        },
    ),
    "ignore-all-but": of(
        "COPY . /all/\n", FILES, TREE, {".dockerignore": "*\n!dir/sub\n!a.txt\ndir/sub/.dot\n"}
    ),
    "add": of(
        "ADD a.txt /added/\nADD t.tgz /unpacked\nADD t.tar t.tar.xz /unpacked/more/\n"
        "COPY t.tgz /kept/\nADD plain.gz /plain/\n",
        FILES,
        {
            "t.tgz": archive("d/", "d/f"),
            "t.tar": archive("e", mode="w"),
            "t.tar.xz": archive("f/g", mode="w:xz"),
            "plain.gz": "no archive at all",
        },
    ),
    "workdir": of("WORKDIR /a/b\nWORKDIR c\nRUN pwd >here\nWORKDIR ../d\nWORKDIR /opt/full\n"),
    "user": of(
        "RUN mkdir -m 777 /w\nUSER www\nRUN id >/w/a; touch /w/mine\nUSER www:staff\nRUN id >/w/b\n"
        "USER 44:55\nRUN id >/w/c; mkdir /w/own\nWORKDIR /w/dir\nCOPY a.txt /w/copied\n",
        FILES,
    ),
    "entrypoint": of('CMD ["a"]\nENTRYPOINT ["/bin/x", "y"]\n'),
    "entrypoint-resets": of('ENTRYPOINT ["/bin/x"]\n'),
    "entrypoint-shell": of("ENTRYPOINT exec top -b\nCMD echo $BASE\n"),
    "command": of('CMD echo one\nCMD [ "two", "three" ]\n'),
    "command-malformed": of("CMD ['single', 'quotes']\n"),
    "labels": of(
        'LABEL one=1 "two three"="four five" six=\'se ven\'\nLABEL one=again\nLABEL old form\n'
    ),
    "ports-and-volumes": of('EXPOSE 80 81/udp 8000-8002/tcp\nVOLUME /a /b\nVOLUME ["/opt/full"]\n'),
    "signal-and-author": of("STOPSIGNAL SIGTERM\nMAINTAINER A. U. Thor\nSTOPSIGNAL 9\n"),
    "shell": of('SHELL ["/bin/sh", "-ec"]\nRUN echo $- >/flags\nCMD x\nENTRYPOINT y\n'),
    "health": of("HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD test -f /x\n"),
    "health-exec": of('HEALTHCHECK --start-period=5s CMD ["/bin/true", "a"]\n'),
    "health-none": of("HEALTHCHECK CMD x\nHEALTHCHECK NONE\n"),
    "on-build": {
        "Dockerfile": "FROM base AS parent\nONBUILD COPY a.txt /from-context\n"
        "ONBUILD RUN echo x >/ran\nRUN test ! -e /ran\nFROM parent\n"
        "RUN cat /ran /from-context >/both\nONBUILD ENV A=1\n",
        **FILES,
    },
    "lines": of(
        "# comment\nRUN echo a \\\n  # a comment inside\n\n  b \\  \n  c >/said\n"
        "   run   echo '#no comment' >/x\n"
        "ENV A=1 \\\n    B=2\n"
    ),
    "escape": {
        "Dockerfile": "# escape=`\nFROM base\nENV A=C:\\dir B=x\nRUN echo a `\n  b >/said\n"
    },
    "mounts": of(
        "RUN --mount=type=bind,target=/ctx cat /ctx/a.txt >/one\n"
        "RUN --mount=type=bind,source=dir,target=/m,rw cp /m/one /two; echo x >/m/new\n"
        "RUN --mount=type=cache,target=/cache echo x >/cache/kept; ls /cache >/three\n"
        "RUN --mount=type=tmpfs,target=/t echo x >/t/gone\n",
        FILES,
        TREE,
    ),
}
ARGUMENTS = {"arguments": ("GIVEN=given",)}


def write(context: Context, folder: Path) -> None:
    """Makes the files of a context."""
    for name, content in context.items():
        path = folder / name.rstrip("*@/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("@"):
            path.symlink_to(content)
        elif name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content.encode("latin-1"))
            path.chmod(0o755 if name.endswith("*") else 0o644)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        os.utime(path, (TIME, TIME), follow_symlinks=False)
    os.utime(folder, (TIME, TIME))


def write_base(folder: Path) -> None:
    """The context of the image `base`, which all others begin from."""
    root = folder / "root"
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "root", "run", "opt/full", "var/www"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for applet in APPLETS.split():
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34:www:/var/www:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\nwww:x:34:\nstaff:x:50:\n")
    (root / "etc/issue").write_text("base\n")
    (root / "opt/full/in").write_text("in\n")
    (root / "opt/full").chmod(0o750)
    (root / "opt/link").symlink_to("full")
    for path in [*root.rglob("*"), root]:
        os.utime(path, (TIME, TIME), follow_symlinks=False)
    with tarfile.open(folder / "base.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(root, ".", filter=_of_root)
    shutil.rmtree(root)
    (folder / "Dockerfile").write_text(
        'FROM scratch\nADD base.tar /\nENV PATH=/usr/bin:/bin BASE=yes\nCMD ["/bin/sh"]\n'
    )


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
