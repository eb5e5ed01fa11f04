"""udockpy-userns by itself: a busybox root filesystem, plan words in, a guest's behaviour out."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from udockpy import native

LOCKDOWN = Path(__file__).resolve().parent.parent / "world" / "lockdown.py"
BUSYBOX = "/bin/busybox"
APPLETS = (
    *("cat", "chmod", "chown", "echo", "env", "grep", "hostname", "id", "kill", "ls", "mkdir"),
    *("mount", "ps", "pwd", "readlink", "rm", "sh", "sleep", "stat", "touch", "true"),
)
KERNEL_BINDS = ("--bind", "/proc", "/proc", "--bind", "/dev", "/dev")

pytestmark = pytest.mark.skipif(os.geteuid() == 0, reason="the engine is for ordinary users")


@pytest.fixture(autouse=True, scope="module")
def default_signals() -> Iterator[None]:
    """A background job of a shell, as tests may be, ignores these, and guests inherit it."""
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGQUIT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    yield
    for number, handler in old.items():
        signal.signal(number, handler)


def helper() -> str:
    return native.helper("udockpy-userns")


@pytest.fixture(scope="module")
def probe() -> dict[str, object]:
    """What this node allows; without user namespaces only the refusals can be tested."""
    result = run_helper("--probe")
    answer: dict[str, object] = json.loads(result.stdout)
    if not answer["works"]:
        pytest.skip(f"user namespaces do not work here: {answer['step']}: {answer['errno']}")
    return answer


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A small root filesystem; what the tests put beside it is beside it, in tmp_path."""
    if not os.access(BUSYBOX, os.X_OK):
        pytest.skip(f"{BUSYBOX}: not found (Debian package busybox-static)")
    root = tmp_path / "rootfs"
    for name in ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "usr", "var/log"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    for name in APPLETS:
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc" / "issue").write_text("guest\n")
    return root


def run_helper(
    *words: str | Path,
    env: dict[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
    prefix: tuple[str | Path, ...] = (),
    stdin: str = "",
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, helper(), *words],
        input=stdin,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env=env,
        pass_fds=pass_fds,
        timeout=60,
        check=False,
    )


