"""build of definition files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from command import Udockpy
from support.world import missing
from zoo import Zoo

from udockpy.engines import ENGINES
from udockpy.sif import image as sif

SHOW = "stat -c '%n %u:%g %a %F' /owned /null"


@pytest.fixture(autouse=True)
def mksquashfs() -> None:
    if not os.access("/usr/bin/mksquashfs", os.X_OK):
        missing("mksquashfs: not found (apt-get install squashfs-tools)")


def write(udockpy: Udockpy, text: str, name: str = "x.def") -> str:
    (udockpy.cwd / name).write_text(text)
    return name


def built(udockpy: Udockpy, *words: str | Path) -> str:
    """The output of a build, which shows what it runs on standard error."""
    done = udockpy("build", *words)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def failed(udockpy: Udockpy, *words: str | Path) -> str:
    """The last line of a build that must fail, and leave nothing."""
    before = sorted(os.listdir(udockpy.cwd))
    done = udockpy("build", *words)
    assert done.returncode == 125
    assert sorted(os.listdir(udockpy.cwd)) == before
    builds = udockpy.home / "builds"
    assert not builds.exists() or not os.listdir(builds)
    said = [line for line in done.stderr.decode().splitlines() if not line.startswith("hint:")]
    return said[-1]


def whole(box: Path) -> str:
    return f"""\
Bootstrap: localimage
From: {box}
Stage: first
%files
    data.txt /opt/
    data.txt
    dir* /opt/new
%post
    echo of-first >/only

Bootstrap: localimage
From: {box}
%files from first
    /only /copied
    /opt/new /opt/again
%setup
    echo set up >$APPTAINER_ROOTFS/setup
%environment
    export COLOUR={{{{ COLOUR }}}}
%post
    test -f /copied
    echo owned >/owned
    chown 12:34 /owned
    chmod 4755 /owned
    mknod /null c 1 3
    echo 'export MORE="said by post"' >>"$SINGULARITY_ENVIRONMENT"
    echo written.label by post >>"$APPTAINER_LABELS"
%arguments
    COLOUR=red
%runscript
    echo "runs $* $COLOUR $MORE"
%startscript
    echo started
%test
    test -u /owned && cat /setup
%labels
    maker me
%help
    How to use it
%appinstall foo
    echo 'echo of foo' >bin/foo
    chmod 755 bin/foo
%appenv foo
    export FOO=bar
%apprun foo
    foo
