"""The reference tracer: the engine `ptrace-py`, and `udockpy trace`.

A ptrace(2) tracer in Python over python-ptrace. What a path means and what a program needs to start
it asks the native core, through its C interface; which calls take paths stands in the core's table.
How calls are caught and answered is its own: a second opinion on what the native engines do.
"""
