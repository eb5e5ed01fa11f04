"""What Apptainer documents and does, as tables of command lines, and programs that take these."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from box import make_box
from command import Udockpy
from support.product import text

SCRIPTS = {
    "env/90-environment.sh": "export FROM_IMAGE=image\n",
    "runscript": '#!/bin/sh\necho "runs:$#:$*:$FROM_IMAGE"\n',
    "startscript": "#!/bin/sh\necho started\nexec sleep 60\n",
    "test": "#!/bin/sh\necho tested; exit 4\n",
    "runscript.help": "helps\n",
    "Singularity": "bootstrap: scratch\n",
    "labels.json": '{"Author": "me"}\n',
    # The rest is as Apptainer writes it into every image: it sets what was told for the guest when
    # it has read 99-base.sh.
    "env/99-base.sh": """
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/.singularity.d/libs"
""",
    "env/99-runtimevars.sh": """
PATH="${SING_USER_DEFINED_PREPEND_PATH:+$SING_USER_DEFINED_PREPEND_PATH:}$PATH"
PATH="$PATH${SING_USER_DEFINED_APPEND_PATH:+:$SING_USER_DEFINED_APPEND_PATH}"
export PATH="${SING_USER_DEFINED_PATH:-$PATH}"
""",
    "env/95-apps.sh": """
if [ -n "${SINGULARITY_APPNAME:-}" ]; then
    if [ -d "/scif/apps/$SINGULARITY_APPNAME" ]; then
        . "/scif/apps/$SINGULARITY_APPNAME/scif/env/90-environment.sh"
    else
        echo "Could not locate the container application: $SINGULARITY_APPNAME"
        exit 1
    fi
fi
""",
}
APP = {
    "runscript": '#!/bin/sh\necho "app:$*:$FROM_APP"\n',
    "env/90-environment.sh": "export FROM_APP=app\n",
    "runscript.help": "app helps\n",
    "labels.json": '{"Name": "tool"}\n',
}


@dataclass
class Tool:
    """A program that takes Apptainer's command lines."""

    program: Path
    work: Path
    environ: dict[str, str]
    image: Path = field(default_factory=Path)
    node: tuple[str, ...] = ()  # a command that makes a node of which it is run on

    def __call__(
        self, *words: str, env: dict[str, str] | None = None, **how: Any
    ) -> subprocess.CompletedProcess[bytes]:
        if "input" not in how:
            how.setdefault("stdin", subprocess.DEVNULL)
        how.setdefault("cwd", self.work)
        spelled = [word.replace("IMG", str(self.image)) for word in words]
        return subprocess.run(
            [*self.node, self.program, *spelled],
            env={**self.environ, **(env or {})},
            capture_output=True,
            timeout=60,
            check=False,
            **how,
        )


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)


def installed(folder: Path) -> Tool:
    """Ours, as its user installs it, and a sandbox as Apptainer makes them."""
    if os.geteuid() == 0:
        pytest.skip("udockpy is for ordinary users: runuser -u NAME -- pytest ...")
    work = folder / "work"
    for name, content in {"data": "data", "co:lon": "colon", "com,ma": "comma"}.items():
        write(work / name, {"file": f"{content}\n"})
    (work / "w").mkdir()
    udockpy = Udockpy(folder / "state", work)
    udockpy.output("drop-in", "install", "--dir", folder / "bin", "apptainer", "singularity")
    environ = {**udockpy.environ, "PATH": f"{folder / 'bin'}:{udockpy.environ['PATH']}"}
    del environ["PYTHONPATH"]
    return Tool(folder / "bin/apptainer", work, environ, described(make_box(folder / "box")))


def described(box: Path) -> Path:
    write(box / ".singularity.d", SCRIPTS)
    write(box / "scif/apps/tool/scif", APP)
    for name in ("home", "var/tmp", "etc/empty"):
        (box / name).mkdir(parents=True, exist_ok=True)
    for name in ("etc/hosts", "etc/resolv.conf"):
        (box / name).touch()
    for name in ("grep", "sort"):
        (box / "bin" / name).symlink_to("busybox")
    return box


@dataclass
class Row:
    """A command line and what comes of it; IMG is the image, HERE the current directory."""

    words: Sequence[str]
    status: int = 0
    output: str | None = None
    error: str | None = None  # is in it
    input: bytes | None = None
    env: dict[str, str] = field(default_factory=dict)


