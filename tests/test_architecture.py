"""The house of jobrunner: who may import whom. The modules are parsed, not imported."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "jobrunner"

#: From top to bottom; imports run downwards or stay on their floor. The vocabulary is every file
#: directly in the package but runner.py, application.py and __init__.py, and the schedules; the
#: others are folders.
FLOORS = (
    "__init__",
    "runner",
    "application",
    "faces",
    "testing",
    "hosting",
    "engine",
    "store",
    "database",
    "vocabulary",
)
#: A word that takes more than a file.
WORDS = {"schedules"}
#: Neighbours rather than floors: neither knows the other.
STRANGERS = {("store", "database"), ("database", "store")}

#: Where a package from outside may be imported: on floors, or in files (by their path).
ROOMS: dict[str, set[str]] = {
    "flask": {"runner", "faces"},
    "werkzeug": {"faces"},
    "jinja2": {"faces"},
    "prometheus_client": {"faces"},
    "opentelemetry": {"faces"},
    "sentry_sdk": {"faces"},
    "click": {"faces", "hosting"},
    "rich": {"faces"},
    "pytest": {"testing"},
    "fakeredis": {"testing"},
    "gunicorn": {"hosting"},
    "uwsgi": {"hosting"},
    "uwsgidecorators": {"hosting"},
    "gevent": {"engine", "hosting"},
    "greenlet": {"engine", "hosting"},
    "redis": {"store"},
    "sqlalchemy": {"database"},
    "cronsim": {"schedules/expression.py"},
    "blinker": {"signals.py"},
}

#: About 400 lines; more is two ideas.
LONGEST = 420


def check(package: Path) -> list[str]:
    """What in the package breaks a rule of the house, one sentence each."""
    problems = []
    for path in sorted(package.rglob("*")):
        if path.suffix not in (".py", ".lua"):
            continue
        place = path.relative_to(package).as_posix()
        lines = len(path.read_text().splitlines())
        if lines > LONGEST:
            problems.append(f"{place} has {lines} lines: two ideas?")
        if path.suffix == ".py":
            problems += check_imports(package, place)
    if (package / "__init__.py").exists():
        problems += check_front_door(ast.parse((package / "__init__.py").read_text()))
    return problems


def check_imports(package: Path, place: str) -> Iterator[str]:
    floor = floor_of(place)
    if floor not in FLOORS:
        yield f"{place} is in no room of the house"
        return
    for line, name in imports_of(package, place):
        outer = name.partition(".")[0]
        if outer == PACKAGE:
            other = floor_of(place_of(package, name))
            if other not in FLOORS:
                yield f"{place}:{line} imports {name}, which does not exist"
            elif FLOORS.index(other) < FLOORS.index(floor):
                yield f"{place}:{line} imports {name}: upwards, from {floor} to {other}"
            elif (floor, other) in STRANGERS:
                yield f"{place}:{line} imports {name}: {floor} and {other} do not know each other"
        elif outer not in sys.stdlib_module_names and not {floor, place} & ROOMS.get(outer, set()):
            rooms = ", ".join(sorted(ROOMS.get(outer, set()))) or "nowhere"
            yield f"{place}:{line} imports {name}, which belongs in {rooms}"


def floor_of(place: str) -> str:
    """The floor of a file or folder, given by its path in the package."""
    room, slash, _ = place.partition("/")
    if slash:
        return "vocabulary" if room in WORDS else room
    name = room.removesuffix(".py")
    return name if name in FLOORS else "vocabulary"


def place_of(package: Path, name: str) -> str:
    """The path in the package of what a dotted name reaches: its deepest module."""
    place = package
    for part in name.split(".")[1:]:
        if (place / part).is_dir():
            place = place / part
        elif (place / f"{part}.py").exists():
            return (place / f"{part}.py").relative_to(package).as_posix()
        else:
            break
    return (place / "__init__.py").relative_to(package).as_posix()


def imports_of(package: Path, place: str) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of each import in a file, also inside its functions."""
    parents = [PACKAGE, *place.split("/")[:-1]]
    for node in statements(ast.parse((package / place).read_text())):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield node.lineno, alias.name
            case ast.ImportFrom():
                above = parents[: len(parents) - node.level + 1] if node.level else []
                module = ".".join([*above, *([node.module] if node.module else [])])
                for alias in node.names:
                    yield node.lineno, f"{module}.{alias.name}"
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from statements(other)
        else:
            yield child
            yield from statements(child)


