"""What is exported does what the model does, or is not written."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import resight
import tiny
from conftest import write_noise
from limits import files_no_larger_than
from peers import scramble
from resight.embedding.embedder import Embedder
from resight.embedding.engines.make import installed
from resight.embedding.export import run as module
from resight.embedding.export.parity import compare
from resight.embedding.export.quantise import quantise, sensitive, stages
from resight.embedding.export.run import SUFFIXES, Format, export
from resight.embedding.export.samples import Samples, samples
from resight.errors import DataError, ModelError, RecipeError, ResightError
from resight.models.card import card_path
from resight.models.model import Model
from resight.models.networks import resnet
from resight.records import Embeddings, Split

HEIGHT, WIDTH = 64, 32


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    tiny.install(monkeypatch)


def scrambled(name: str) -> Model:
    torch.manual_seed(0)
    made = resight.load(name, height=HEIGHT, width=WIDTH)
    scramble(made.network)
    fingerprint = resight.models.weights.fingerprint(made.network, made.card)  # type: ignore[attr-defined]
    return Model(made.network, made.card.model_copy(update={"fingerprint": fingerprint, "threshold": 0.3}))


@pytest.fixture
def model(cache: None) -> Model:
    return scrambled("tiny")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of synthetic people."""
    root = tmp_path_factory.mktemp("drawn") / "people"
    resight.datasets.load("synthetic", root, identities=8, cameras=2, seed=2)
    return root


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Crops that nobody labelled."""
    for seed in range(12):
        write_noise(tmp_path / "crops" / f"{seed}.jpg", HEIGHT, WIDTH, seed)
    return tmp_path / "crops"


def need(*engines: str) -> None:
    for engine in engines:
        if engine not in installed():
            pytest.skip(f"{engine} is not installed")


def rankings(model: Model, root: Path) -> list[list[int]]:
    with samples(root) as given:
        query, gallery = (Embedder(model, device="cpu")(part).vectors for part in (given.query, given.gallery))
    return np.argsort(((query[:, None] - gallery[None]) ** 2).sum(2), axis=1)[:, :5].tolist()


@pytest.mark.parametrize("to", ["onnx", "openvino", "torchscript"])
def test_what_is_exported_is_the_model(model: Model, people: Path, tmp_path: Path, to: Format) -> None:
    need(*({to} & {"onnx", "openvino"}), *(["onnx"] if to == "openvino" else []))
    done = export(model, to, tmp_path / "out" / f"reid{SUFFIXES[to]}", images=people)
    assert done.parity.error < 1e-5 and done.parity.overlap == 1 and abs(done.parity.loss) < 0.01
    names = {f"reid{SUFFIXES[to]}", f"reid{SUFFIXES[to]}.card.json"} | ({"reid.bin"} if to == "openvino" else set())
    assert {file.name for file in done.path.parent.iterdir()} == names
    again = resight.load(done.path)
    assert again.card.fingerprint == model.card.fingerprint, "its embeddings may be compared with the model's"
    assert (again.card.dim, again.card.threshold) == (48, 0.3) and again.card.preprocessing.height == HEIGHT
    assert rankings(again, people) == rankings(model, people)
    x = torch.randn(9, 3, HEIGHT, WIDTH)  # any batch
    with torch.inference_mode():
        for batch in (1, 9):
            wanted, found = model.network.eval()(x[:batch]).embedding, again.network(x[:batch]).embedding
            assert float((wanted - found).abs().max()) <= 1e-4 * float(wanted.abs().max())
    card_path(done.path).unlink()  # the card inside the file will do; without the outer one it is a model of its own
    alone = resight.load(done.path).card
    assert alone.preprocessing == model.card.preprocessing and alone.fingerprint != model.card.fingerprint


def test_another_program_reads_the_card_in_the_file(model: Model, people: Path, tmp_path: Path) -> None:
    need("onnx")
    import onnxruntime

    done = export(model, "onnx", tmp_path / "reid.onnx", images=people)
    session = onnxruntime.InferenceSession(done.path)
    told = json.loads(session.get_modelmeta().custom_metadata_map["resight.card"])
    assert told["architecture"] == "tiny" and told["preprocessing"]["width"] == WIDTH
    assert session.get_inputs()[0].shape == ["batch", 3, HEIGHT, WIDTH]
    pixels = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)
    to = told["preprocessing"]  # prepared by hand, as the card says
    x = (pixels / to["scale"] - to["mean"]) / to["std"]
    found = session.run(["embedding"], {"images": x.transpose(0, 3, 1, 2).astype(np.float32)})[0]
    wanted = Embedder(model, "torch", device="cpu")(list(pixels)).vectors
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_eight_bits_lose_little_and_are_another_model(
    people: Path, tmp_path: Path, to: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(to, "onnx")
    monkeypatch.setitem(resnet.LAYERS, 18, (1, 1, 1, 1))
    model = scrambled("bot_resnet18")
    float_size = export(model, to, tmp_path / f"float{SUFFIXES[to]}", images=people).path
    done = export(model, to, tmp_path / f"small{SUFFIXES[to]}", int8=True, images=people, limit=100)
    assert 0.9 < done.parity.cosine < 0.99999 and done.parity.error > 1e-4
    weights = [path if to == "onnx" else path.with_suffix(".bin") for path in (done.path, float_size)]
    assert weights[0].stat().st_size < 0.4 * weights[1].stat().st_size
    card = resight.load(done.path).card
    assert card.fingerprint != model.card.fingerprint and card.threshold is None and card.metrics == ()


def test_what_loses_too_much_is_not_written(
    model: Model, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("onnx")

    def ruined(source: Path, target: Path, images: object, *, keep: object = ()) -> None:
        import onnx

        graph = onnx.load(source)
        kept = tuple(keep)  # type: ignore[call-overload]
        first = {n.input[1] for n in graph.graph.node if n.op_type == "Conv" and n.name.startswith("/network/one")}
        for weight in graph.graph.initializer:
            if weight.name in first and not any("one" in part for part in kept):
                half = len(weight.raw_data) // 2  # of the filters
                weight.raw_data = bytes(half) + weight.raw_data[half:]
        onnx.save(graph, target)

    monkeypatch.setattr(module, "quantise", ruined)
    monkeypatch.setattr(module, "stages", lambda _: ["/network/end/"])
    path = tmp_path / "reid.onnx"
    path.write_text("what was there before")
    with pytest.raises(ModelError, match=r"reid\.onnx was not written, for it differs too much") as told:
        export(model, "onnx", path, int8=True, images=people, limit=0)
    assert "limit 0 points" in str(told.value) and path.read_text() == "what was there before"
    assert not card_path(path).exists()
    forced = export(model, "onnx", path, int8=True, images=people, limit=0, force=True)
    assert forced.parity.cosine < 0.9 and resight.load(path).card.dim == 48
    monkeypatch.setattr(module, "stages", lambda _: ["/network/end/", "/network/one/"])
    mended = export(model, "onnx", tmp_path / "mended.onnx", int8=True, images=people, limit=0)
    assert mended.kept_float == ("/network/one/",) and mended.parity.overlap == 1


def test_what_stays_float(model: Model, tmp_path: Path) -> None:
    need("onnx")
    import onnx

    from resight.embedding.engines.convert import to_onnx

    torch.manual_seed(0)
    network = resight.load("osnet_x0_25", height=32, width=16)
    to_onnx(network, tmp_path / "a.onnx")
    kept = sensitive(tmp_path / "a.onnx")
    gates = [name for name in kept if "/gate/" in name]
    assert len(gates) == 6 * 4 * 2 and "/network/conv1/conv/Conv" in kept and "/network/fc/fc.0/Gemm" in kept
    assert len([name for name in kept if name.endswith("Conv")]) == len(gates) + 1
    assert stages(tmp_path / "a.onnx") == [f"/network/{part}/" for part in (*(f"conv{i}" for i in range(1, 6)), "fc")]
    images = np.random.default_rng(0).normal(size=(4, 3, 32, 16)).astype(np.float32)
    quantise(tmp_path / "a.onnx", tmp_path / "b.onnx", images, keep=["/network/conv3/"])
    nodes = {node.name: node for node in onnx.load(tmp_path / "b.onnx").graph.node}

    def is_small(name: str) -> bool:
        return "DequantizeLinear" in nodes[name].input[1]  # its weights

    assert not is_small("/network/conv1/conv/Conv") and not is_small("/network/conv3/conv3.0/conv1/conv/Conv")
    assert is_small("/network/conv4/conv4.0/conv1/conv/Conv") and is_small("/network/conv5/conv/Conv")


# ---- the comparison


def test_parity_by_hand() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 14, 6)).astype(np.float32)
    b = a + 0.3 * b
    who, camera = np.arange(14) % 4 + 1, np.arange(14) // 7 + 1
    halves = [slice(0, 3), slice(3, 14)]
    splits = [Split(np.arange(14).astype(str)[part], who[part], camera[part]) for part in halves]
    given = Samples(splits[0], *splits, "single_camera", labelled=True)
    both = [tuple(Embeddings(v[part], who[part], camera[part]) for part in halves) for v in (a, b)]
    found = compare(*both, given, "cosine")  # type: ignore[arg-type]

    def unit(v: np.ndarray) -> np.ndarray:
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    def order(v: np.ndarray) -> np.ndarray:
        return np.argsort(-unit(v[:3]) @ unit(v[3:]).T, axis=1)

    def mean_average_precision(v: np.ndarray) -> float:
        out = []
        for query, row in enumerate(order(v)):
            hits = who[3:][row] == who[query]
            out.append(np.mean([hits[: at + 1].mean() for at in np.flatnonzero(hits)]))
        return float(np.mean(out))

    ten = [len(set(x[:10]) & set(y[:10])) / 10 for x, y in zip(order(a).tolist(), order(b).tolist(), strict=True)]
    assert found.overlap == pytest.approx(np.mean(ten)) and found.images == 14
    assert found.error == pytest.approx(np.abs(unit(a) - unit(b)).max(), rel=1e-5)
    assert found.cosine == pytest.approx((unit(a - a.mean(0)) * unit(b - b.mean(0))).sum(1).mean(), rel=1e-5)
    assert (found.before, found.after) == pytest.approx((mean_average_precision(a), mean_average_precision(b)))
    assert found.loss == pytest.approx(100 * (mean_average_precision(a) - mean_average_precision(b)))
    unknown = compare(*both, Samples(splits[0], *splits, "single_camera", labelled=False), "cosine")  # type: ignore[arg-type]
    assert unknown.before is None and unknown.loss == pytest.approx(100 * (1 - np.mean(ten)))


def test_samples(people: Path, crops: Path, tmp_path: Path) -> None:
    with samples(people) as given:
        assert given.labelled and set(given.query.identities) <= set(given.gallery.identities)
        assert not set(given.calibration.identities) & set(given.query.identities)
    with samples(crops) as given:
        parts = [set(part.paths.tolist()) for part in (given.calibration, given.query, given.gallery)]
        assert not given.labelled and [len(part) for part in parts] == [4, 4, 4] and len(set.union(*parts)) == 12
    (tmp_path / "few").mkdir()
    write_noise(tmp_path / "few" / "a.jpg")
    with pytest.raises(DataError, match="few holds 1 images, but at least 4 are needed"), samples(tmp_path / "few"):
        pass
    with samples() as given:
        assert given.labelled and len(given.calibration) > 50 and len(given.query) > 20


# ---- what cannot be done


def test_requests_that_make_no_sense(model: Model, crops: Path, tmp_path: Path) -> None:
    need("onnx")
    refused = {
        "There is no format 'tflite': choose onnx, openvino, torchscript": {"to": "tflite"},
        r"a\.pt is to be onnx, so its name must end in \.onnx": {"to": "onnx", "output": "a.pt"},
        "TorchScript is written in float only": {"to": "torchscript", "int8": True},
    }
    for message, arguments in refused.items():
        with pytest.raises(RecipeError, match=message):
            export(model, **arguments)  # type: ignore[arg-type]
    exported = resight.load(export(model, "torchscript", tmp_path / "a.torchscript", images=crops).path)
    with pytest.raises(ModelError, match=r"a\.torchscript cannot be written as onnx: start from weights"):
        export(exported, "onnx", tmp_path / "b.onnx", images=crops)


def test_a_full_disk_leaves_what_was_there(model: Model, crops: Path, tmp_path: Path) -> None:
    need("onnx")
    done = export(model, "onnx", tmp_path / "out" / "reid.onnx", images=crops)
    before = {file.name: file.read_bytes() for file in done.path.parent.iterdir()}
    real = module.shutil.copyfile

    def full(source: Path, target: Path) -> object:
        with files_no_larger_than(10_000):
            return real(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.shutil, "copyfile", full)
        with pytest.raises(ResightError, match=r"reid\.onnx cannot be written"):
            export(model, "onnx", done.path, images=crops)
    assert {file.name: file.read_bytes() for file in done.path.parent.iterdir()} == before
