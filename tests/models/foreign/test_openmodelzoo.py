"""Open Model Zoo's person networks as networks of our own: the same embeddings as OpenVINO computes from the file."""

import shutil
from pathlib import Path

import pytest
import torch

import resight
from conftest import SHARED
from resight.cli.main import main
from resight.errors import ModelError
from resight.models.foreign import openmodelzoo

ZOO = SHARED / "weights" / "openvino"
PERSONS = {  # file, architecture, largest difference: 0265 is computed by OpenVINO with weights of 16 bits
    "person-reidentification-retail-0287": ("osnet_lct_x0_5", 1e-4),
    "person-reidentification-retail-0265.FP16": ("osnet_lct_x1_0", 1e-2),
}


def zoo(name: str) -> Path:
    file = ZOO / f"{name}.xml"
    if not file.is_file():
        pytest.skip(f"needs Open Model Zoo's {file}, which is not part of this project")
    return file


@pytest.mark.parametrize("name", PERSONS)
def test_the_same_embeddings_as_openvino(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = pytest.importorskip("openvino")
    architecture, most = PERSONS[name]
    monkeypatch.setattr("sys.argv", ["resight", "models", "import", str(zoo(name)), "-o", str(tmp_path / "ours")])
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    model = resight.load(tmp_path / "ours")
    assert (model.card.architecture, model.card.dim, model.card.metric) == (architecture, 256, "cosine")
    compiled = openvino.Core().compile_model(zoo(name), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    bgr = torch.randint(0, 256, (1, 3, 256, 128), generator=torch.Generator().manual_seed(1)).float()
    to = model.card.preprocessing
    mean, std = (torch.tensor(value)[:, None, None] for value in (to.mean, to.std))
    with torch.inference_mode():
        found = model.network((bgr.flip(1) / 255 - mean) / std).embedding
    torch.testing.assert_close(found, torch.from_numpy(compiled(bgr.numpy())[0]).view(1, -1), rtol=0, atol=most)


def test_other_files_are_refused(tmp_path: Path) -> None:
    detector = zoo("person-detection-retail-0013.FP32")
    with pytest.raises(ModelError, match="is neither person-reidentification-retail-0265"):
        openmodelzoo.read(detector)
    alone = shutil.copy(zoo("person-reidentification-retail-0287"), tmp_path)
    with pytest.raises(ModelError, match=r"with its \.bin beside it"):
        openmodelzoo.read(alone)
    (tmp_path / "person-reidentification-retail-0287.bin").write_bytes(b"cut short")
    with pytest.raises(ModelError, match="cannot be read"):
        openmodelzoo.read(alone)
    (tmp_path / "no.xml").write_text("<html>")
    with pytest.raises(ModelError, match="cannot be read"):
        openmodelzoo.read(tmp_path / "no.xml")