def check_front_door(tree: ast.Module) -> Iterator[str]:
    """The package's __init__.py: a docstring, imports, and __all__ naming what they bring."""
    imported: set[str] = set()
    listed: list[str] | None = None
    for number, node in enumerate(tree.body):
        match node:
            case ast.Expr(value=ast.Constant(value=str())) if number == 0:
                pass
            case ast.Import() | ast.ImportFrom():
                imported |= {alias.asname or alias.name for alias in node.names}
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                listed = ast.literal_eval(node.value)
            case _:
                yield f"__init__.py:{node.lineno} holds more than imports and __all__"
    if listed is None:
        yield "__init__.py has no __all__"
    elif unknown := sorted(set(listed) - imported):
        yield f"__init__.py lists in __all__ what it does not import: {unknown}"


def test_the_house_keeps_its_rules() -> None:
    package = ROOT / PACKAGE
    assert list(package.rglob("*.py")), "nothing was checked"
    assert check(package) == []


#: A small house in order, into which the tests below plant one fault each.
SOUND = {
    "__init__.py": '"""Names."""\nfrom .runner import Runner\n__all__ = ["Runner"]\n',
    "runner.py": "import flask\nfrom .engine.loop import Loop\nfrom . import job\n",
    "job.py": (
        "import os\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import redis\n    from .runner import Runner\n"
    ),
    "schedules/__init__.py": "from .expression import CronSim\n",
    "schedules/expression.py": "from cronsim import CronSim\nfrom ..job import os\n",
    "engine/__init__.py": "",
    "engine/loop.py": "import gevent\nfrom ..store import Store\nfrom jobrunner.job import os\n",
    "store/__init__.py": "from .redis import Store\n",
    "store/redis.py": "from redis.exceptions import RedisError\nfrom .. import job\n",
    "store/lua/claim.lua": "return 1\n",
    "database/__init__.py": "import sqlalchemy.orm\n",
}


def plant(folder: Path, **faults: str) -> list[str]:
    """What `check` says of the sound house with these files added or replaced."""
    for place, text in {**SOUND, **faults}.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return check(folder)


def test_a_sound_house_has_no_problems(tmp_path: Path) -> None:
    assert plant(tmp_path) == []


@pytest.mark.parametrize(
    ("place", "text", "problem"),
    [
        ("job.py", "from .store import Store", "upwards, from vocabulary to store"),
        ("job.py", "from . import runner", "upwards, from vocabulary to runner"),
        ("job.py", "import jobrunner", "upwards, from vocabulary to __init__"),
        ("store/redis.py", "from jobrunner import Runner", "upwards, from store to __init__"),
        ("store/redis.py", "from ..engine.loop import Loop", "upwards, from store to engine"),
        ("store/redis.py", "from .. import engine", "upwards, from store to engine"),
        ("store/redis.py", "def f():\n    import jobrunner.engine.loop", "from store to engine"),
        ("store/redis.py", "import_module('jobrunner.runner')", "from store to runner"),
        ("store/redis.py", "from ..database import x", "do not know each other"),
        ("database/__init__.py", "import jobrunner.store", "upwards, from database to store"),
        ("job.py", "import flask.globals", "imports flask.globals, which belongs in faces, runner"),
        ("engine/loop.py", "def f():\n    import redis", "which belongs in store"),
        ("job.py", "if 1:\n    pass\nelse:\n    from cronsim import X", "belongs in schedules"),
        ("schedules/box.py", "from ..store import Store", "upwards, from vocabulary to store"),
        ("job.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import redis", "belongs in store"),
        ("runner.py", "import requests", "imports requests, which belongs in nowhere"),
        ("attic/box.py", "", "attic/box.py is in no room of the house"),
        ("store/lua/claim.lua", "--\n" * 421, "store/lua/claim.lua has 421 lines"),
        ("__init__.py", "from .job import os\n__all__ = ['Job']", "does not import: ['Job']"),
        ("__init__.py", "from .job import os\n", "has no __all__"),
        ("__init__.py", "__all__ = []\ndef f(): ...", "__init__.py:2 holds more than imports"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, place: str, text: str, problem: str) -> None:
    problems = plant(tmp_path, **{place: text})
    assert len(problems) == 1
    assert problem in problems[0]
