"""Images made by umoci and skopeo, as an ordinary user, and pushed to a real registry."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

from world.registry import Registries, run

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
BINARY = {"SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape")}
DIR, LNK, SYM = tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
COPY = ("skopeo", "--insecure-policy", "copy", "-q")


class Zoo:
    """Images in an OCI layout of umoci's, and in the registry."""

    def __init__(self, folder: Path, registries: Registries, busybox: Path) -> None:
        self.folder = folder
        self.layout = folder / "layout"
        self.registries = registries
        run("umoci", "init", "--layout", self.layout)
        self._base(busybox)
        self._changed()
        self._opaque()
        self._push()

    def reference(self, name: str) -> str:
        return f"{self.registries.http}/env/{name}"

    def unpacked(self, tag: str) -> Path:
        """The tree that umoci makes of an image."""
        bundle = self.folder / f"umoci-{tag}"
        if not bundle.exists():
            run("umoci", "unpack", "--rootless", "--image", f"{self.layout}:{tag}", bundle)
        return bundle / "rootfs"

    def digest(self, tag: str) -> str:
        index = json.loads((self.layout / "index.json").read_text())
        (found,) = (
            entry["digest"]
            for entry in index["manifests"]
            if entry["annotations"]["org.opencontainers.image.ref.name"] == tag
        )
        return str(found)

    def blob(self, digest: str) -> Path:
        return self.layout / "blobs" / digest.replace(":", "/")

    def layers(self, tag: str) -> list[str]:
        manifest = json.loads(self.blob(self.digest(tag)).read_text())
        return [layer["digest"] for layer in manifest["layers"]]

    def _base(self, busybox: Path) -> None:
        """A layer with everything that an ordinary user cannot make a file of."""
        path = self.folder / "base.tar"
        program = busybox.read_bytes()
        entries = [
            entry("bin", DIR),
            entry("bin/busybox", content=program, mode=0o755),
            *(entry(f"bin/{name}", SYM, linkname="busybox") for name in ("sh", "cat", "ls", "id")),
            *(entry(name, DIR) for name in ("dev", "etc", "proc", "sys", "tmp", "opt", "opt/t")),
            entry("etc/issue", content=b"zoo\n"),
            entry("etc/passwd", content=b"root:x:0:0::/:/bin/sh\n"),
            entry("opt/t/f", content=b"v1"),
            entry("opt/t/f.hard", LNK, linkname="opt/t/f"),
            entry("opt/t/dir1", DIR),
            entry("opt/t/dir1/f.hard2", LNK, linkname="opt/t/f"),
            entry("opt/t/dir1/sub", DIR),
            entry("opt/t/dir1/sub/low", content=b"low"),
            entry("opt/t/suid", content=b"s", mode=0o4755),
            entry("opt/t/sgid", content=b"s", mode=0o2755, gid=42),
            entry("opt/t/sticky", DIR, mode=0o1777),
            entry("opt/t/owned", content=b"o", uid=1234, gid=5678),
            entry("opt/t/gone", DIR),
            entry("opt/t/gone/a", content=b"bye"),
            entry("opt/t/delme", content=b"bye"),
            entry("opt/t/todir", content=b"file"),
            entry("opt/t/cap", content=b"c", mode=0o755, pax_headers=BINARY),
            entry("opt/t/noted", content=b"n", pax_headers={"SCHILY.xattr.user.note": "hi"}),
            entry("opt/t/fifo", tarfile.FIFOTYPE),
            entry("opt/t/noperm", DIR, mode=0),
            entry("opt/t/noperm/in", content=b"in"),
            entry("opt/t/null", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3),
            entry("opt/t/abs", SYM, linkname="/etc/passwd", mtime=123456789),
            entry("opt/link", SYM, linkname="t"),
            entry("opt/t/name with space"),
            entry("opt/t/bad\nname\udcff", content=b"x"),
            entry("opt/t/" + "long" * 50, content=b"l"),
            entry("opt/t/ns", pax_headers={"mtime": "1700000000.123456789"}),
        ]
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
            for info, content in entries:
                tar.addfile(info, io.BytesIO(content))
        image = f"{self.layout}:base"
        run("umoci", "new", "--image", image)
        run("umoci", "raw", "add-layer", "--image", image, path)
        words = ("--config.cmd", "/bin/sh", "--config.env", "ZOO=yes", "--architecture", "amd64")
        run("umoci", "config", "--image", image, *words)

    def _changed(self) -> None:
        """Whiteouts, kinds that change, links into the layer below: by umoci's own diff."""
        bundle = self.folder / "changing"
        run("umoci", "unpack", "--rootless", "--image", f"{self.layout}:base", bundle)
        top = bundle / "rootfs/opt/t"
        shutil.rmtree(top / "gone")
        (top / "delme").unlink()
        (top / "f.hard").unlink()
        shutil.rmtree(top / "dir1/sub")
        (top / "dir1/sub").write_text("a file now")
        (top / "todir").unlink()
        (top / "todir").mkdir()
        (top / "todir/in").write_text("in")
        os.link(top / "suid", top / "suid.hard")
        (top / "g").write_text("v2")
        os.link(top / "g", top / "g.hard")
        run("umoci", "repack", "--image", f"{self.layout}:changed", bundle)

    def _opaque(self) -> None:
        """An opaque directory; umoci ends this layer without an end mark."""
        inserted = self.folder / "inserted"
        inserted.mkdir()
        (inserted / "only").write_text("only")
        where = ("--image", f"{self.layout}:changed", "--tag", "opaque")
        run("umoci", "insert", "--rootless", *where, "--opaque", inserted, "/opt/t/dir1")
        user = ("--config.user", "1234:5678", "--config.workingdir", "/opt/t")
        run("umoci", "config", "--image", f"{self.layout}:opaque", *user)

    def _push(self) -> None:
        for tag in ("base", "changed", "opaque"):
            self._copy(f"oci:{self.layout}:{tag}", f"{tag}:gz")
        self._copy(f"oci:{self.layout}:opaque", "opaque:v2s2", "--format", "v2s2")
        # skopeo takes gzip blobs that it knows instead of making zstd, unless digests are pinned.
        plain, zstd = self.folder / "plain", self.folder / "zstd"
        run(*COPY, "--dest-decompress", f"oci:{self.layout}:opaque", f"dir:{plain}")
        run(*COPY, "--dest-compress-format", "zstd", f"dir:{plain}", f"oci:{zstd}:opaque")
        self._copy(f"oci:{zstd}:opaque", "opaque:zstd", "--preserve-digests")
        self._copy(f"oci:{self._without_compression(plain)}:plain", "opaque:plain")
        run("umoci", "new", "--image", f"{self.layout}:arm")
        run("umoci", "config", "--image", f"{self.layout}:arm", "--architecture", "arm64")
        self._index(amd64="opaque", arm64="arm")
        self._copy(f"oci:{self.layout}:index", "multi:oci", "--all")
        self._copy(f"oci:{self.layout}:index", "multi:list", "--all", "--format", "v2s2")
        for name, archive in (("oci-archive", "oci.tar"), ("docker-archive", "docker.tar")):
            target = f"{name}:{self.folder / archive}:zoo/opaque:1"
            run(*COPY, f"oci:{self.layout}:opaque", target)
        run(*COPY, f"oci:{self.layout}:opaque", f"dir:{self.folder / 'dir'}")

    def _copy(self, source: str, name: str, *options: str) -> None:
        target = f"docker://{self.reference(name)}"
        run(*COPY, "--dest-tls-verify=false", *options, source, target)

    def _without_compression(self, plain: Path) -> Path:
        """skopeo writes layouts compressed, so this one is put together from its dir:."""
        made = self.folder / "plain-layout"
        blobs = made / "blobs/sha256"
        blobs.mkdir(parents=True)
        content = (plain / "manifest.json").read_bytes()
        manifest = json.loads(content)
        for part in (manifest["config"], *manifest["layers"]):
            value = part["digest"].partition(":")[2]
            shutil.copy(plain / value, blobs / value)
        self._write_index(made, [self._write_manifest(made, content, "plain")])
        return made

    def _index(self, **tags: str) -> None:
        """Puts an index over images of several platforms into the layout."""
        known = json.loads((self.layout / "index.json").read_text())["manifests"]
        entries = []
        for architecture, tag in tags.items():
            content = self.blob(self.digest(tag)).read_bytes()
            entry = self._write_manifest(self.layout, content, tag)
            del entry["annotations"]
            entries.append({**entry, "platform": {"os": "linux", "architecture": architecture}})
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        made = self._write_manifest(self.layout, json.dumps(document).encode(), "index")
        self._write_index(self.layout, [*known, {**made, "mediaType": INDEX}])

    def _write_manifest(self, layout: Path, content: bytes, tag: str) -> dict[str, Any]:
        value = hashlib.sha256(content).hexdigest()
        (layout / "blobs/sha256" / value).write_bytes(content)
        return {
            "mediaType": MANIFEST,
            "digest": f"sha256:{value}",
            "size": len(content),
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }

    def _write_index(self, layout: Path, entries: list[dict[str, Any]]) -> None:
        (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: Any
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    info.mode = 0o755 if kind == DIR else 0o644
    info.mtime = 1_000_000_000
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content