def sh(script: str, *options: str, **how: Any) -> Row:
    return Row(("exec", *options, "IMG", "sh", "-c", script), **how)


STATUS = {
    "true": Row(("exec", "IMG", "true")),
    "false": Row(("exec", "IMG", "false"), 1),
    "an absolute path": Row(("exec", "IMG", "/bin/true")),
    "any status": sh("exit 134", status=134),
    "killed": sh("kill -KILL $$", status=-signal.SIGKILL),
    "aborted": sh("kill -ABRT $$", status=-signal.SIGABRT),
    "not in PATH": Row(
        ("exec", "IMG", "nosuch"),
        255,
        error='FATAL:   "nosuch": executable file not found in $PATH',
    ),
    "a builtin of the shell is no program": Row(
        ("exec", "IMG", "cd"), 255, error='FATAL:   "cd": executable file not found in $PATH'
    ),
    "no such file": Row(
        ("exec", "IMG", "/nosuch"), 255, error="FATAL:   stat /nosuch: no such file or directory"
    ),
    "not executable": Row(("exec", "IMG", "/etc/issue"), 255, error="FATAL:   permission denied"),
    "no such image": Row(("exec", "/nosuch.sif", "true"), 255, error="could not open image"),
    "no command": Row(("exec", "IMG"), 1, error="requires at least 2 arg(s), only received 1"),
    "no flag": Row(("exec", "--nosuch", "IMG", "true"), 1, error="unknown flag: --nosuch"),
    "no letter": Row(("exec", "-Z", "IMG", "true"), 1, error="unknown shorthand flag: 'Z' in -Z"),
    "no argument": Row(("exec", "--bind"), 1, error="flag needs an argument: --bind"),
    "no command of this": Row(("nosuch",), 1, error='unknown command "nosuch" for "apptainer"'),
    "a bind of nothing": Row(
        ("exec", "-B", "/nosuch:/x", "IMG", "true"), 255, error="mount source /nosuch doesn't exist"
    ),
    "a bind of nothing by --mount": Row(
        ("exec", "--mount", "type=bind,source=/nosuch,target=/x", "IMG", "true"),
        255,
        error="mount source /nosuch doesn't exist",
    ),
    "a mount of another type": Row(
        ("exec", "--mount", "type=tmpfs,source=/tmp,target=/x", "IMG", "true"), 255, error="tmpfs"
    ),
    "nowhere to start": Row(
        ("exec", "--pwd", "/nosuch", "IMG", "true"),
        255,
        error="failed to set working directory: chdir /nosuch: no such file or directory",
    ),
    "no network of its own": Row(("exec", "--net", "IMG", "true"), 255, error="FATAL:   "),
    "a test that fails": Row(("test", "IMG"), 4, "tested"),
    "version": Row(("version",), 0),
    "--version": Row(("--version",), 0),
    "nothing": Row((), 1),
}

RUNNING = {
    "run": Row(("run", "IMG"), 0, "runs:0::image"),
    "arguments": Row(("run", "IMG", "a b", "", "-c"), 0, "runs:3:a b  -c:image"),
    "an app": Row(("run", "--app", "tool", "IMG", "a"), 0, "app:a:app"),
    "no such app": Row(
        ("run", "--app", "none", "IMG"), 1, "Could not locate the container application: none"
    ),
    "help": Row(("run-help", "IMG"), 0, "helps"),
    "help of an app": Row(("run-help", "--app", "tool", "IMG"), 0, "app helps"),
    "shell reads standard input": Row(("shell", "IMG"), 3, "hi", input=b"echo hi; exit 3\n"),
    "exec passes standard input": Row(("exec", "IMG", "cat"), 0, "a\nb", input=b"a\nb\n"),
    "run passes standard input": Row(("run", "IMG"), 0, "runs:0::image", input=b"x"),
    "options end at the image": Row(("exec", "IMG", "echo", "--bind", "-e"), 0, "--bind -e"),
    "options before the command": Row(("-s", "exec", "IMG", "echo", "x"), 0, "x"),
    "switches that are off": sh("echo $FOO", "--cleanenv=false", output="x", env={"FOO": "x"}),
    "letters together": sh("echo -$FOO-", "-ce", output="--", env={"FOO": "x"}),
}