"""


@pytest.fixture
def files(udockpy: Udockpy) -> None:
    (udockpy.cwd / "data.txt").write_text("data\n")
    (udockpy.cwd / "dir1/sub").mkdir(parents=True)
    (udockpy.cwd / "dir1/sub/file").write_text("in dir\n")
    (udockpy.cwd / "dir1/link").symlink_to("sub/file")


@pytest.mark.parametrize("engine", sorted(ENGINES))
@pytest.mark.usefixtures("files")
def test_a_definition_with_everything(udockpy: Udockpy, box: Path, engine: str) -> None:
    name = write(udockpy, whole(box))
    words = ("--engine", engine, "--build-arg", "COLOUR=blue")
    assert built(udockpy, *words, "image.sif", name) == "set up\n"
    image = udockpy.cwd / "image.sif"
    assert udockpy.output("run", image, "a", "b") == "runs a b blue said by post"
    shown = udockpy.output("exec", "--root", image, "sh", "-c", SHOW)
    assert shown.splitlines() == [
        "/owned 12:34 4755 regular file",
        "/null 0:0 644 character special file",
    ]
    script = "cat /copied /opt/again/sub/file /opt/again/link; foo; cat /.singularity.d/labels.json"
    app = ("-e", "SINGULARITY_APPNAME=foo")
    said = udockpy.output("exec", *app, image, "sh", "-c", f"export PATH=$PATH:/bin; {script}")
    first, second, third, fourth, labels = said.split("\n", 4)
    assert (first, second, third, fourth) == ("of-first", "in dir", "in dir", "of foo")
    found = json.loads(labels)
    assert (found["maker"], found["written.label"]) == ("me", "by post")
    gone = udockpy("exec", image, "ls", "/.post.script", "/.build.labels", "/only")
    assert gone.stdout == b""


def test_a_sif_file_tells_what_it_was_made_of(udockpy: Udockpy, box: Path) -> None:
    text = f"Bootstrap: localimage\nFrom: {box}\n%runscript\n    echo hi\n%labels\n    a b\n"
    udockpy.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    built(udockpy, "one.sif", write(udockpy, text))
    built(udockpy, "two.sif", "x.def")
    file, image = sif.open_image(os.fspath(udockpy.cwd / "one.sif"))
    with file:
        definition, about = (image.find(kind) for kind in (sif.DEFINITION, sif.JSON))
        assert definition is not None
        assert about is not None
        assert sif.content(file, definition).decode() == text
        attributes = json.loads(sif.content(file, about))["data"]["attributes"]
    assert attributes["runscript"] == "#!/bin/sh\n    echo hi\n"
    assert attributes["labels"]["a"] == "b"
    assert attributes["labels"]["org.label-schema.build-date"].startswith(
        "Tuesday_14_November_2023"
    )


def test_a_sandbox_is_built_again_with_force(udockpy: Udockpy, box: Path) -> None:
    write(udockpy, f"Bootstrap: localimage\nFrom: {box}\n%post\n    chown 5 /etc/issue\n")
    built(udockpy, "--sandbox", "made", "x.def")
    assert "it exists" in udockpy.refusal("build", "--sandbox", "made", "x.def")
    built(udockpy, "--force", "--sandbox", "made", "x.def")
    made = udockpy.cwd / "made"
    assert udockpy.output("exec", "--root", made, "stat", "-c", "%u", "/etc/issue") == "5"
    # A definition upon what a definition made keeps the older one.
    write(udockpy, "Bootstrap: localimage\nFrom: made\n", "y.def")
    built(udockpy, "--sandbox", "again", "y.def")
    assert os.listdir(udockpy.cwd / "again/.singularity.d/bootstrap_history") == ["Singularity0"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%post\n    true\n    exit 7\n", "x.def:3: %post failed with status 7"),
        ("%test\n    exit 3\n", "x.def:3: %test failed with status 3"),
        ("%setup\n    exit 4\n", "x.def:3: %setup failed with status 4"),
        ("%files\n    a b\n\n    nothing-here\n", "x.def:4: a: the host has no such file"),
        ("%appinstall a\n    exit 5\n", "x.def:3: %appinstall failed with status 5"),
    ],
)
def test_a_failed_build_leaves_nothing_and_names_the_line(
    udockpy: Udockpy, box: Path, text: str, said: str
) -> None:
    write(udockpy, f"Bootstrap: localimage\nFrom: {box}\n{text}")
    target = ("made.sif",) if "post" in text else ("--sandbox", "made")
    assert failed(udockpy, *target, "x.def") == f"udockpy: cannot build: {said}"


def test_shells_name_lines_of_the_definition(udockpy: Udockpy, box: Path) -> None:
    write(udockpy, f"Bootstrap: localimage\nFrom: {box}\n%post\n    true\n\n    no-such\n")
    done = udockpy("build", "--sandbox", "made", "x.def")
    assert b"/.post.script: line 6: no-such: not found" in done.stderr


def test_only_the_sections_that_are_wanted(udockpy: Udockpy, box: Path) -> None:
    text = "%post\n    touch /post\n%files\n    x.def /files\n%test\n    exit 9\n"
    write(udockpy, f"Bootstrap: localimage\nFrom: {box}\n{text}")
    built(udockpy, "--section", "files", "--sandbox", "made", "x.def")
    assert {"files", "post"} & set(os.listdir(udockpy.cwd / "made")) == {"files"}
    built(udockpy, "--notest", "--force", "--sandbox", "made", "x.def")
    assert {"files", "post"} & set(os.listdir(udockpy.cwd / "made")) == {"files", "post"}


def test_binds_and_another_shell_for_post(udockpy: Udockpy, box: Path) -> None:
    (udockpy.cwd / "bound").mkdir()
    (udockpy.cwd / "bound/in").write_text("bound\n")
    text = "%post -c /bin/sh -u\n    cat /mnt/in\n    echo $-\n"
    write(udockpy, f"Bootstrap: localimage\nFrom: {box}\n{text}")
    said = built(udockpy, "--bind", "bound:/mnt:ro", "--sandbox", "made", "x.def")
    assert said.splitlines()[0] == "bound"
    assert "u" in said.splitlines()[1]
    assert not (udockpy.cwd / "made/mnt").exists()


def test_scratch_and_busybox(udockpy: Udockpy, box: Path) -> None:
    program = box / "bin/busybox"
    write(udockpy, f"Bootstrap: scratch\n%files\n    {program} /bin/sh\n%post\n    echo made\n")
    assert built(udockpy, "--sandbox", "one", "x.def") == "made\n"
    write(
        udockpy, f"Bootstrap: busybox\nMirrorURL: file://{program}\n%post\n    id -un; which vi\n"
    )
    assert built(udockpy, "--sandbox", "two", "x.def") == "root\n/bin/vi\n"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Bootstrap: docker", "needs the header From:"),
        ("Bootstrap: library\nFrom: a/b/c", "needs a service"),
        ("Bootstrap: nonsense", 'unknown agent "nonsense"'),
        ("Bootstrap: yum\nMirrorURL: http://x/", "no dnf or yum"),
        ("Bootstrap: localimage\nFrom: ./nowhere", "x.def:2: ./nowhere: no such file"),
    ],
)
def test_agents_that_cannot_begin(udockpy: Udockpy, header: str, said: str) -> None:
    udockpy.environ["PATH"] = "/nowhere"
    write(udockpy, f"{header}\n")
    if "yum" in header and any(os.path.exists(f"/usr/bin/{name}") for name in ("dnf", "yum")):
        pytest.skip("dnf or yum is installed here")
    assert said in failed(udockpy, "made.sif", "x.def")


def test_links_in_the_image_lead_nowhere_else(udockpy: Udockpy, box: Path) -> None:
    """An image cannot have a build write to the host's files."""
    outside = udockpy.cwd / "outside"
    outside.mkdir()
    for name in (".singularity.d", "opt"):
        (box / name).symlink_to(outside)
    write(udockpy, f"Bootstrap: localimage\nFrom: {box}\n%files\n    x.def /opt/\n")
    udockpy("build", "--sandbox", "made", "x.def")
    assert os.listdir(outside) == []


