"""What images made by Singularity and Apptainer expect of who runs them: their environment is shell
scripts inside the image, and what they run is a script.
"""

from __future__ import annotations

ENVIRONMENT = "/.singularity.d/env"
RUNSCRIPT = "/.singularity.d/runscript"

READ_SCRIPTS = f"""for script in {ENVIRONMENT}/*.sh; do
    [ ! -f "$script" ] || . "$script"
done
"""
# $1 counts the variables that follow.
EXPORT = """count=$1
shift
while [ "$count" -gt 0 ]; do
    export "$1"
    shift
    count=$((count - 1))
done
"""
# The scripts come first, then what the user set, as Apptainer has it.
ACTION = f"""{READ_SCRIPTS}{EXPORT}unset script count
exec "$@"
"""


def wrapped(command: tuple[str, ...], assignments: tuple[str, ...]) -> tuple[str, ...]:
    """A command that first reads the image's scripts, then sets the variables NAME=VALUE."""
    count = str(len(assignments))
    return ("/bin/sh", "-c", ACTION, command[0], count, *assignments, *command)