ENVIRONMENT = {
    "the host's": sh("echo $FOO", output="host", env={"FOO": "host"}),
    "the image's": sh("echo $FROM_IMAGE", output="image"),
    "the image's beats the host's": sh(
        "echo $FROM_IMAGE", output="image", env={"FROM_IMAGE": "host"}
    ),
    "APPTAINERENV_ beats the image's": sh(
        "echo $FROM_IMAGE", output="told", env={"APPTAINERENV_FROM_IMAGE": "told"}
    ),
    "SINGULARITYENV_ does too": sh(
        "echo $FROM_IMAGE", output="told", env={"SINGULARITYENV_FROM_IMAGE": "told"}
    ),
    "APPTAINERENV_ beats SINGULARITYENV_": sh(
        "echo $X",
        output="new",
        env={"SINGULARITYENV_X": "old", "APPTAINERENV_X": "new"},
        error="SINGULARITYENV_X and APPTAINERENV_X have different values, using the latter",
    ),
    "--env beats APPTAINERENV_": sh(
        "echo $X", "--env", "X=flag", output="flag", env={"APPTAINERENV_X": "variable"}
    ),
    "--env of several": sh("echo $A $B", "--env", "A=1,B=2", output="1 2"),
    "--env twice": sh("echo $A $B", "--env", "A=1", "--env", "B=2", output="1 2"),
    "--env with a comma": sh("echo $A", "--env", "A=1,2", output="1,2"),
    "--env without value": Row(
        ("exec", "--env", "A", "IMG", "true"), 1, error='invalid argument "A" for "--env" flag'
    ),
    "--cleanenv": sh(
        "echo -$FOO-$FROM_IMAGE-$LANG",
        "--cleanenv",
        output="--image-C",
        env={"FOO": "x", "LANG": "y"},
    ),
    "--cleanenv keeps what is told": sh(
        "echo $FOO", "-e", output="told", env={"APPTAINERENV_FOO": "told"}
    ),
    "--cleanenv by variable": sh(
        "echo -$FOO-", output="--", env={"FOO": "x", "APPTAINER_CLEANENV": "1"}
    ),
    "HOME stays": sh(
        "echo $HOME",
        output=os.path.expanduser("~"),
        env={"APPTAINERENV_HOME": "/x"},
        error="Overriding HOME environment variable with APPTAINERENV_HOME is not permitted",
    ),
    "PATH is the image's": sh(
        "echo $PATH", output="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    ),
    "PATH can be told": sh("echo $PATH", output="/bin:/x", env={"APPTAINERENV_PATH": "/bin:/x"}),
    "PATH can be lengthened": sh(
        "echo $PATH",
        output="/x:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/y",
        env={"APPTAINERENV_PREPEND_PATH": "/x", "APPTAINERENV_APPEND_PATH": "/y"},
    ),
    "our own variables stay outside": sh(
        "env | grep -c TMPDIR", status=1, output="0", env={"APPTAINER_TMPDIR": "/tmp"}
    ),
    "what a guest is told of itself": sh(
        "echo $APPTAINER_NAME $SINGULARITY_NAME $APPTAINER_COMMAND; echo $APPTAINER_CONTAINER",
        output="box box exec\nIMG",
    ),
    "LD_LIBRARY_PATH": sh(
        "echo $LD_LIBRARY_PATH", output="/.singularity.d/libs", env={"LD_LIBRARY_PATH": "/x"}
    ),
}

BINDS = {
    "a directory": sh("cat /data/file", "-B", "HERE/data:/data", output="data"),
    "attached": sh("cat /data/file", "-BHERE/data:/data", output="data"),
    "with =": sh("cat /data/file", "--bind=HERE/data:/data", output="data"),
    "at its own place": sh("cat HERE/data/file", "-B", "HERE/data", output="data"),
    "relative": sh("cat /data/file", "-B", "data:/data", output="data"),
    "several": sh("cat /a/file /b/file", "-B", "data:/a,data:/b", output="data\ndata"),
    "twice": sh("cat /a/file /b/file", "-B", "data:/a", "-B", "data:/b", output="data\ndata"),
    "a file": sh("cat /etc/issue", "-B", "data/file:/etc/issue", output="data"),
    "a file where there is none": sh("cat /new/place", "-B", "data/file:/new/place", output="data"),
    "into another": sh(
        "cat /data/inner/file; ls /data", "-B", "data:/data", "-B", "data:/data/inner",
        output="data\nfile\ninner",
    ),
    "a file into a directory": sh(
        "cat /data/more", "-B", "data:/data", "-B", "data/file:/data/more", output="data"
    ),
    "read-only": sh("echo x >/data/new", "-B", "data:/data:ro", status=1, error="Read-only"),
    "writable": sh("echo x >/data/new; cat /data/new", "-B", "data:/data:rw", output="x"),
    "an unknown option": Row(
        ("exec", "-B", "data:/data:nosuch", "IMG", "true"),
        255,
        error="nosuch is not a valid bind option",
    ),
    "a colon": sh("cat /data/file", "-B", r"co\:lon:/data", output="colon"),
    "a comma": sh("cat /data/file", "-B", r"com\,ma:/data", output="comma"),
    "by variable": sh("cat /data/file", output="data", env={"APPTAINER_BIND": "data:/data"}),
    "by an older variable": sh(
        "cat /data/file", output="data", env={"SINGULARITY_BINDPATH": "data:/data"}
    ),
    "by variable and option": sh(
        "cat /a/file /b/file", "-B", "data:/a", output="data\ndata",
        env={"APPTAINER_BIND": "data:/b"},
    ),
    "--mount": sh(
        "cat /data/file", "--mount", "type=bind,source=HERE/data,destination=/data", output="data"
    ),
    "--mount in short": sh(
        "cat /data/file", "--mount", "type=bind,src=HERE/data,dst=/data,ro", output="data"
    ),
    "--mount in quotes": sh(
        "cat /data/file", "--mount", 'type=bind,"source=HERE/com,ma",target=/data', output="comma"
    ),
    "--mount without target": Row(
        ("exec", "--mount", "type=bind,source=/tmp", "IMG", "true"), 255, error="must specify"
    ),
    "the current directory": sh("pwd; cat data/file", output="HERE\ndata"),
    "--pwd": sh("pwd", "--pwd", "/etc", output="/etc"),
    "--cwd": sh("pwd", "--cwd", "/etc", output="/etc"),
    "--pwd of a bind": sh(
        "pwd; cat file", "--pwd", "/data", "-B", "data:/data", output="/data\ndata"
    ),
    "--home": sh("echo $HOME; cat ~/file", "--home", "HERE/data:/my/home", output="/my/home\ndata"),
    "--home in place": sh("cat $HOME/file", "--home", "HERE/data", output="data"),
    "--contain": sh("ls /tmp | wc -l; ls -d HERE", "--contain", status=1, output="0"),
    "--contain has few devices": sh(
        "ls /dev | sort | grep -E '^(null|zero|urandom|shm|pts)$' | wc -l; ls /dev/mem",
        "--contain", status=1, output="5",
    ),
    "--contain has a home": sh("cd; pwd; ls -A | wc -l; touch x", "--contain", output="~\n0"),
    "--scratch": sh("touch /scratch/x; ls /scratch", "--scratch", "/scratch", output="x"),
    "--workdir": sh(
        "touch /tmp/x; ls /w/tmp", "--contain", "--workdir", "HERE/w", "-B", "HERE/w:/w", output="x"
    ),
    "--no-home": sh("ls -A /home | wc -l", "--no-home", "--no-mount", "cwd", output="0"),
    "nothing can be written": sh("touch /new", status=1, error="Read-only file system"),
    "--writable-tmpfs": sh("touch /new; ls /new", "--writable-tmpfs", output="/new"),
    "--fakeroot": sh("id -u; echo $HOME", "--fakeroot", output="0\n/root"),
    "who one is": sh("id -un", output=pwd.getpwuid(os.getuid()).pw_name),
    "what is nothing": sh("ls /etc/empty"),
}  # fmt: skip
TABLES = {"status": STATUS, "running": RUNNING, "environment": ENVIRONMENT, "binds": BINDS}
ROWS = [
    pytest.param(row, id=f"{table}: {name}")
    for table, rows in TABLES.items()
    for name, row in rows.items()
]


def check(tool: Tool, row: Row) -> None:
    """Whether a program does what a row says."""

    def here(word: str) -> str:
        return word.replace("HERE", str(tool.work))

    env = {name: here(value) for name, value in row.env.items()}
    how: dict[str, Any] = {} if row.input is None else {"input": row.input}
    done = tool(*map(here, row.words), env=env, **how)
    assert done.returncode == row.status, text(done)
    if row.output is not None:
        wanted = here(row.output).replace("IMG", str(tool.image))
        assert done.stdout.decode().rstrip("\n") == wanted.replace("~", os.path.expanduser("~"))
    if row.error is not None:
        assert row.error in done.stderr.decode()
