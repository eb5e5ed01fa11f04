"""What images say of how they are run: from the layout for an image, from the copy that a container
got for a container.
"""

from __future__ import annotations

import os

from udockpy.container import singularity
from udockpy.container.spec import Says
from udockpy.store import containers, images, targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.home import Home
    from udockpy.store.targets import Target


def document(home: Home, target: Target) -> bytes | None:
    """The configuration of the image that a target is or was made from, as it was written."""
    if target.kind == targets.CONTAINER:
        path = containers.Container(target.name, target.state).image_config
        if not os.path.exists(path):
            return None
        with open(path, "rb") as file:
            return file.read()
    if target.kind == targets.IMAGE:
        image = images.find(home, target.name)
        if image is not None and image.entry is not None:
            layout = images.layout(home)
            return layout.content(layout.manifest(image.entry).config, image.name)
    return None


def manifest(home: Home, target: Target) -> str:
    """The digest of the manifest that a target is or was made from; empty where there is none."""
    if target.kind == targets.CONTAINER:
        return containers.manifest(home, containers.Container(target.name, target.state))
    if target.kind == targets.IMAGE:
        image = images.find(home, target.name)
        return image.entry.digest if image is not None and image.entry is not None else ""
    return ""


def of(home: Home, target: Target) -> Says:
    """What to heed of it."""
    content = document(home, target)
    if content is None:
        return _of_scripts(target.tree.rootfs)
    from udockpy.oci import image as documents

    config = documents.config(content, target.name)
    workdir = config.workdir if _is_directory(target.tree.rootfs, config.workdir) else ""
    return Says(
        entrypoint=config.entrypoint,
        cmd=config.cmd,
        env=config.env,
        workdir=workdir,
        user=config.user,
        volumes=config.volumes,
        stop_signal=config.stop_signal,
    )


def _of_scripts(rootfs: str) -> Says:
    """A guest that Singularity made says it in files of its own, wherever its tree is."""
    if not _is_directory(rootfs, singularity.ENVIRONMENT):
        return Says()
    from udockpy.util.beneath import Root

    with Root(rootfs) as root:
        try:
            root.stat(singularity.RUNSCRIPT)
        except OSError:
            return Says(scripts=True)
    return Says(entrypoint=(singularity.RUNSCRIPT,), scripts=True)


def _is_directory(rootfs: str, guest_path: str) -> bool:
    import stat

    from udockpy.util.beneath import Root

    if not guest_path.startswith("/"):
        return False
    try:
        with Root(rootfs) as root:
            return stat.S_ISDIR(root.stat(guest_path).st_mode)
    except OSError:
        return False
