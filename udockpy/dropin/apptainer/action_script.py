"""The script that a guest of Singularity's kind starts with: its environment is what scripts in the
image make of it, so a shell of the image must read them before the command is looked for.
"""

from __future__ import annotations

from udockpy.container.singularity import EXPORT, READ_SCRIPTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.dropin.apptainer.environment import Environment

# Its arguments: a count, and as many NAME=VALUE that the image's
# scripts may overrule; a count, and as many that overrule them; what comes before and after the
# image's PATH; the command.
SCRIPT = (
    READ_SCRIPTS
    + r"""for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
    case :$PATH: in
    *:$folder:*) ;;
    *) PATH=$PATH:$folder ;;
    esac
done
count=$1
shift
while [ "$count" -gt 0 ]; do
    eval "[ -n \"\${${1%%=*}+x}\" ]" || export "$1"
    shift
    count=$((count - 1))
done
"""
    + EXPORT
    + r"""PATH=$1$PATH$2
shift 2
fatal() {
    echo "FATAL:   $*" >&2
    exit 255
}
case $1 in
*/*)
    [ -e "$1" ] || fatal "stat $1: no such file or directory"
    [ -x "$1" ] && [ ! -d "$1" ] || fatal "permission denied"
    ;;
*)
    set -f
    IFS=:
    for folder in $PATH; do
        [ ! -f "$folder/$1" ] || [ ! -x "$folder/$1" ] || break
        folder=
    done
    unset IFS
    [ -n "$folder" ] || fatal "\"$1\": executable file not found in \$PATH"
    ;;
esac
unset script count folder
exec "$@"
"""
)


def wrapped(command: tuple[str, ...], environment: Environment) -> tuple[str, ...]:
    """A command that the script starts."""
    weak = tuple(f"{name}={value}" for name, value in environment.host.items())
    strong = tuple(f"{name}={value}" for name, value in environment.told.items())
    around = (environment.before_path, environment.behind_path)
    counted = (str(len(weak)), *weak, str(len(strong)), *strong)
    return ("/bin/sh", "-c", SCRIPT, command[0], *counted, *around, *command)
