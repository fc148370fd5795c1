"""``resight doctor``: limits of the machine, packages that do not fit, jobs that crash and hang."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resight.cli.main import app
from resight.doctor import folders, machine, packages, probes, run
from resight.doctor.finding import Finding
from resight.doctor.machine import Machine

EIGHT = Machine("EPYC", ("avx2",), "AVX2", processors=8, quota=None, threads=8, memory=32 << 30, free=16 << 30)


@pytest.mark.parametrize(
    ("changes", "environment", "said"),
    [
        ({}, {}, []),
        ({"threads": 4}, {"OMP_NUM_THREADS": "4"}, []),  # half of the logical processors are the real ones
        ({"quota": 2.0}, {}, ["OMP_NUM_THREADS=2"]),
        ({"quota": 1.5, "threads": 2}, {}, []),
        ({"processors": 4}, {}, ["8 threads, but only 4 processors"]),
        ({"threads": 1}, {"OMP_NUM_THREADS": "1"}, ["leaves 7 of 8 processors without work: unset OMP_NUM_THREADS"]),
        ({"threads": 1}, {}, []),
        ({"free": 10**9}, {}, ["Only 1.0 GB of memory are free"]),
        ({"free": None, "memory": None}, {}, []),
    ],
)
def test_limits_of_the_machine(changes: dict[str, object], environment: dict[str, str], said: list[str]) -> None:
    found = replace(EIGHT, **changes).findings(environment)  # type: ignore[arg-type]
    assert len(found) == len(said)
    for finding, part in zip(found, said, strict=True):
        assert finding.kind == "slow" and part in finding.sentence


def test_a_processor_without_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (finding,) = replace(EIGHT, widest="DEFAULT", features=("none",)).findings({})
    assert "no AVX2" in finding.sentence
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert not replace(EIGHT, widest="DEFAULT").findings({})


def test_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = machine.machine()
    affinity = getattr(os, "sched_getaffinity", None)
    assert here.processors == (len(affinity(0)) if affinity else os.cpu_count())
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("2000000000\n")
    (tmp_path / "memory.current").write_text("500000000\n")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    limited = machine.machine()
    assert limited.quota == 1.5
    if here.memory is not None:
        assert limited.memory == 2_000_000_000 and limited.free is not None and limited.free <= 1_500_000_000
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.machine().quota is None
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    for name, value in (("quota", "300000"), ("period", "100000")):
        (tmp_path / "cpu" / f"cpu.cfs_{name}_us").write_text(value)
    assert machine.machine().quota == 3.0
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1")
    assert machine.machine().quota is None


NEEDS = [
    "numpy>=2.0",
    "torch>=2.5",
    'resight[gallery]; extra == "serve"',
    'fastapi>=0.115; extra == "serve"',
    'faiss-cpu>=1.9; extra == "gallery"',
    'av>=15; python_version < "3"',
]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Installed packages and their versions."""
    found = {"numpy": "2.1", "torch": "2.6.0+cpu", "faiss-cpu": "1.9.0", "fastapi": "0.120"}

    def version(name: str) -> str:
        if name not in found:
            raise PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(packages, "version", version)
    monkeypatch.setattr(packages, "requires", lambda name: NEEDS)
    monkeypatch.setattr(packages, "metadata", lambda name: _Extras())
    yield found


class _Extras:
    def get_all(self, name: str) -> list[str]:
        return {"Provides-Extra": ["gallery", "serve", "dev", "docs"]}[name]


def test_packages_that_do_not_fit(there: dict[str, str]) -> None:
    assert packages.findings() == [] and packages.extras() == {"gallery": "", "serve": ""}
    there["numpy"] = "1.26.4"
    del there["faiss-cpu"]
    (finding,) = packages.findings()
    assert finding == Finding(
        "broken", "numpy 1.26.4 is installed instead of numpy>=2.0, which resight needs: pip install 'numpy>=2.0'."
    )
    missing = "faiss-cpu is not installed"
    assert packages.extras() == {"gallery": missing, "serve": missing}
    there |= {"numpy": "2.0", "opencv-python": "4.9", "opencv-python-headless": "4.10"}
    (finding,) = packages.findings()
    assert "opencv-python and opencv-python-headless are both installed" in finding.sentence


