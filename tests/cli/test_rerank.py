"""``resight evaluate --rerank`` on synthetic people."""

import json
from pathlib import Path

import pytest

import resight
from resight.cli.main import main
from resight.embedding.measure import measure

Captured = pytest.CaptureFixture[str]


def shell(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["resight", "evaluate", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_measures_with_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured) -> None:
    data = resight.datasets.load("synthetic", tmp_path / "people", identities=10, cameras=3, images_per_camera=2)
    resight.load("osnet_x0_25", height=64, width=32).save(tmp_path / "model.safetensors")
    given = (tmp_path / "model.safetensors", tmp_path / "people")

    assert shell(monkeypatch, *given, "--rerank", "--k1", 5, "--lambda", 0.4, "--metric", "euclidean", "--json") == 0
    usual, again = json.loads(capfd.readouterr().out)
    query, gallery, _ = measure(resight.load(given[0]), data)
    assert (usual["rerank"], again["rerank"]) == ("", "k-reciprocal k1=5 k2=6 lambda=0.4")
    assert usual["mAP"] == pytest.approx(resight.evaluate(query, gallery).mAP, abs=1e-6)
    wanted = resight.evaluate(query, gallery, rerank=resight.KReciprocal(k1=5, lambda_value=0.4))
    assert again["mAP"] == pytest.approx(wanted.mAP, abs=1e-6)

    assert shell(monkeypatch, *given, "--rerank", "--metric", "cosine", "--metric", "euclidean") == 0
    lines = capfd.readouterr().out.strip().splitlines()
    assert len(lines) == 4 and ["k-reciprocal k1=20 k2=6 lambda=0.3;" in line for line in lines] == [False, True] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--k1", 5), "add --rerank"),
        (("--rerank", "--lambda", 2), "The lambda of re-ranking is 2.0"),
        (("--rerank", "--repeats", 2), "leave out --repeats or --rerank"),
    ],
)
def test_refusals(
    arguments: tuple[object, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured
) -> None:
    assert shell(monkeypatch, "osnet_x0_25", tmp_path, *arguments) == 2
    assert message in capfd.readouterr().err
