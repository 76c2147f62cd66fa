"""The sandbox of the use case word problems: what programs may do, what stops the others, and that nothing is left."""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

FLOW = Path(__file__).parents[2] / "flows" / "word_problems" / "flows" / "word_problems"
AROUND_THE_IMPORTS = "import statistics\nmodules = statistics.sys.modules\n"
"""A loaded module leads to all others; `posix` is what `os` is made of."""
THROUGH_A_CLASS = (
    "closers = [c for c in object.__subclasses__() if c.__name__ == '_wrap_close']\n"
    "closers[0].__init__.__globals__['system']('touch {escaped}')"
)


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"word_problems_{name}", FLOW / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


sandbox: Any = module("sandbox")
answers: Any = module("answers")


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    guards = [p for p in psutil.Process().children(recursive=True) if "sandbox_guard.py" in " ".join(p.cmdline())]
    assert not guards


def test_a_program_computes_and_prints() -> None:
    assert sandbox.run("result = 4\nresult = result * 3\nprint(result)") == sandbox.Outcome("12\n", "")
    assert sandbox.run("print('zwölf 🎲')").printed == "zwölf 🎲\n"
    assert sandbox.run("exit_early = 1\nprint(7)\nraise SystemExit").printed == "7\n"


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        ("import math\nprint(math.isqrt(50))", "7"),
        ("from decimal import Decimal\nprint(Decimal('0.1') + Decimal('0.2'))", "0.3"),
        ("from fractions import Fraction\nprint(Fraction(1, 3) * 6)", "2"),
        ("import statistics as s\nprint(s.median([3, 1, 2]))", "2"),
        ("import datetime as d\nprint((d.date(2026, 3, 1) - d.date(2026, 2, 1)).days)", "28"),
        (
            "import collections.abc\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nprint(P(3).x)",
            "3",
        ),
        ("from collections import namedtuple\nprint(namedtuple('P', 'x y')(1, 2).y)", "2"),
        ("import random\nrandom.seed(1)\nprint(random.randint(5, 5))", "5"),
        ("import re, itertools, functools, string, heapq\nprint(len(re.findall('a', 'banana')))", "3"),
    ],
)
def test_it_may_use_what_computing_needs(program: str, printed: str) -> None:
    assert sandbox.run(program) == sandbox.Outcome(printed + "\n", "")


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("print(1", "SyntaxError: '(' was never closed (<program>, line 1)"),
        ("assert 3 < 2", "its own check failed"),
        ("assert 3 < 2, 'a count is negative'", "its own check failed: a count is negative"),
        ("def f():\n    f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("eval('(' * 100000)", "SyntaxError: too many nested parentheses (<string>, line 1)"),
    ],
)
def test_its_mistakes_are_told(program: str, error: str) -> None:
    assert sandbox.run(program) == sandbox.Outcome("", error)


@pytest.mark.parametrize(
    "program",
    [
        "while True: pass",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "print(sum(range(10 ** 12)))",
        "import re\nre.match('(a+)+$', 'a' * 50 + 'b')",
        "print(3 ** (3 ** 20))",
    ],
)
def test_a_program_that_does_not_end_is_ended(program: str) -> None:
    outcome = sandbox.run(program, cpu_s=1)
    assert outcome.printed == ""
    assert outcome.error in (
        "time limit: the program used up its processor time",
        "memory limit: the program asked for too much",
    )


def test_a_program_that_waits_is_ended_from_outside() -> None:
    outcome = sandbox.run(AROUND_THE_IMPORTS + "modules['time'].sleep(60)", wall_s=0.5)
    assert outcome == sandbox.Outcome("", "time limit: the program was still running")


@pytest.mark.parametrize(
    "program",
    [
        "x = [0] * 10 ** 10",
        "rows = []\nwhile True: rows.append('x' * 10 ** 6)",
        "x = 'x'\nwhile True: x += x",
        "print('x' * 10 ** 9)",
        "bytearray(10 ** 12)",
    ],
)
def test_a_program_that_eats_memory_is_ended(program: str) -> None:
    assert sandbox.run(program) == sandbox.Outcome("", "memory limit: the program asked for too much")


@pytest.mark.parametrize(
    "program",
    [
        "while True: print(12345)",
        "print('x' * 10 ** 6)",
        "try:\n    print('x' * 10 ** 6)\nexcept Exception: pass\nprint(3)",
        "try:\n    print('x' * 10 ** 6)\nfinally: print(3)",
    ],
)
def test_a_program_that_floods_is_ended(program: str) -> None:
    assert sandbox.run(program) == sandbox.Outcome("", "output limit: the program printed too much")


