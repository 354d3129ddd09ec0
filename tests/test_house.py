"""The rules of the house, read off the source: what no linter that is used here can say."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mutants import MUTANTS
from tests.mutating import misfit

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PRODUCT = sorted((ROOT / "meshfleet").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CORE = [path for path in PRODUCT if path.relative_to(ROOT / "meshfleet").parts[0] in ("fleet", "gossip")]
COMMAND = [path for path in (ROOT / "meshfleet" / "cli").rglob("*.py") if path.name != "saying.py"]
TEXTS = [
    *PRODUCT,
    *TESTS,
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "Makefile",
    ROOT / "hatch_build.py",
    ROOT / "pyproject.toml",
    *(path for path in (ROOT / ".ci").iterdir() if path.is_file()),
]

FILE_LINES = 400
FUNCTION_LINES = 70
WORDS_NOT_USED = {"common", "handler", "helper", "helpers", "hub", "leader", "manager", "master", "misc"}
WORDS_NOT_USED |= {"service", "util", "utils"}

SUMS_OF_WHOLE_NUMBERS = ("known", "shelf.bytes")
"""Sums in the core whose elements were looked at: tokens that are known, bytes that are held."""

FOREIGN_PATHS = re.compile(r"(?<![\w.])/(?:work|root|tmp/v)/")
"""Folders of the machine that somebody developed on."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def where(path: Path, node: ast.stmt | ast.expr) -> str:
    return f"{name_of(path)}:{node.lineno}"


def iterated(tree: ast.Module) -> Iterator[ast.expr]:
    """Every expression whose elements are gone through one by one, in whatever order it gives them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            yield node.iter
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("list", "tuple", "iter")
        ):
            yield from node.args


def makes_a_set(node: ast.expr) -> bool:
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
    return called or isinstance(node, ast.Set | ast.SetComp)


def counts_something(call: ast.Call) -> bool:
    """Whether a sum is one of whole numbers: of ones, of lengths, or one that was looked at."""
    argument = call.args[0] if call.args else None
    element = argument.elt if isinstance(argument, ast.GeneratorExp | ast.ListComp) else None
    if ast.unparse(element or argument or call) in SUMS_OF_WHOLE_NUMBERS:
        return True
    if isinstance(element, ast.Constant):
        return isinstance(element.value, int)
    return isinstance(element, ast.Call) and isinstance(element.func, ast.Name) and element.func.id in ("len", "int")


@pytest.mark.parametrize("path", [*PRODUCT, *TESTS], ids=name_of)
def test_a_file_is_one_idea_and_fits_in_a_head(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES


@pytest.mark.parametrize("path", [*PRODUCT, *TESTS], ids=name_of)
def test_a_function_fits_on_a_screen_or_nearly(path: Path) -> None:
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, Function)]
    long = [where(path, f) for f in functions if (f.end_lineno or f.lineno) - f.lineno + 1 > FUNCTION_LINES]
    assert long == []


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_a_module_is_named_for_what_it_decides(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    assert [word for part in parts for word in part.split("_") if word in WORDS_NOT_USED] == []


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_everything_public_says_what_it_is(path: Path) -> None:
    tree = tree_of(path)
    silent = [] if ast.get_docstring(tree) else [name_of(path)]
    silent += [
        f"{where(path, node)} {node.name}"
        for node in public(tree)
        if not ast.get_docstring(node) and not is_short(node)
    ]
    assert silent == []


def public(parent: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef | Function]:
    """Classes, functions and methods that are named without an underscore, and not inside one that is."""
    for node in parent.body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def is_short(node: ast.ClassDef | Function) -> bool:
    """Whether it is an overload, or sets what a property has said already."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    return any(decorator.endswith(("overload", ".setter")) for decorator in decorators)


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_draws_no_random_numbers_of_its_own(path: Path) -> None:
    imports = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Import | ast.ImportFrom)]
    drawn = [
        where(path, node)
        for node in imports
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "random" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "random" and [a.name for a in node.names] != ["Random"])
    ]
    assert drawn == [], "take a random.Random at construction, so that a run can be repeated"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_adds_up_no_floats_with_sum(path: Path) -> None:
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    sums = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "sum"]
    wrong = [where(path, call) for call in sums if not counts_something(call)]
    assert wrong == [], "sum() of floats differs between versions of Python (3.12 compensates): math.fsum does not"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_never_goes_through_a_set_in_its_own_order(path: Path) -> None:
    wrong = [where(path, node) for node in iterated(tree_of(path)) if makes_a_set(node)]
    assert wrong == [], "the order of a set of strings differs from run to run: sorted(...), or dict.fromkeys(...)"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_knows_no_bytes_on_the_wire(path: Path) -> None:
    used = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)]
    wrong = [where(path, n) for n in used if ast.unparse(n) in ("msgspec.json", "msgspec.msgpack", "msgspec.toml")]
    assert wrong == []


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_knows_the_type_of_everything(path: Path) -> None:
    names = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Name | ast.alias)]
    assert not any((node.id if isinstance(node, ast.Name) else node.name) == "Any" for node in names)


