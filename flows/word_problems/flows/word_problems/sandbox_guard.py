"""The inside of the sandbox: gives up what a program does not need, runs the program, and reports as JSON.

Run by `sandbox.py` as a script with `-I -S`. Three fences stand one behind the other: imports by an allow-list, an audit
hook that refuses whatever is not plain computing, and limits of the operating system, which hold even where Python's
own fences are climbed.
"""

import builtins
import io
import json
import sys

ALLOWED_MODULES = frozenset(
    "math cmath decimal fractions statistics itertools functools operator collections datetime calendar re string random"
    " typing dataclasses enum abc heapq bisect numbers __future__".split()
)
# What computing and importing loaded modules raises; everything else (files, sockets, processes, signals, ctypes, frames
# of other code, the collector's view of all objects, …) is refused.
ALLOWED_EVENTS = frozenset(
    "compile exec builtins.id object.__getattr__ object.__setattr__ object.__delattr__ sys._getframe"
    " sys._getframemodulename array.__new__ code.__new__ function.__new__ time.sleep".split()
)


class Refused(PermissionError):
    """The program wanted something that the sandbox does not give."""


class TooMuchOutput(BaseException):
    """The program printed more than it may; no `except Exception` of it catches that."""


class Printed(io.TextIOBase):
    """Takes what the program prints, up to a limit."""

    def __init__(self, most):
        self.parts, self.left = [], most

    def writable(self):
        return True

    def write(self, text):
        self.left -= len(text)
        if self.left < 0:
            raise TooMuchOutput
        self.parts.append(text)
        return len(text)


def main():
    asked = json.load(sys.stdin)
    printed = Printed(asked["printed"])
    report = sys.stdout
    for name in sorted(ALLOWED_MODULES):  # while files can still be opened
        __import__(name)
    scope = {"__name__": "__main__", "__builtins__": _builtins()}
    _limit(asked["cpu_s"], asked["memory_mb"], asked["wall_s"])
    _forget_the_system()
    sys.stdout = sys.stderr = printed
    sys.stdin = io.StringIO()
    sys.addaudithook(_hook(ALLOWED_EVENTS))
    error = ""
    try:
        exec(compile(asked["program"], "<program>", "exec"), scope)
    except SystemExit:
        pass
    except TooMuchOutput:
        error = "output limit: the program printed too much"
    except MemoryError:
        scope.clear()
        error = "memory limit: the program asked for too much"
    except Refused as refused:
        error = f"refused: {refused}"
    except AssertionError as failed:
        error = f"its own check failed: {failed}".rstrip(": ")
    except BaseException as failed:
        error = f"{type(failed).__name__}: {failed}"
    sys.stdout = report
    report.write(json.dumps({"printed": "" if error else "".join(printed.parts), "error": error[:500]}))
    report.flush()


def _builtins():
    given = {name: value for name, value in vars(builtins).items() if name not in ("open", "input", "breakpoint", "help")}
    real_import = builtins.__import__

    def guarded_import(name, globals=None, locals=None, fromlist=(), level=0):
        if level or name.partition(".")[0] not in ALLOWED_MODULES:
            raise Refused(f"import of {str(name)[:60]}")
        return real_import(name, globals, locals, fromlist, level)

    def refused(what):
        def call(*_, **__):
            raise Refused(what)

        return call

    given["__import__"] = guarded_import
    given.update({name: refused(f"the function {name}()") for name in ("open", "input", "breakpoint", "help")})
    return given


def _hook(allowed):
    def hook(event, arguments):
        if event not in allowed:
            raise Refused(event)

    return hook


def _forget_the_system():
    """Empty the modules that wrap system calls: some of them (`mkfifo`) raise no audit event, and loaded modules lead
    to them whatever is imported."""
    for name in ("resource", "signal", "_signal", "os", "posix", "nt"):
        module = sys.modules.pop(name, None)
        if module is not None:
            vars(module).clear()


def _limit(cpu_s, memory_mb, wall_s):
    """Limits of the operating system, where it has them; they can only be lowered from here on.

    No further file descriptor can be made: so no file, no socket and no pipe, whoever asks for it. The alarm ends a
    program that sleeps where its parent is gone and cannot end it.
    """
    try:
        import resource
        import signal
    except ImportError:
        return  # Windows: the time limit of the parent, the imports and the hook remain
    limits = {
        "RLIMIT_CPU": (cpu_s, cpu_s + 1),
        "RLIMIT_AS": (memory_mb << 20, memory_mb << 20),
        "RLIMIT_NPROC": (0, 0),
        "RLIMIT_FSIZE": (0, 0),
        "RLIMIT_NOFILE": (0, 0),
        "RLIMIT_CORE": (0, 0),
    }
    signal.alarm(int(wall_s) + 2)
    for name, values in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), values)
        except (AttributeError, ValueError, OSError):
            pass  # not on this system (macOS has no RLIMIT_AS)


if __name__ == "__main__":
    main()
