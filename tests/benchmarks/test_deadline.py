"""Benchmarks end, whatever hangs."""

import ast
import importlib.util
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
PARTS = ("deadline", "turns", "torchreid_style")  # modules of the others

_spec = importlib.util.spec_from_file_location("benchmarks_deadline", FOLDER / "deadline.py")
assert _spec is not None and _spec.loader is not None
deadline = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(deadline)


def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    # The grandchild keeps the pipe open: subprocess.run would wait for its end after it has killed the child.
    pid = tmp_path / "pid"
    script = (
        "import subprocess, sys, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(child.pid))\n"
        "print('begun', flush=True)\n"
        "child.wait()"
    )
    with pytest.raises(deadline.Hung):
        deadline.run([sys.executable, "-c", script], 3, stdout=subprocess.PIPE)
    state = Path(f"/proc/{pid.read_text()}/stat")
    until = time.monotonic() + 10
    while state.exists() and state.read_text().split()[2] != "Z" and time.monotonic() < until:
        time.sleep(0.01)
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_a_command_that_ends_is_as_subprocess_runs_it() -> None:
    done = deadline.run([sys.executable, "-c", "print(6 * 7)"], 60, stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (0, "42\n")
    with pytest.raises(subprocess.CalledProcessError):
        deadline.run([sys.executable, "-c", "raise SystemExit(3)"], 60, check=True)


def test_a_contender_that_does_not_answer_is_killed() -> None:
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=time.sleep, args=(600,))
    process.start()
    with pytest.raises(deadline.Hung):
        deadline.answer(pipe, process, 0.1)
    assert process.exitcode is not None and process.exitcode < 0
    theirs.send(7)
    assert deadline.answer(pipe, process, 0.1) == 7


@pytest.mark.skipif(os.name == "nt", reason="uses the C library")
def test_a_process_ends_that_holds_pythons_lock_for_ever() -> None:
    # PyDLL keeps Python's lock while sleep() runs, so no thread or signal handler of Python could end it.
    script = (
        f"import sys, ctypes; sys.path.insert(0, {str(FOLDER)!r})\n"
        "import deadline; deadline.limit(0.2); ctypes.PyDLL(None).sleep(600)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "Timeout" in done.stderr


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.stem)
def test_every_benchmark_has_a_deadline(file: Path) -> None:
    """It has the option, and waits for nothing without a limit."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if file.stem not in PARTS:
        assert "add_deadline" in calls
    if file.stem != "deadline":
        waiting = {"subprocess.run", "subprocess.check_output", "subprocess.check_call", "asyncio.run"} & set(calls)
        assert waiting <= ({"asyncio.run"} if "asyncio.wait_for" in calls else set())
        bare = [
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("wait", "communicate", "join")
            and not node.args
            and not node.keywords
            and "process" in ast.unparse(node.func.value)
        ]
        assert not bare