def sh(rootfs: Path, script: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return run_helper("--rootfs", rootfs, *KERNEL_BINDS, *words, "--", "sh", "-c", script)


def snapshot(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.fixture
def untouched(rootfs: Path) -> Iterator[Path]:
    """The root filesystem; it must look the same at the end."""
    before = snapshot(rootfs)
    yield rootfs
    assert snapshot(rootfs) == before


# ---- identity ----


@pytest.mark.usefixtures("probe")
def test_user_stays_himself_without_pretence(rootfs: Path) -> None:
    assert sh(rootfs, "id -u; id -g").stdout.split() == [str(os.getuid()), str(os.getgid())]


@pytest.mark.usefixtures("probe")
def test_pretended_root_is_root(rootfs: Path) -> None:
    assert sh(rootfs, "id -u; id -g", "--pretend").stdout == "0\n0\n"


@pytest.mark.usefixtures("probe")
def test_planned_ids_are_mapped(rootfs: Path) -> None:
    result = sh(rootfs, "id -u; id -g; stat -c %u:%g /etc/issue", "--uid", "33", "--gid", "44")
    assert result.stdout == "33\n44\n33:44\n"


@pytest.mark.usefixtures("probe")
@pytest.mark.parametrize("words", [(), ("--uid", "0", "--gid", "0")], ids=["user", "root"])
def test_guest_has_no_capabilities_without_pretence(rootfs: Path, words: tuple[str, ...]) -> None:
    script = "grep -E '^(Cap...|NoNewPrivs):' /proc/self/status"
    status = dict(line.split() for line in sh(rootfs, script, *words).stdout.splitlines())
    assert status.pop("NoNewPrivs:") == "1"
    assert len(status) == 5
    assert {int(value, 16) for value in status.values()} == {0}


@pytest.mark.usefixtures("probe")
def test_pretended_root_can_mount(rootfs: Path) -> None:
    script = "mount -t tmpfs none /tmp && touch /tmp/x && ls /tmp"
    assert sh(rootfs, script, "--pretend").stdout == "x\n"


def need_subuids(answer: dict[str, object]) -> None:
    if not answer["subuids"]:
        pytest.skip("no subordinate ids for this user (Debian package uidmap, /etc/subuid)")


def test_subuid_root_owns_many_ids(probe: dict[str, object], rootfs: Path) -> None:
    need_subuids(probe)
    script = "touch /tmp/f; chown 33:44 /tmp/f; stat -c %u:%g /tmp/f; id -u; rm /tmp/f"
    result = sh(rootfs, script, "--map-subuids", "--pretend")
    assert (result.stdout, result.stderr) == ("33:44\n0\n", "")


def test_subuid_ids_and_groups_are_real(probe: dict[str, object], rootfs: Path) -> None:
    need_subuids(probe)
    words = ("--map-subuids", "--uid", "33", "--gid", "44", "--groups", "5,6")
    result = sh(rootfs, "grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status", *words)
    rows = {row[0]: row[1:] for row in map(str.split, result.stdout.splitlines())}
    assert rows["Uid:"] == ["33"] * 4
    assert rows["Gid:"] == ["44"] * 4
    assert rows["Groups:"] == ["5", "6"]
    assert int(rows["CapEff:"][0], 16) == 0


def test_subuid_user_stays_himself(probe: dict[str, object], rootfs: Path) -> None:
    need_subuids(probe)
    result = sh(rootfs, "id -u; cat /proc/self/uid_map", "--map-subuids")
    uid, *extents = result.stdout.splitlines()
    assert uid == str(os.getuid())
    assert len(extents) >= 3, extents


@pytest.mark.usefixtures("probe")
def test_unusable_subuids_fall_back_to_the_single_id(rootfs: Path) -> None:
    words = ("--rootfs", rootfs, "--map-subuids", "--pretend", "--", "id", "-u")
    # no_new_privs takes newuidmap its power
    result = run_helper(*words, prefix=(sys.executable, LOCKDOWN, "--no-memfd", "--"))
    assert result.stdout == "0\n"
    assert "cannot use the ranges of /etc/subuid" in result.stderr


# ---- status, signals, processes ----

NAMESPACES = pytest.mark.parametrize("words", [(), ("--unshare-pid",)], ids=["plain", "pid"])


@NAMESPACES
@pytest.mark.usefixtures("probe")
@pytest.mark.parametrize("status", [0, 1, 7, 123, 125, 126, 127, 128, 255])
def test_exit_status_passes_through(rootfs: Path, words: tuple[str, ...], status: int) -> None:
    assert sh(rootfs, f"exit {status}", *words).returncode == status


@NAMESPACES
@pytest.mark.usefixtures("probe")
@pytest.mark.parametrize("name", ["HUP", "INT", "ABRT", "KILL", "SEGV", "PIPE", "TERM"])
def test_death_by_signal_passes_through(rootfs: Path, words: tuple[str, ...], name: str) -> None:
    result = sh(rootfs, f"kill -{name} $$", *words)
    assert result.returncode == -signal.Signals[f"SIG{name}"]


def start(rootfs: Path, script: str, *words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [helper(), "--rootfs", rootfs, *KERNEL_BINDS, *words, "--", "sh", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
    )


@NAMESPACES
@pytest.mark.usefixtures("probe")
@pytest.mark.parametrize("name", ["HUP", "INT", "TERM", "USR1", "USR2", "WINCH"])
def test_signal_sent_to_the_helper_reaches_the_guest_once(
    rootfs: Path, words: tuple[str, ...], name: str
) -> None:
    wait = "while [ -z $n ]; do sleep 0.05; done; sleep 0.2"
    script = f"trap 'echo {name}; n=1' {name}; echo ready; {wait}"
    guest = start(rootfs, script, *words)
    assert guest.stdout is not None
    assert guest.stdout.readline() == "ready\n"
    guest.send_signal(signal.Signals[f"SIG{name}"])
    output, _ = guest.communicate(timeout=20)
    assert (output, guest.returncode) == (f"{name}\n", 0)


@NAMESPACES
@pytest.mark.usefixtures("probe")
@pytest.mark.parametrize("name", ["INT", "QUIT", "TERM", "RTMIN"])
def test_helper_dies_of_what_kills_the_guest(
    rootfs: Path, words: tuple[str, ...], name: str
) -> None:
    number = signal.Signals[f"SIG{name}"]
    guest = subprocess.Popen([helper(), "--rootfs", rootfs, *words, "--", "sleep", "100"])
    time.sleep(0.3)
    guest.send_signal(number)
    assert guest.wait(timeout=20) == -number


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX":
                time.sleep(0.02)
                continue
        return
    pytest.fail(f"process {pid} is still there")


def namespace_pids(inode: str) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") == inode:
                found.append(int(entry))
    return found


@pytest.mark.usefixtures("probe")
def test_nothing_outlives_a_killed_helper(rootfs: Path) -> None:
    guest = start(rootfs, "sleep 100 & readlink /proc/self/ns/pid; wait", "--unshare-pid")
    assert guest.stdout is not None
    inode = guest.stdout.readline().strip()
    pids = namespace_pids(inode)
    assert len(pids) >= 3  # init, sh, sleep
    guest.kill()
    guest.wait(timeout=20)
    guest.stdout.close()
    for pid in pids:
        wait_until_gone(pid)


@pytest.mark.usefixtures("probe")
def test_nothing_outlives_the_command(rootfs: Path) -> None:
    guest = start(rootfs, "sleep 100 >/dev/null & readlink /proc/self/ns/pid", "--unshare-pid")
    output, _ = guest.communicate(timeout=20)
    assert guest.returncode == 0
    assert namespace_pids(output.strip()) == []


@pytest.mark.usefixtures("probe")
def test_helper_becomes_the_command(rootfs: Path) -> None:
    guest = start(rootfs, "echo $$")
    output, _ = guest.communicate(timeout=20)
    assert int(output) == guest.pid


@pytest.mark.usefixtures("probe")
def test_process_namespace_has_its_own_init_and_proc(rootfs: Path) -> None:
    result = sh(rootfs, "echo $$; ls /proc | grep -c '^[0-9]*$'; cat /proc/1/comm", "--unshare-pid")
    own, count, init = result.stdout.split()
    assert own == "2"
    assert int(count) <= 5
    assert init == "udockpy-init"


@pytest.mark.usefixtures("probe")
def test_init_reaps_orphans(rootfs: Path) -> None:
    script = "(sleep 0.1 & ); sleep 0.5; ps -o stat,comm | grep -c '^Z'"
    assert sh(rootfs, script, "--unshare-pid").stdout == "0\n"


@NAMESPACES
@pytest.mark.usefixtures("probe")
def test_ignored_signals_and_mask_are_the_callers(rootfs: Path, words: tuple[str, ...]) -> None:
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR2])\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    words = ("--rootfs", str(rootfs), *KERNEL_BINDS, *words)
    command = ("--", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    result = run_helper(*words, *command, prefix=(sys.executable, "-c", code))
    masks = {key: int(value, 16) for key, value in map(str.split, result.stdout.splitlines())}
    assert masks["SigBlk:"] == 1 << (signal.SIGUSR2 - 1)
    ignored = (1 << (signal.SIGCHLD - 1)) | (1 << (signal.SIGPIPE - 1))
    assert masks["SigIgn:"] & ignored == ignored


@NAMESPACES
@pytest.mark.usefixtures("probe")
def test_closed_output_is_seen_while_the_guest_runs(rootfs: Path, words: tuple[str, ...]) -> None:
    guest = start(rootfs, "exec >/dev/null 2>&1; exec sleep 100", *words)
    assert guest.stdout is not None
    with guest.stdout:
        assert guest.stdout.read() == ""  # end of file, though the guest lives
    assert guest.poll() is None
    guest.terminate()
    assert guest.wait(timeout=20) == -signal.SIGTERM


def read_until(fd: int, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        assert select.select([fd], [], [], 20)[0], f"no {wanted!r} after {data!r}"
        try:
            data += os.read(fd, 4096)
        except OSError:  # the terminal has lost its last process
            pytest.fail(f"no {wanted!r} after {data!r}")
    return data


@NAMESPACES
@pytest.mark.usefixtures("probe")
def test_terminal_interrupt_arrives_once(rootfs: Path, words: tuple[str, ...]) -> None:
    wait = "while [ $n = 0 ]; do sleep 0.05; done; sleep 0.3; echo got $n"
    script = f"n=0; trap 'n=$((n+1))' INT; echo ready; {wait}"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(
            helper(),
            [helper(), "--rootfs", str(rootfs), *KERNEL_BINDS, *words, "--", "sh", "-c", script],
        )
    read_until(terminal, b"ready\r\n")
    os.write(terminal, b"\x03")
    read_until(terminal, b"got 1\r\n")
    assert os.waitpid(pid, 0)[1] == 0
    os.close(terminal)


@NAMESPACES
@pytest.mark.usefixtures("probe")
def test_stopped_guest_stops_the_helper(rootfs: Path, words: tuple[str, ...]) -> None:
    """As a job of a shell: stopped from the terminal, continued by the shell."""
    code = (
        "import os, signal, sys\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os.setpgid(0, 0)\n"
        "    signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n"
        "    os.tcsetpgrp(0, os.getpid())\n"
        "    signal.signal(signal.SIGTTOU, signal.SIG_DFL)\n"
        "    os.execv(sys.argv[1], sys.argv[1:])\n"
        "_, status = os.waitpid(pid, os.WUNTRACED)\n"
        "print('stopped', os.WIFSTOPPED(status), os.WSTOPSIG(status), flush=True)\n"
        "os.killpg(pid, signal.SIGCONT)\n"
        "_, status = os.waitpid(pid, 0)\n"
        "signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n"
        "print('ended', status, flush=True)\n"
    )
    script = "echo ready; read line; echo read $line; exit 3"
    view = ("--rootfs", str(rootfs), *KERNEL_BINDS, *words)
    pid, terminal = pty.fork()
    if pid == 0:
        command = [sys.executable, "-c", code, helper(), *view, "--", "sh", "-c", script]
        os.execv(sys.executable, command)
    read_until(terminal, b"ready\r\n")
    os.write(terminal, b"\x1a")
    read_until(terminal, f"stopped True {int(signal.SIGTSTP)}\r\n".encode())
    os.write(terminal, b"line\n")
    assert b"read line\r\n" in read_until(terminal, f"ended {3 << 8}\r\n".encode())
    os.waitpid(pid, 0)
    os.close(terminal)


# ---- view ----


@pytest.mark.usefixtures("probe")
def test_root_is_the_guests(rootfs: Path) -> None:
    result = sh(rootfs, "pwd; cat /etc/issue; cd /; ls -d ../../etc; ls /")
    entries = sorted(path.name for path in rootfs.iterdir())
    assert result.stdout.split("\n") == ["/", "guest", "../../etc", *entries, ""]


@pytest.mark.usefixtures("probe")
def test_binds_show_files_and_directories(untouched: Path, tmp_path: Path) -> None:
    (tmp_path / "dir" / "sub").mkdir(parents=True)
    (tmp_path / "dir" / "sub" / "f").write_text("in dir\n")
    (tmp_path / "file").write_text("file\n")
    binds = ("--bind", tmp_path / "dir", "/usr", "--bind", tmp_path / "file", "/etc/issue")
    result = sh(
        untouched, "cat /usr/sub/f /etc/issue; echo new >/usr/new; echo more >>/etc/issue", *binds
    )
    assert result.stdout == "in dir\nfile\n"
    assert (tmp_path / "dir" / "new").read_text() == "new\n"
    assert (tmp_path / "file").read_text() == "file\nmore\n"


@pytest.mark.usefixtures("probe")
def test_later_binds_cover_earlier_ones(untouched: Path, tmp_path: Path) -> None:
    for name in ("outer/in", "inner"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "name").write_text(name + "\n")
    outer = ("--bind", tmp_path / "outer", "/usr")
    inner = ("--bind", tmp_path / "inner", "/usr/in")
    assert sh(untouched, "cat /usr/in/name", *outer, *inner).stdout == "inner\n"
    assert sh(untouched, "cat /usr/in/name", *inner[:2], "/var/log", *outer).stdout == "outer/in\n"


@pytest.mark.usefixtures("probe")
def test_bind_over_symlink_stays_in_the_guest(rootfs: Path, tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir()
    (host / "secret").write_text("host\n")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "f").write_text("source\n")
    (rootfs / "absolute").symlink_to("/usr")
    (rootfs / "up").symlink_to("../../../../usr")
    (rootfs / "out").symlink_to(host)
    before = snapshot(rootfs)
    for link in ("absolute", "up"):
        result = sh(rootfs, "cat /usr/f", "--bind", tmp_path / "source", f"/{link}")
        assert result.stdout == "source\n", result.stderr
    # /out names a host path; inside the guest that path is missing, and is made there.
    result = sh(rootfs, f"cat /out/f; ls {host}", "--bind", tmp_path / "source", "/out")
    assert result.stdout == "source\nf\n", result.stderr
    assert os.listdir(host) == ["secret"]
    assert snapshot(rootfs) == before


@pytest.mark.usefixtures("probe")
@pytest.mark.parametrize("old", [False, True], ids=["now", "linux-4.18"])
def test_missing_mount_points_do_not_change_the_image(
    untouched: Path, tmp_path: Path, old: bool
) -> None:
    (untouched / "etc" / "link").symlink_to("issue")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "f").write_text("dir\n")
    (tmp_path / "file").write_text("file\n")
    words = (
        *("--rootfs", untouched, "--bind", tmp_path / "dir", "/data/deep/dir"),
        *("--bind", tmp_path / "file", "/etc/new.conf", "--bind", tmp_path / "dir", "/data/two"),
    )
    script = (
        "cat /data/deep/dir/f /etc/new.conf /data/two/f /etc/issue /etc/link;"
        "touch /usr/x && rm /usr/x"
    )
    prefix = (sys.executable, LOCKDOWN, "--max-syscall", "334", "--") if old else ()
    result = run_helper(*words, "--", "sh", "-c", script, prefix=prefix)
    assert result.stdout == "dir\nfile\ndir\nguest\nguest\n", result.stderr
    assert result.returncode == 0
    (untouched / "etc" / "link").unlink()


@pytest.mark.usefixtures("probe")
def test_writes_beside_a_made_mount_point_are_refused_not_lost(
    untouched: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("file\n")
    result = sh(untouched, "touch /etc/lost", "--bind", tmp_path / "file", "/etc/new.conf")
    assert result.returncode == 1
    assert "Read-only file system" in result.stderr


@pytest.mark.usefixtures("probe")
def test_dangling_link_to_run_can_be_bound(rootfs: Path, tmp_path: Path) -> None:
    """The resolv.conf of images made with systemd-resolved."""
    (rootfs / "etc" / "resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    bind = ("--bind", tmp_path / "resolv.conf", "/etc/resolv.conf")
    result = sh(rootfs, "cat /etc/resolv.conf; touch /run/x && ls /run", *bind)
    assert result.stdout == "nameserver 127.0.0.53\nsystemd\nx\n"
    assert os.listdir(rootfs / "run") == []


@pytest.mark.usefixtures("probe")
def test_source_that_holds_the_rootfs_shows_it_as_it_is(rootfs: Path, tmp_path: Path) -> None:
    script = (
        f"ls {tmp_path}/rootfs/proc {tmp_path}/rootfs/dev; grep -c {rootfs} /proc/self/mountinfo"
    )
    binds = ("--bind", tmp_path, tmp_path)
    result = sh(rootfs, script, *binds)
    lines = result.stdout.splitlines()
    assert lines[:-1] == [f"{tmp_path}/rootfs/dev:", "", f"{tmp_path}/rootfs/proc:"]


READ_ONLY = pytest.mark.parametrize("level", [None, "427"], ids=["mount_setattr", "remount"])


@READ_ONLY
@pytest.mark.usefixtures("probe")
def test_read_only_binds_are_recursive(untouched: Path, tmp_path: Path, level: str | None) -> None:
    """/dev has mounts below it; the kernel's flags on them must survive."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_text("file\n")
    words = (
        *(
            "--rootfs",
            untouched,
            "--ro-bind",
            "/dev",
            "/dev",
            "--ro-bind",
            tmp_path / "dir",
            "/usr",
        ),
        *("--ro-bind", tmp_path / "file", "/etc/issue", "--bind", "/proc", "/proc"),
    )
    script = (
        "for f in /usr/x /dev/x /dev/shm/x; do touch $f 2>/dev/null && echo wrote $f; done;"
        "(echo x >/etc/issue) 2>/dev/null && echo wrote file;"
        "touch /tmp/x && rm /tmp/x && echo done"
    )
    prefix = (sys.executable, LOCKDOWN, "--max-syscall", level, "--") if level else ()
    assert run_helper(*words, "--", "sh", "-c", script, prefix=prefix).stdout == "done\n"


@READ_ONLY
@pytest.mark.usefixtures("probe")
def test_read_only_root(untouched: Path, tmp_path: Path, level: str | None) -> None:
    (tmp_path / "dir").mkdir()
    words = ("--ro-rootfs", untouched, "--bind", tmp_path / "dir", "/data", "--pretend")
    script = (
        "for d in / /etc /usr /run /bin; do touch $d/x 2>/dev/null && echo wrote $d; done;"
        "touch /data/x && echo done"
    )
    prefix = (sys.executable, LOCKDOWN, "--max-syscall", level, "--") if level else ()
    assert run_helper(*words, "--", "sh", "-c", script, prefix=prefix).stdout == "done\n"
    assert (tmp_path / "dir" / "x").exists()


def test_overlay_keeps_the_lower_directory(
    probe: dict[str, object], untouched: Path, tmp_path: Path
) -> None:
    if not probe["overlay"]:
        pytest.skip("this kernel has no overlays for ordinary users")
    base = tmp_path / "over: lay,1"  # characters that overlay's options give a meaning to
    for name in ("upper", "work", "extra"):
        (base / name).mkdir(parents=True)
    words = (
        "--overlay",
        base / "upper",
        base / "work",
        "--bind",
        base / "extra",
        "/new/mount/point",
    )
    script = (
        "rm /etc/issue; rm -r /var; mkdir /var; echo x >/usr/f; touch /new/mount/point/y; ls /var; "
        "ls /new/mount/point"
    )
    result = sh(untouched, script, *words)
    assert (result.stdout, result.stderr) == ("y\n", "")
    assert (base / "upper" / "usr" / "f").read_text() == "x\n"
    # The changes are there the next time.
    assert sh(untouched, "cat /usr/f; ls /etc /var", *words).stdout == "x\n/etc:\n\n/var:\n"
    subprocess.run(["rm", "-rf", base], check=True)
    assert not base.exists()


@pytest.mark.usefixtures("probe")
def test_rootfs_can_be_removed_afterwards(rootfs: Path) -> None:
    sh(rootfs, "mkdir -p /a/b; touch /a/b/c; chmod 0 /a/b", "--pretend", "--unshare-pid")
    (rootfs / "a" / "b").chmod(0o700)
    subprocess.run(["rm", "-rf", rootfs], check=True)
    assert not rootfs.exists()


@pytest.mark.usefixtures("probe")
def test_host_name_is_the_guests_own(rootfs: Path) -> None:
    before = os.uname().nodename
    words = ("--unshare-uts", "--hostname", "somewhere-else")
    assert sh(rootfs, "hostname", *words).stdout == "somewhere-else\n"
    assert os.uname().nodename == before


@pytest.mark.usefixtures("probe")
def test_namespaces_on_request_only(rootfs: Path) -> None:
    names = ("ipc", "uts", "net", "pid")
    script = "for n in ipc uts net pid; do readlink /proc/self/ns/$n; done"
    host = [os.readlink(f"/proc/self/ns/{name}") for name in names]
    assert sh(rootfs, script).stdout.split() == host
    words = [f"--unshare-{name}" for name in names]
    assert not set(sh(rootfs, script, *words).stdout.split()) & set(host)


# ---- command ----


@pytest.mark.usefixtures("probe")
def test_environment_changes_apply_in_order(rootfs: Path) -> None:
    changes = (
        *("--setenv", "A", "1", "--setenv", "A", "two words", "--unsetenv", "GONE"),
        *("--setenv", "EMPTY", "", "--setenv", "B", "x", "--unsetenv", "B"),
    )
    env = {"GONE": "1", "KEPT": "kept", "A": "0"}
    result = run_helper("--rootfs", rootfs, *changes, "--", "/bin/env", env=env)
    assert sorted(result.stdout.splitlines()) == ["A=two words", "EMPTY=", "KEPT=kept"]


@pytest.mark.usefixtures("probe")
def test_arguments_arrive_unchanged(rootfs: Path) -> None:
    words = [f"word {i}" for i in range(1000)] + ["", "\n", "\udcff", "--", "-x"]
    script = 'for a; do printf "%s\\0" "$a"; done'
    result = run_helper("--rootfs", rootfs, "--", "sh", "-c", script, "sh", *words)
    assert result.stdout.split("\0")[:-1] == words


@pytest.mark.usefixtures("probe")
def test_words_come_through_a_descriptor(rootfs: Path, tmp_path: Path) -> None:
    words = ["--rootfs", str(rootfs), "--", "echo", "a b", ""]
    (tmp_path / "words").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    with (tmp_path / "words").open("rb") as file:
        result = run_helper("--args", str(file.fileno()), pass_fds=(file.fileno(),))
    assert result.stdout == "a b \n"


@NAMESPACES
@pytest.mark.usefixtures("probe")
def test_descriptors_are_inherited_and_no_others(rootfs: Path, words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    command = ("--", "sh", "-c", f"echo through >&{write}; exec ls /proc/self/fd")
    result = run_helper("--rootfs", rootfs, *KERNEL_BINDS, *words, *command, pass_fds=(write,))
    # ls itself adds the descriptor of the directory
    assert len(set(result.stdout.split()) - {"0", "1", "2", str(write)}) == 1
    assert os.read(read, 100) == b"through\n"
    os.close(read)
    os.close(write)


@pytest.mark.usefixtures("probe")
def test_command_is_sought_in_the_guests_path(rootfs: Path) -> None:
    (rootfs / "usr" / "tool").write_text("#!/bin/sh\necho found\n")
    (rootfs / "usr" / "tool").chmod(0o755)
    words = ("--rootfs", rootfs, "--setenv", "PATH", "/nowhere:/bin:/usr", "--", "tool")
    assert run_helper(*words).stdout == "found\n"
    assert run_helper("--rootfs", rootfs, "--unsetenv", "PATH", "--", "echo", "x").stdout == "x\n"


@pytest.mark.usefixtures("probe")
@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("nowhere", 127, "no such program in the guest"),
        ("/nowhere/x", 127, "no such program in the guest"),
        ("/etc/issue", 126, "not executable"),
        ("/etc", 126, "Permission denied"),
        ("/usr/noformat", 126, "Exec format error"),
        ("/usr/nointerpreter", 127, "the interpreter it names is not"),
    ],
)
def test_command_that_cannot_run(rootfs: Path, command: str, status: int, words: str) -> None:
    (rootfs / "usr" / "noformat").write_text("no program\n")
    (rootfs / "usr" / "nointerpreter").write_text("#!/no/such/interpreter\n")
    for name in ("noformat", "nointerpreter"):
        (rootfs / "usr" / name).chmod(0o755)
    result = run_helper("--rootfs", rootfs, "--", command)
    assert result.returncode == status
    assert result.stderr.startswith(f"udockpy: cannot run: {command}: ")
    assert words in result.stderr


@pytest.mark.usefixtures("probe")
def test_working_directory(rootfs: Path) -> None:
    assert sh(rootfs, "pwd", "--chdir", "/var/log").stdout == "/var/log\n"
    result = sh(rootfs, "pwd", "--chdir", "/no/such")
    assert result.returncode == 126
    assert "udockpy: cannot enter the working directory: /no/such: No such file" in result.stderr


IDENTITY_HELPER = r"""
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
	for (int i = 0; i < argc; i++)
		puts(argv[i]);
	printf("%u %u\n", getuid(), getgid());
	for (int i = 0; i + 1 < argc; i++)
		if (argv[i][0] == '-' && argv[i][2] == 'f') {
			FILE *f = fopen(argv[i + 1], "r+");
			if (!f || fputs("remembered", f) < 0 || fclose(f))
				return 9;
		}
	return 5;
}
"""


@pytest.mark.usefixtures("probe")
def test_identity_helper_starts_the_command(rootfs: Path, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("cc: not found (Debian package gcc)")
    program, fakedb = tmp_path / "identity", tmp_path / "fakedb"
    source = tmp_path / "identity.c"
    source.write_text(IDENTITY_HELPER)
    subprocess.run([compiler, "-static", "-o", program, source], check=True)
    words = (
        *("--pretend", "--fakedb", fakedb, "--uid", "33", "--gid", "44", "--groups", "5,6"),
        *("--chdir", "/var/log", "--identity-helper", program),
    )
    result = run_helper("--rootfs", rootfs, *KERNEL_BINDS, *words, "--", "id", "-u", "")
    lines = result.stdout.splitlines()
    database = lines.pop(lines.index("--fakedb") + 1)
    assert database.startswith("/proc/self/fd/")
    assert lines == [
        *("udockpy-trap", "--pretend", "--fakedb", "--uid", "33", "--gid", "44", "--groups", "5,6"),
        *("--chdir", "/var/log", "--", "id", "-u", "", "0 0"),
    ]
    assert result.returncode == 5
    assert fakedb.read_text() == "remembered"


# ---- refusals ----


def error(result: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    what, hint = result.stderr.splitlines()
    assert what.startswith("udockpy: ")
    assert hint.startswith("hint: ")
    return what[len("udockpy: ") :], hint[len("hint: ") :]


@pytest.mark.usefixtures("probe")
def test_bad_rootfs_is_named(rootfs: Path, tmp_path: Path) -> None:
    missing = run_helper("--rootfs", tmp_path / "missing", "--", "true")
    assert missing.returncode == 125
    expected = f"cannot open the root directory: {tmp_path}/missing: No such file or directory"
    assert error(missing)[0] == expected
    file = run_helper("--rootfs", rootfs / "etc" / "issue", "--", "true")
    assert file.returncode == 125
    assert "unpack the image first" in error(file)[1]
    host = run_helper("--rootfs", "/", "--", "true")
    assert host.returncode == 125
    none = run_helper("--", "true")
    assert none.returncode == 125
    assert "--rootfs" in none.stderr


@pytest.mark.usefixtures("probe")
def test_bad_binds_are_named(untouched: Path, tmp_path: Path) -> None:
    missing = sh(untouched, "true", "--bind", tmp_path / "missing", "/usr")
    assert missing.returncode == 125
    assert error(missing)[0] == f"cannot bind: {tmp_path}/missing: No such file or directory"
    mixed = sh(untouched, "true", "--bind", "/usr", "/etc/issue")
    assert mixed.returncode == 125
    assert error(mixed) == (
        "cannot bind onto: /etc/issue: Not a directory",
        "a directory can only be bound onto a directory, a file onto a file",
    )
    through = sh(untouched, "true", "--bind", "/usr", "/etc/issue/x")
    assert through.returncode == 125
    assert error(through)[0] == "cannot make the mount point: /etc/issue/x: Not a directory"


@pytest.mark.usefixtures("probe")
def test_bind_through_a_loop_is_refused(rootfs: Path) -> None:
    (rootfs / "loop").symlink_to("loop")
    result = sh(rootfs, "true", "--bind", "/usr", "/loop/x")
    assert result.returncode == 125
    assert "Too many levels of symbolic links" in error(result)[0]


@pytest.mark.parametrize(
    ("flag", "step", "name", "hint"),
    [
        ("--no-userns", "user-namespace", "EPERM", "does not allow you user namespaces"),
        ("--no-userns=ENOSPC", "user-namespace", "ENOSPC", "user.max_user_namespaces is 0"),
        ("--no-userns=EINVAL", "user-namespace", "EINVAL", "without user namespaces"),
        ("--no-mount", "propagation", "EPERM", "forbids mounts"),
    ],
)
@pytest.mark.usefixtures("probe")
def test_node_refusals_are_explained(
    untouched: Path, flag: str, step: str, name: str, hint: str
) -> None:
    prefix = (sys.executable, LOCKDOWN, flag, "--")
    probed = run_helper("--probe", prefix=prefix)
    assert probed.returncode == 123
    answer = json.loads(probed.stdout)
    assert (answer["works"], answer["step"], answer["errno"]) == (False, step, name)
    result = run_helper("--rootfs", untouched, "--", "true", prefix=prefix)
    assert result.returncode == 123
    assert hint in error(result)[1]


@pytest.mark.usefixtures("probe")
def test_kernels_own_limit_is_explained(rootfs: Path) -> None:
    """user.max_user_namespaces of a namespace of our own: to us what a site's sysctl is to it."""
    script = 'echo 0 >/proc/sys/user/max_user_namespaces || exit 99;exec "$0" --rootfs "$1" -- true'
    shell = ("sh", "-c", script, helper(), rootfs)
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare: not found (Debian package util-linux)")
    result = subprocess.run(
        [unshare, "-Ur", *shell],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 123, result.stderr
    assert "user.max_user_namespaces is 0" in error(result)[1]


def test_probe_prints_one_line_of_json(probe: dict[str, object]) -> None:
    result = run_helper("--probe")
    assert result.returncode == 0
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    answer = json.loads(result.stdout)
    assert set(answer) == {"works", "step", "errno", "overlay", "proc", "subuids"}
    assert answer["subuids"] == probe["subuids"]