@pytest.mark.parametrize("path", COMMAND, ids=name_of)
def test_the_command_prints_by_what_lets_nothing_through_to_a_terminal(path: Path) -> None:
    called = [node.func for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    names = [each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in called]
    assert "print" not in [getattr(each, "id", "") for each in called], "meshfleet.cli.saying has print_plain"
    assert "Console" not in names, "meshfleet.cli.showing has console"
    assert "Formatter" not in names, "meshfleet.logs has PlainFormatter"


@pytest.mark.parametrize("path", [*PRODUCT, *TESTS], ids=name_of)
def test_whoever_silences_a_check_says_why(path: Path) -> None:
    silenced = re.compile(r"#\s*(?:type:\s*ignore|noqa)(?P<what>[^#]*)(?P<why>#.*)?")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = silenced.search(line)
        if found and "re.compile" not in line:
            reason = found["why"] or (" - " in found["what"] and found["what"])
            assert reason, f"{name_of(path)}:{number} silences a check without a reason"


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_no_test_sleeps(path: Path) -> None:
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    if path == ROOT / "tests" / "network" / "playing.py":
        return  # it plays scenarios on real networks, second by second, for `make network`
    sleeps = [
        where(path, call) for call in calls if ast.unparse(call.func) in ("time.sleep", "trio.sleep", "asyncio.sleep")
    ]
    assert sleeps == [], "wait for what is to happen, with trio.fail_after around it; or use a MockClock"


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_no_text_names_somebodys_machine(path: Path) -> None:
    found = [f"line {i}" for i, line in enumerate(path.read_text().splitlines(), 1) if FOREIGN_PATHS.search(line)]
    if path != Path(__file__):
        assert found == []


def test_each_mutant_still_breaks_one_place_of_the_source() -> None:
    assert [said for mutant in MUTANTS if (said := misfit(mutant))] == []


def compiled() -> list[Path]:
    """What HATCH_BUILD_HOOKS_ENABLE=1 makes extension modules of."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = patterns["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["compile"]
    for pattern in patterns:
        assert list(ROOT.glob(pattern)), f"{pattern} matches no file"
    files = [path for pattern in patterns for path in sorted(ROOT.glob(pattern)) if path.name != "__init__.py"]
    return [path for path in files if "msgspec.Struct" not in path.read_text()]


def test_only_compiled_code_subclasses_compiled_code() -> None:
    """mypyc's classes refuse interpreted subclasses, as late as when these are imported."""
    files = compiled()
    modules = {name_of(path).removesuffix(".py").replace("/", "."): path for path in files}
    classes = {
        (module, node.name)
        for module, path in modules.items()
        for node in tree_of(path).body
        if isinstance(node, ast.ClassDef)
    }
    wrong: list[str] = []
    for path in set(PRODUCT) - set(files):
        tree = tree_of(path)
        froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        taken = {a.asname or a.name for node in froms for a in node.names if (node.module, a.name) in classes}
        wrong += [
            where(path, node)
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and taken & {ast.unparse(base) for base in node.bases}
        ]
    assert wrong == []