@pytest.mark.parametrize(
    "name", ["os", "sys", "subprocess", "ctypes", "socket", "urllib.request", "shutil", "pathlib", "signal", "threading",
             "multiprocessing", "resource", "gc", "importlib", "builtins", "time", "io", "posix", "inspect", "pickle"]
)  # fmt: skip
def test_nothing_that_leads_outside_can_be_imported(name: str) -> None:
    top = name.partition(".")[0]
    for statement in (f"import {name}", f"from {name} import *", f"__import__({name!r})"):
        outcome = sandbox.run(statement)
        assert outcome.error.startswith(f"refused: import of {top}"), (statement, outcome)


@pytest.mark.parametrize("call", ["open('/etc/passwd')", "input()", "breakpoint()", "help()"])
def test_what_is_built_in_and_leads_outside_is_refused(call: str) -> None:
    assert sandbox.run(call).error == f"refused: the function {call.partition('(')[0]}()"


@pytest.mark.parametrize(
    "attempt",
    [
        "modules['os'].system('touch {escaped}')",
        "modules['posix'].mkfifo('{escaped}')",
        "modules['random']._os.mkdir('{escaped}')",
        "modules['io'].open('{escaped}', 'w')",
        "modules['_io'].FileIO('{escaped}', 'w')",
        "modules['io'].open_code('/etc/passwd')",
        THROUGH_A_CLASS,
        "modules['importlib._bootstrap_external']._os.mkfifo('{escaped}')",
        "modules['importlib'].import_module('socket').socket()",
        "modules['sys'].settrace(print)",
        "modules['_thread'].start_new_thread(print, ())\nmodules['os']._exit(0)",
        "modules['os'].fork()",
        "while True: modules['posix'].fork()",
        "modules['os'].kill(modules['os'].getppid(), 9)",
        "modules['resource'].setrlimit(0, (-1, -1))",
        "modules['gc'].get_objects()",
        "modules['builtins'].open('{escaped}', 'w')",
        "modules['builtins'].__import__('ctypes').CDLL(None)",
        "modules['builtins'].__import__('_socket').socket()",
        "modules['builtins'].__import__('_posixsubprocess')",
        "modules['__main__'].sys.stdout = None\nmodules['__main__']._limit(9, 9, 9)\nmodules['os'].pipe()",
    ],
)
def test_ways_round_the_imports_lead_nowhere(attempt: str, tmp_path: Path) -> None:
    escaped = tmp_path / "escaped"
    outcome = sandbox.run(AROUND_THE_IMPORTS + attempt.format(escaped=escaped) + "\nprint('got through')")
    assert outcome.error
    assert not outcome.printed
    assert not escaped.exists()


def test_a_program_sees_nothing_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "sk-secret")
    outcome = sandbox.run(AROUND_THE_IMPORTS + "print(modules['__main__'].__dict__, modules.keys())")
    assert "sk-secret" not in outcome.printed
    assert sandbox.run("print([n for n in dir() if not n.startswith('__')])").printed == "[]\n"


def test_a_program_that_is_too_long_is_not_started() -> None:
    assert sandbox.run("#" * 20_001) == sandbox.Outcome("", "the program is longer than 20000 characters")


def test_programs_run_side_by_side_and_leave_neither_processes_nor_descriptors() -> None:
    sandbox.run("print(0)")
    before, threads = psutil.Process().num_fds(), threading.active_count()
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(sandbox.run, [f"print({n} * {n})" for n in range(40)]))
    assert [int(outcome.printed) for outcome in outcomes] == [n * n for n in range(40)]
    for _ in range(100):  # a timer's thread ends a moment after it was cancelled
        if threading.active_count() <= threads:
            break
        time.sleep(0.05)
    assert threading.active_count() <= threads
    assert psutil.Process().num_fds() <= before


# ------------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("said", "program"),
    [
        ("```python\nprint(1)\n```", "print(1)"),
        ("Here it is:\n\n```\nx = 1\nprint(x)\n```\nDone.", "x = 1\nprint(x)"),
        ("```python\nprint(1)", "print(1)"),
        ("```py\nprint(1)\n```\n```py\nprint(2)\n```", "print(1)"),
        ("x = 2\nprint(x)", "x = 2\nprint(x)"),
        ("I cannot print that.", ""),
        ("The answer is 12.", ""),
        ("", ""),
    ],
)
def test_the_program_is_found_in_what_the_model_said(said: str, program: str) -> None:
    assert answers.program_in(said) == program


@pytest.mark.parametrize(
    ("printed", "number"),
    [
        ("12\n", "12"),
        ("The answer is 1,250.50 euros\n", "1250.5"),
        ("step 1: 3\nstep 2: 4\n\n", "4"),
        ("-0.0", "0"),
        ("1e3", "1000"),
        ("3.0000000000000004", "3.0000000000000004"),
        ("9" * 60, ""),
        ("1e999", ""),
        ("nothing", ""),
        ("", ""),
        ("nan", ""),
    ],
)
def test_the_last_number_printed_is_the_answer(printed: str, number: str) -> None:
    assert answers.number_in(printed) == number
