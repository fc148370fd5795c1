"""Public models by name: served from a local HTTP server, checked, resumed, refused."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import resight
from conftest import SHARED
from resight.cli.main import main
from resight.errors import ModelError
from resight.models.summary import summarise
from resight.models.zoo import catalog
from resight.models.zoo.catalog import Entry, entry, names
from resight.models.zoo.fetch import fetch

OPENVINO = SHARED / "weights" / "openvino"


class Server(ThreadingHTTPServer):
    """Serves a folder with ranges; ``cut`` ends each answer after so many bytes, ``asked`` has the ranges."""

    cut: int | None = None
    asked: list[str]


class Handler(SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = Path(self.directory) / self.path.strip("/")
        if path.name == "moved":
            self.send_response(302)
            self.send_header("Location", "/login.html")
            self.end_headers()
            return
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.server.asked.append(self.headers.get("Range", ""))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        self.wfile.write(body if self.server.cut is None else body[: self.server.cut])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RESIGHT_ZOO", raising=False)
    server = Server(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, folder
    server.shutdown()
    server.server_close()


def publish(monkeypatch: pytest.MonkeyPatch, server: Server, content: bytes, **changes: Any) -> None:
    """An entry ``thing`` with one file of this content."""
    file = {
        "name": "thing.onnx",
        "url": f"http://127.0.0.1:{server.server_port}/thing.onnx",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    known = {"title": "A thing", "kind": "detector", "licences": {}, "files": [file | changes]}
    monkeypatch.setattr(catalog, "_files", lambda: {"thing": known})


CONTENT = bytes(np.random.default_rng(0).integers(0, 256, 900_000, np.uint8))


def test_every_entry_is_valid() -> None:
    assert len(names()) >= 30 and names("person-reid*0287") == ["person-reidentification-retail-0287"]
    for name in names():
        one = entry(f"zoo:{name}")
        assert one.title and all(file.url.startswith("https://") for file in one.files)
        assert one.kind != "re-id" or one.preprocessing is not None
        stems = {file.name.rsplit(".", 1)[0] for file in one.files}
        assert len(stems) == 1, "an OpenVINO model finds its weights by its own name"
    with pytest.raises(ModelError, match="did you mean person-reidentification-retail-0287"):
        entry("person-reidentification-retail-287")
    with pytest.raises(ValueError, match="sha256 or sha384"):
        Entry.model_validate(
            {"title": "x", "kind": "re-id", "licences": {}, "files": [{"name": "a", "url": "b", "bytes": 1}]}
        )


def test_the_list_has_parameters_and_multiply_adds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0287 is an OSNet-LCT x0.5, whose products resight counts itself; the published figure counts norms too."""
    monkeypatch.setattr("sys.argv", ["resight", "models", "list", "--zoo", "*retail-02*"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if "MB" in line}
    shown = re.search(r"([\d.]+) M +([\d,]+) M ", lines["person-reidentification-retail-0287"])
    counted = summarise("osnet_lct_x0_5")
    assert shown is not None and float(shown[1]) == round(counted.parameters / 1e6, 1)
    assert float(shown[2]) == pytest.approx(counted.multiply_adds / 1e6, rel=0.05)
    assert all(re.search(r" M +[\d,]+ M ", line) for line in lines.values()) and len(lines) > 5


def test_what_is_measured_names_its_command() -> None:
    measured = {name: one.measured for name in names() if (one := entry(name)).measured}
    assert len(measured) >= 2 and all(f"resight evaluate zoo:{name} " in words for name, words in measured.items())


def test_downloaded_once_then_offline(served: tuple[Server, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    server, folder = served
    (folder / "thing.onnx").write_bytes(CONTENT)
    publish(monkeypatch, server, CONTENT)
    steps: list[tuple[int, int]] = []
    path = fetch("zoo:thing", lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == CONTENT and steps[-1] == (len(CONTENT), len(CONTENT))
    server.shutdown()
    assert fetch("thing") == path and len(server.asked) == 1


def test_a_download_cut_short_goes_on(served: tuple[Server, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    server, folder = served
    (folder / "thing.onnx").write_bytes(CONTENT)
    publish(monkeypatch, server, CONTENT)
    server.cut = 300_000
    with pytest.raises(ModelError, match=r"ended after 300,000 of 900,000 bytes: run the command again to resume"):
        fetch("thing")
    server.cut = None
    assert fetch("thing").read_bytes() == CONTENT
    assert server.asked == ["", "bytes=300000-"]


def test_another_file_is_not_kept(served: tuple[Server, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, folder = served
    (folder / "thing.onnx").write_bytes(CONTENT[:-1] + b"x")
    (folder / "login.html").write_bytes(b"<html>please log in</html>")
    publish(monkeypatch, server, CONTENT)
    with pytest.raises(ModelError, match=r"another file than the published one .*nothing was kept"):
        fetch("thing")
    publish(monkeypatch, server, CONTENT, url=f"http://127.0.0.1:{server.server_port}/moved")
    with pytest.raises(ModelError, match=r"gives 26 bytes .*login\.html, not the published 900,000"):
        fetch("thing")
    publish(monkeypatch, server, CONTENT, url=f"http://127.0.0.1:{server.server_port}/none.onnx")
    with pytest.raises(ModelError, match="answers 404"):
        fetch("thing")
    publish(monkeypatch, server, CONTENT, url="http://127.0.0.1:9/thing.onnx")
    with pytest.raises(ModelError, match="cannot be reached"):
        fetch("thing")
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_files_brought_by_hand(served: tuple[Server, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, _ = served
    publish(monkeypatch, server, CONTENT)
    (tmp_path / "hand" / "thing").mkdir(parents=True)
    (tmp_path / "hand" / "thing" / "thing.onnx").write_bytes(CONTENT)
    monkeypatch.setenv("RESIGHT_ZOO", str(tmp_path / "hand"))
    assert fetch("thing") == tmp_path / "hand" / "thing" / "thing.onnx"
    (tmp_path / "hand" / "thing" / "thing.onnx").write_bytes(CONTENT[:9])
    with pytest.raises(ModelError, match="is not the published file"):
        fetch("thing")
    assert (tmp_path / "hand" / "thing" / "thing.onnx").exists() and not server.asked


def test_a_real_model_by_name(served: tuple[Server, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """0265 from a server, with its published hashes: OpenVINO's own embeddings."""
    name = "person-reidentification-retail-0265-fp16"
    local = "person-reidentification-retail-0265.FP16"
    if not (OPENVINO / f"{local}.xml").is_file():
        pytest.skip(f"needs {name} in {OPENVINO}, which may not be passed on")
    server, folder = served
    known = entry(name).model_dump(exclude_none=True)
    for file in known["files"]:
        source = OPENVINO / file["name"].replace(name, local)
        (folder / file["name"]).write_bytes(source.read_bytes())
        file["url"] = f"http://127.0.0.1:{server.server_port}/{file['name']}"
    monkeypatch.setattr(catalog, "_files", lambda: {name: known})
    model = resight.load(f"zoo:{name}")
    assert model.card.dim == 256 and model.card.preprocessing.colour == "BGR"
    assert "Open Model Zoo" in model.card.licences.weights and model.card.fingerprint
    x = torch.rand(2, 3, 256, 128) * 255
    with torch.inference_mode():
        ours = model.network(x).embedding
    import openvino

    compiled = openvino.compile_model(str(OPENVINO / f"{local}.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    theirs = np.concatenate([compiled([one[None]])[0].reshape(1, -1) for one in x.numpy()])
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-3, atol=1e-3)
    with pytest.raises(ModelError, match="pass only its name"):
        resight.load(f"zoo:{name}", height=64)