def test_the_real_packages_fit() -> None:
    assert packages.findings() == []
    assert {"onnx", "serve", "parquet"} <= packages.extras().keys() and "dev" not in packages.extras()


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    assert folders.findings() == []
    (tmp_path / "cache" / "engines").mkdir(parents=True)
    (tmp_path / "cache" / "engines" / "a.onnx").write_bytes(bytes(3_000_000))
    assert "engines 3 MB" in folders.facts()["cache"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "file"))
    (finding,) = folders.findings()
    assert "set the environment variable RESIGHT_CACHE" in finding.sentence
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(folders, "LITTLE_SPACE", 1e30)
    (finding,) = folders.findings()
    assert "free some space" in finding.sentence


@pytest.mark.parametrize("name", [name for name in probes.PROBES if not name.startswith("engine")])
def test_probes_pass_here(name: str) -> None:
    found = probes.PROBES[name]()
    assert found.get("works") == "yes" or "gpu" in found


def test_a_probe_notices_wrong_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    from resight.images import decode
    from resight.retrieval.evaluation import evaluate

    honest = decode.decode_bytes
    monkeypatch.setattr(decode, "decode_bytes", lambda data, name: honest(data, name)[..., ::-1])
    with pytest.raises(ValueError, match="pixels of a PNG differ"):
        probes.decoding()
    real = evaluate.evaluate
    monkeypatch.setattr(evaluate, "evaluate", lambda a, b: replace(real(a, b), mAP=0.5))
    with pytest.raises(ValueError, match=r"mAP 50\.0%"):
        probes.evaluation()


def test_jobs_that_fail_crash_and_hang_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stand_in(script: str) -> None:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(program))

    stand_in('echo noise; echo \'{"works": "yes"}\'')
    assert probes.probe("video") == {"works": "yes"}
    stand_in("echo Traceback >&2; echo 'ImportError: libGL.so.1: not found' >&2; exit 1")
    assert probes.probe("video") == Finding(
        "broken",
        "Video does not work (ImportError: libGL.so.1: not found): pip install --force-reinstall av.",
    )
    stand_in("kill -ILL $$")
    finding = probes.probe("engine onnx")
    assert isinstance(finding, Finding) and "was ended by SIGILL" in finding.sentence
    stand_in("exec sleep 20")
    finding = probes.probe("gpu", patience=0.2)
    assert isinstance(finding, Finding) and "did not end within 0.2 s" in finding.sentence


def test_a_job_runs_in_a_process_of_its_own() -> None:
    assert probes.probe("decoding") == {"works": "yes"}


@pytest.mark.parametrize(
    ("found", "nvidia", "part"),
    [
        ({"gpu": "H200, 140 GB", "built for": "12.8"}, True, ""),
        ({"gpu": "", "built for": "", "reason": ""}, False, ""),
        ({"gpu": "", "built for": "", "reason": ""}, True, "torch is built for the processor only"),
        ({"gpu": "", "built for": "12.8", "reason": "driver too old"}, True, "cannot use it (driver too old)"),
        ({}, True, ""),
    ],
)
def test_gpus_that_are_not_used(
    found: dict[str, str], nvidia: bool, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: nvidia)
    monkeypatch.setattr("shutil.which", lambda name: None)
    said = run._of_gpu(found)
    assert [part in finding.sentence for finding in said] == ([True] if part else [])


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    works: dict[str, dict[str, str] | Finding] = {
        "decoding": {"works": "yes"},
        "gpu": {"gpu": "", "built for": "", "reason": ""},
    }
    monkeypatch.setattr(run, "probe_all", lambda names, progress: works)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == 0 and told["facts"]["Works"] == {"decoding": "yes"}
    assert all(finding["kind"] == "slow" for finding in told["findings"])
    works["video"] = Finding("broken", "Video does not work (why): cure.")
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1 and "Broken: Video does not work (why): cure." in done.stdout
