"""The engines, behind one interface of pure questions: what the host allows, what the guest needs,
what to execute.
"""

from __future__ import annotations

from udockpy.engines import preload, ptrace, ptrace_py, trap, userns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.engines.interface import Engine

# In the order in which --engine auto takes them.
ENGINES: dict[str, Engine] = {
    "userns": userns.Userns(),
    "trap": trap.Trap(),
    "ptrace": ptrace.Ptrace(),
    "preload": preload.Preload(),
}
# Those that only who asks for them by name gets.
BY_NAME: dict[str, Engine] = {ptrace_py.NAME: ptrace_py.PtracePy()}
