"""A process is forked while a gallery is open: both go on, and nothing that either or another writes is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from resight import Gallery

Run = Callable[[Path, str], int]
TURNS = """
def turns():
    reader, writer = os.pipe()
    return lambda: os.read(reader, 1), lambda: os.write(writer, b"1")
"""
PARENT_CLOSES = """
if not os.fork():
    time.sleep(0.3)
    gallery.add(embeddings(2, seed=1))
    gallery.close()
    os._exit(0)
gallery.close()
assert os.wait()[1] == 0
"""
BESIDE_ANOTHER_PROGRAM = """
gallery.close()
opens, let_open = turns()
closes, let_close = turns()
writes, let_write = turns()
if not os.fork():
    opens()
    with Gallery.open(path) as other:
        other.add(embeddings(2, seed=1))
        let_write()
        closes()
    os._exit(0)
gallery = Gallery.open(path)
if not os.fork():
    writes()
    gallery.add(embeddings(3, seed=2))
    let_close()
    os._exit(0)
gallery.close()
let_open()
assert os.wait()[1] == os.wait()[1] == 0
"""
IN_THE_BACKGROUND = """
gallery.close()
ends, end = os.pipe()
if not os.fork():
    gallery = Gallery.open(path)
    if os.fork():
        os._exit(0)
    gallery.add(embeddings(2, seed=1))
    sys.exit()
os.close(end)
os.read(ends, 1)  # until both have ended
"""
WHILE_IT_READS = """
from resight.gallery.sqlite import forks
forks.PATIENCE = {patience}
begun = threading.Event()
def read():
    with gallery.store._connections.reading():
        begun.set()
        time.sleep(1.5)
thread = threading.Thread(target=read)
thread.start()
begun.wait()
if not os.fork():
    try:
        gallery.add(embeddings(2, seed=1))
    except Exception as error:
        os._exit(2 if "was in use when this process was forked" in str(error) else 3)
    os._exit(0)
code = os.waitstatus_to_exitcode(os.wait()[1])
thread.join()
gallery.add(embeddings(2, seed=2))
os._exit(code)
"""


@pytest.mark.parametrize(
    ("script", "records"),
    [(PARENT_CLOSES, 7), (BESIDE_ANOTHER_PROGRAM, 10), (IN_THE_BACKGROUND, 7), (WHILE_IT_READS.format(patience=60), 9)],
    ids=["parent closes", "beside another program", "in the background", "while a thread reads"],
)
def test_both_processes_go_on(tmp_path: Path, run: Run, script: str, records: int) -> None:
    path = tmp_path / "seen.db"
    assert run(path, TURNS + script) == 0
    with Gallery.open(path) as gallery:
        assert len(gallery) == records and gallery.check().problems == ()


def test_a_process_forked_while_a_thread_uses_the_gallery_for_long_does_not(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "seen.db"
    assert run(path, WHILE_IT_READS.format(patience=0.1)) == 2
    with Gallery.open(path) as gallery:
        assert len(gallery) == 7 and gallery.check().problems == ()
