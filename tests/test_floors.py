"""The house stands in floors: a room imports from the floors below its own, never from beside or above it."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import resight

HOUSE = Path(resight.__file__).parent
FLOORS = (
    {
        "records",
        "dataframes",
        "labels",
        "engines",
        "errors",
        "beginnings",
        "paths",
        "files",
        "pools",
        "secrets",
        "addresses",
        "yaml_text",
        "texts",
        "counted",
        "locks",
        "from_zero",
    },
    {"datasets", "models", "retrieval"},
    {"images"},
    {"embedding"},
    {"decisions", "clustering", "attributes"},
    {"training"},
    {"gallery", "course"},
    {"watch", "report", "integrations"},
    {"adaptation"},
    {"server"},
    {"demo", "doctor", "quickstart"},
    {"cli"},
    {"__main__"},
)
GROUND = {
    "engines": 0,
    "errors": 0,
    "beginnings": 0,
    "pools": 0,
    "secrets": 0,
    "paths": 1,
    "files": 2,
    "addresses": 1,
    "dataframes": 1,
    "labels": 1,
    "texts": 0,
    "counted": 0,
    "locks": 0,
    "yaml_text": 1,
    "records": 2,
    "from_zero": 3,
}  # the ground floor has a step of its own
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imports(file: Path) -> set[str]:
    """Full names of everything a file imports, also within functions; type-checking imports count too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "resight":
            found.add(f"resight.{node.attr}")  # what a bare ``import resight`` is used for
    return found - {"resight"}


def files() -> dict[Path, str]:
    """Every file but the public face, with the room it stands in."""
    everything = {file: file.relative_to(HOUSE).parts[0].removesuffix(".py") for file in HOUSE.rglob("*.py")}
    return {file: room for file, room in everything.items() if room != "__init__"}


def test_nothing_imports_upwards_or_sideways() -> None:
    wrong = []
    for file, room in files().items():
        assert room in FLOOR, f"{room} is on no floor: add it to FLOORS"
        for name in imports(file):
            package, _, rest = name.partition(".")
            other = rest.split(".")[0]
            if package != "resight" or other == room or other == "__version__":
                continue
            if {room, other} <= GROUND.keys():
                below = GROUND[other] < GROUND[room]
            else:
                below = FLOOR.get(other, len(FLOORS)) < FLOOR[room]  # the public face stands above everything
            if not below:
                wrong.append(f"{file.relative_to(HOUSE)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_datasets_and_retrieval_do_not_know_torch() -> None:
    for file, room in files().items():
        if room in ("datasets", "retrieval", *FLOORS[0]):
            assert not [name for name in imports(file) if name.split(".")[0] == "torch"], file


def test_the_public_face_imports_nothing_heavy() -> None:
    script = (
        "import resight, sys; heavy = {'torch', 'cv2', 'accelerate', 'matplotlib'}; "
        "assert not heavy & sys.modules.keys(), 'import resight'; "
        "assert 'market1501' in resight.datasets.names(); assert 'torch' not in sys.modules, 'resight.datasets'; "
        "resight.evaluate; assert 'torch' not in sys.modules, 'resight.evaluate'; "
        "heavy = {'torch', 'scipy.special', 'scipy.sparse'}; resight.Gallery, resight.models.Card; "
        "assert not heavy & sys.modules.keys(), 'resight.Gallery'; "
        "import resight.images.check; assert 'torch' not in sys.modules, 'resight data check'; "
        "assert resight.models.registry.preprocessing('resnet50').height == 256; "
        "assert not any(hasattr(resight.models, name) for name in ('nothing', 'nothing.more', 'registry.create')); "
        "missing = [name for name in resight.__all__ if not hasattr(resight, name)]; assert not missing, missing"
    )
    run(script)


def test_the_hints_of_the_public_face_can_be_looked_up() -> None:
    """As programs do that make forms and services of functions; those of a gallery without torch."""
    script = (
        "import inspect, resight, sys, typing\n"
        "def look(face):\n"
        "    calls = inspect.getmembers(face, inspect.isfunction) if inspect.isclass(face) else [('', face)]\n"
        "    return {name: typing.get_type_hints(call) for name, call in calls}\n"
        "hints = look(resight.Gallery) | look(resight.Gallery.open)\n"
        "assert resight.Embeddings in typing.get_args(hints['search']['query']) and 'torch' not in sys.modules\n"
        "assert 'colour' in look(resight.Embedder)['__call__'] and look(resight.same) and look(resight.train)\n"
        "[look(getattr(resight, name)) for name in resight.__all__]\n"
    )
    run(script)


def run(script: str) -> None:
    """A script in a Python of its own, which must end well."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def modules() -> dict[str, Path]:
    """Every file of the package by its dotted name."""
    dotted = {
        file: ".".join(("resight", *file.relative_to(HOUSE).with_suffix("").parts)) for file in HOUSE.rglob("*.py")
    }
    return {name.removesuffix(".__init__"): file for file, name in dotted.items()}


def test_no_two_files_import_each_other() -> None:
    """No circle of imports of any length, counting those within functions and for types alone."""
    known = modules()
    edges: dict[str, set[str]] = {}
    for name, file in known.items():
        edges[name] = set()
        for imported in imports(file):
            while imported not in known and imported:
                imported = imported.rpartition(".")[0]
            edges[name] |= {imported} - {name, "", "resight"}
    try:
        tuple(TopologicalSorter(edges).static_order())
    except CycleError as circle:
        raise AssertionError(" imports ".join(reversed(circle.args[1]))) from None


def test_rooms_and_files_stay_small() -> None:
    for folder in {file.parent for file in HOUSE.rglob("*.py")}:
        assert len(list(folder.glob("*.py"))) <= 21, f"{folder} has more than 20 files beside __init__.py: make rooms"
    for file in HOUSE.rglob("*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, f"{file} has more than 400 lines"
