"""The files that Singularity's images have in /.singularity.d. Pure.

What runs such images is in the program that runs them; these are for the images of old versions'
runners, and for what looks into an image.
"""

from __future__ import annotations

import re
import shlex

ROOT = ".singularity.d"
ENVIRONMENT = f"{ROOT}/env/90-environment.sh"
WRITTEN = f"{ROOT}/env/91-environment.sh"  # by %post
OF_DOCKER = f"{ROOT}/env/10-docker2singularity.sh"
APPS = f"{ROOT}/env/94-appsbase.sh"
RUNSCRIPT = f"{ROOT}/runscript"
STARTSCRIPT = f"{ROOT}/startscript"
TEST = f"{ROOT}/test"
HELP = f"{ROOT}/runscript.help"
LABELS = f"{ROOT}/labels.json"
DEFINITION = f"{ROOT}/Singularity"
HISTORY = f"{ROOT}/bootstrap_history"

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DIRECTORIES = (
    f"dev home proc root sys tmp var/tmp etc {ROOT} {ROOT}/actions {ROOT}/env {ROOT}/libs {HISTORY}"
).split()
LINKS = {
    "singularity": RUNSCRIPT,
    "environment": ENVIRONMENT,
    ".run": f"{ROOT}/actions/run",
    ".exec": f"{ROOT}/actions/exec",
    ".shell": f"{ROOT}/actions/shell",
    ".test": f"{ROOT}/actions/test",
}

_SOURCED = f"""#!/bin/sh
for script in /{ROOT}/env/*.sh; do
    [ ! -f "$script" ] || . "$script"
done
"""

ACTIONS = {
    "exec": f'{_SOURCED}exec "$@"\n',
    "shell": f'{_SOURCED}exec "${{SINGULARITY_SHELL:-/bin/sh}}" "$@"\n',
    "run": f'{_SOURCED}exec /{RUNSCRIPT} "$@"\n',
    "start": f'{_SOURCED}[ ! -x /{STARTSCRIPT} ] || exec /{STARTSCRIPT} "$@"\n',
    "test": f'{_SOURCED}[ ! -x /{TEST} ] || exec /{TEST} "$@"\n',
}

BASE = {
    f"{ROOT}/env/01-base.sh": "#!/bin/sh\n",
    ENVIRONMENT: "#!/bin/sh\n# Custom environment shell code should follow\n\n",
    f"{ROOT}/env/95-apps.sh": """#!/bin/sh
# The variables of the app that was asked for
if [ -n "${SINGULARITY_APPNAME:-}" ]; then
    for script in "/scif/apps/$SINGULARITY_APPNAME/scif/env/"*.sh; do
        [ ! -f "$script" ] || . "$script"
    done
fi
""",
    f"{ROOT}/env/99-base.sh": f"""#!/bin/sh
export PATH="${{PATH:-{PATH}}}"
export PS1="${{PS1:-Singularity> }}"
""",
    f"{ROOT}/env/99-runtimevars.sh": """#!/bin/sh
if [ -n "${SING_USER_DEFINED_PREPEND_PATH:-}" ]; then
    export PATH="$SING_USER_DEFINED_PREPEND_PATH:$PATH"
fi
if [ -n "${SING_USER_DEFINED_APPEND_PATH:-}" ]; then
    export PATH="$PATH:$SING_USER_DEFINED_APPEND_PATH"
fi
if [ -n "${SING_USER_DEFINED_PATH:-}" ]; then
    export PATH="$SING_USER_DEFINED_PATH"
fi
""",
    **{f"{ROOT}/actions/{name}": text for name, text in ACTIONS.items()},
}

NOTHING_TO_RUN = """#!/bin/sh
echo "There is no runscript defined for this container" >&2
"""
NOTHING_TO_START = "#!/bin/sh\n"


def exported(env: tuple[str, ...]) -> str:
    """The variables of an OCI image: what is set already stays, but for PATH."""
    lines = ["#!/bin/sh"]
    for word in env:
        name, equals, value = word.partition("=")
        if not equals or not NAME.fullmatch(name):
            continue  # nothing that a shell could set
        unless = "" if name == "PATH" else f'[ -n "${{{name}:-}}" ] || '
        lines += [f"{unless}{name}={shlex.quote(value)}", f"export {name}"]
    return "".join(f"{line}\n" for line in lines)


def of_image(entrypoint: tuple[str, ...], cmd: tuple[str, ...]) -> str:
    """A runscript that starts what an OCI image says; arguments replace its CMD."""
    if not entrypoint and not cmd:
        return NOTHING_TO_RUN
    return f"""#!/bin/sh
if [ $# -eq 0 ]; then
    set -- {shlex.join(cmd)}
fi
exec {shlex.join(entrypoint)} "$@"
"""
