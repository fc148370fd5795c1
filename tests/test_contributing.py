"""What CONTRIBUTING.md shows is written to the files it names, and then used."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import resight
from conftest import write_noise

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
USE = """
import numpy as np, torch, resight
from resight.training import recipe as recipes
from resight.training.losses import LOSSES, Target
from resight.watch import detectors

data = resight.datasets.load("my_data", "data")
assert (len(data.train), data.query.identities.tolist(), data.gallery.cameras.tolist()) == (2, [2], [3])

network = resight.models.create("my_net", num_identities=5, dim=6)
out = network(torch.ones(2, 3, 64, 32))
assert out.embedding.shape == (2, 6) and out.logits[0].shape == (2, 5)
assert resight.load("my_net").card.preprocessing.height == 64
assert resight.Embedder(resight.load("my_net"))(data.query).vectors.shape == (1, 8)

recipe = recipes.parse({"name": "r", "data": {"name": "my_data", "root": "data"}, "model": {"name": "my_net"},
                        "losses": [{"name": "short", "weight": 0.5}], "phases": [{"epochs": 1}]})
(loss,) = recipe.losses
assert type(loss) is LOSSES["short"] and loss.weight == 0.5
value = loss(out, Target(torch.zeros(2, dtype=torch.int64), torch.ones(2, 3, 64, 32)), {})
assert torch.isclose(value, (out.embedding ** 2).sum(1).mean())


class Network:
    shape = (8, 8)
    def run(self, image): return np.full((1, 1), 0.75, np.float32)
    def each(self, frames, detect): return [detect(frame) for frame in frames]


class Frame:
    pixels = np.zeros((40, 80, 3), np.uint8)


(detector,) = filter(None, (opened(Network()) for opened in detectors.KINDS if "middle" in opened.__module__))
(found,) = detector([Frame()])
assert found.boxes.tolist() == [[20, 10, 60, 30]]
assert (found.scores.tolist(), found.kinds.tolist()) == ([0.75], ["person"])
"""


def test_what_it_shows_works(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n# src/(\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    shutil.copytree(Path(resight.__file__).parent, tmp_path / "resight", ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in blocks:
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(code, encoding="utf-8")
    for at, name in enumerate(("train/1_1_0", "train/1_2_1", "query/2_1_0", "gallery/2_3_0")):
        write_noise(tmp_path / "data" / f"{name}.jpg", seed=at)
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_drawing_has_every_room_on_its_floor() -> None:
    from test_floors import FLOORS

    drawing = re.search(r"nothing imports upwards:\n\n```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert drawing
    lines = [
        set(re.split(r" {2,}", line)[0].split(" | ")) for line in drawing[1].splitlines() if not line.startswith(" ")
    ]
    assert lines == [rooms for rooms in reversed(FLOORS) if rooms != {"__main__"}]