@pytest.mark.parametrize(
    "header",
    [
        "docker\nFrom: {registry}",
        "oci\nFrom: {folder}/layout:opaque",
        "oci-archive\nFrom: {folder}/oci.tar",
        "docker-archive\nFrom: {folder}/docker.tar",
    ],
)
def test_images_of_docker_give_their_environment_and_command(
    udockpy: Udockpy, zoo: Zoo, header: str
) -> None:
    host, _, name = zoo.reference("opaque:gz").partition("/")
    udockpy.environ["UDOCKPY_INSECURE_REGISTRIES"] = host
    filled = header.format(registry=f"{host}/{name}", folder=zoo.folder)
    write(udockpy, f"Bootstrap: {filled}\n%post\n    echo $ZOO >/said\n")
    built(udockpy, "--sandbox", "made", "x.def")
    assert (udockpy.cwd / "made/said").read_text() == "yes\n"
    said = udockpy.output("run", udockpy.cwd / "made", "/bin/sh", "-c", "echo $ZOO")
    assert said == "yes"
    kept = [row["name"] for row in json.loads(udockpy.output("images", "--json"))]
    assert kept == ([zoo.reference("opaque:gz")] if header.startswith("docker\n") else [])


@pytest.mark.parametrize("agent", ["debootstrap", "yum"])
def test_programs_of_the_host_make_the_tree_as_pretended_root(
    udockpy: Udockpy, tmp_path: Path, agent: str
) -> None:
    """What they are told, and that owners they give are remembered."""
    program = tmp_path / "bin" / agent
    program.parent.mkdir()
    script = f"""#!/bin/sh
        set -e
        for root; do case $root in
            *.conf) ;;
            --installroot=*) root=${{root#*=}}; break ;;
            {udockpy.home}/*|{udockpy.cwd}/*) break ;;
        esac; done
        mkdir -p $root/bin $root/etc
        for name in sh cat stat; do cp /bin/busybox $root/bin/$name; done
        echo "$*" | sed "s,$root,ROOT,g" >$root/etc/told
        chown 7:8 $root/etc/told
    """
    program.write_text(script)
    program.chmod(0o755)
    udockpy.environ["PATH"] = f"{program.parent}:/usr/bin:/bin"
    header = "OSVersion: 12\nMirrorURL: http://x/%{OSVERSION}/\nInclude: a b"
    write(udockpy, f"Bootstrap: {agent}\n{header}\n%post\n    cat /etc/told\n")
    told = built(udockpy, "--sandbox", "made", "x.def").split()
    expected = {
        "debootstrap": {"--include=apt,a,b", "12", "ROOT", "http://x/12/"},
        "yum": {"--releasever=12", "--installroot=ROOT", "install", "a", "b"},
    }
    assert expected[agent] <= set(told)
    shown = udockpy.output("exec", "--root", udockpy.cwd / "made", "stat", "-c", "%u", "/etc/told")
    assert shown == "7"
