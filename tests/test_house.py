"""The rules of the house: what may import what, what only one room knows, and how long anything may be."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = "numpy_impl", "torch_ref"


class Import(NamedTuple):
    """A module that is imported, by its full name; for_types if only a type checker ever imports it."""

    name: str
    for_types: bool


def parsed():
    """Every module of the packages, by its full name."""
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


TREES = dict(parsed())


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(tree, *, for_types=False):
    """Of a module, what stands in functions included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield Import(name if name in TREES else node.module, for_types)
        elif is_type_checking(node):
            yield from (found for part in node.body for found in imports(ast.Module([part], []), for_types=True))
            yield from (found for part in node.orelse for found in imports(ast.Module([part], []), for_types=for_types))
        else:
            yield from imports(node, for_types=for_types)


IMPORTS = {name: set(imports(tree)) for name, tree in TREES.items()}
AT_RUN_TIME = {name: {found.name for found in all_ if not found.for_types} for name, all_ in IMPORTS.items()}


def inside(name, *rooms):
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def of(*rooms):
    """The modules of these rooms; there are some, or the rule would prove nothing."""
    found = [name for name in TREES if inside(name, *rooms)]
    assert found
    return found


def reached(name):
    """All that importing a module imports at some time, modules of others included."""
    seen, new = set(), {name}
    while new:
        seen |= new
        new = {found for one in new for found in AT_RUN_TIME.get(one, ())} - seen
    return seen - {name}


def test_the_imports_are_read_to_the_last():
    """The reading itself: at the top, in a function, for types only, of a name or of a module."""
    code = """
        import a.b
        from torch_ref.report import text, Report
        if TYPE_CHECKING:
            import c
        def f():
            try:
                from d import e
            except ImportError: ...
    """
    found = set(imports(ast.parse("\n".join(line[8:] for line in code.splitlines()))))
    names = {"a.b": False, "torch_ref.report.text": False, "torch_ref.report": False, "c": True, "d": False}
    assert found == {Import(*item) for item in names.items()}
    assert "torch_ref.command.run" in AT_RUN_TIME["torch_ref.command.main"]  # deferred
    assert "torch" in reached("torch_ref.checking")


def test_only_check_and_the_command_import_the_two_layers():
    users = of("torch_ref.checking", "torch_ref.command", "torch_ref.two_layers")
    for name in set(of("torch_ref")) - set(users):
        found = [one for one in IMPORTS[name] if inside(one.name, "torch_ref.two_layers")]
        assert not found or (name == "torch_ref" and all(one.for_types for one in found)), name


@pytest.mark.parametrize(
    ("rooms", "never"),
    [
        (["torch_ref.results", "torch_ref.comparison"], ["torch_ref.report"]),
        (["torch_ref.cases", "torch_ref.reference"], ["torch_ref.candidate"]),
        (["torch_ref.candidate"], ["torch_ref.reference", "torch_ref.two_layers", "torch"]),
        (["torch_ref.command.options"], ["torch_ref.reference", "torch", "hypothesis", "numpy"]),
        (["torch_ref.report"], ["torch", "hypothesis", "torch_ref.command"]),
        (["numpy_impl"], ["torch_ref", "torch"]),
    ],
    ids=" ".join,
)
def test_a_room_never_reaches_another(rooms, never):
    for name in of(*rooms):
        found = [other for other in reached(name) if inside(other, *never)]
        assert not found, f"{name} imports {found}"


def test_data_flows_one_way():
    """No module imports, at any time, one that imports it."""
    graph = {name: {found for found in all_ if found in TREES} for name, all_ in AT_RUN_TIME.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
    way = ["cases.case", "reference.base", "comparison", "diagnosis.evidence", "judging", "command.run"]
    places = [order.index(f"torch_ref.{name}") for name in way]
    assert places == sorted(places)


def private(tree):
    """Private names of other modules that are used here: imported, or attributes of what is not our own."""
    # Of a NamedTuple, so that no field is called the same; os._exit, which is public; and the types of mypy's stubs.
    public = {"_fields", "_asdict", "_replace", "_make", "_exit", "_typeshed"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            words = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            words = [word for alias in node.names for word in alias.name.split(".")]
        elif isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            words = [node.attr]
        else:
            continue
        yield from (word for word in words if re.match("_[^_]", word) and word not in public)


def test_private_names_of_torch_stand_in_one_place():
    assert {"_python_dispatch", "_schema"} <= set(private(TREES["torch_ref.torch_private"]))
    for name in set(TREES) - {"torch_ref.torch_private"}:
        assert not list(private(TREES[name])), name


OURS = r"\b(W1|B1|W2|B2|dL_dW\d|dL_dB\d)\b|--reduction|--activation|--loss"
ACTIVATIONS = r"\b(sigmoid|tanh|relu)\b"
# Tables of torch's operators by name, for the diagnosis of any network, not of what our own network may have.
OPERATORS = [
    f"torch_ref.diagnosis.graph.{name}"
    for name in ("elementwise", "gates", "signs", "slopes", "textbook_activations", "vocabulary")
]


def words_of(tree):
    """Its identifiers and string literals, without docstrings, and without torch's operators."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and node.body]
    docstrings = {id(node.value) for node in first if isinstance(node, ast.Expr)}
    operators = {id(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n).startswith("aten.")}
    for node in ast.walk(tree):
        if id(node) in docstrings | operators:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        for field in "id", "attr", "arg", "name", "asname":
            if isinstance(word := getattr(node, field, None), str):
                yield word


def test_the_core_knows_nothing_of_the_two_layers():
    own = of("torch_ref.checking", "torch_ref.command", "torch_ref.two_layers")
    words = {name: set(words_of(tree)) for name, tree in TREES.items()}
    assert any(re.search(OURS, word) for word in words["torch_ref.two_layers.detectors"])
    assert any(re.search(ACTIVATIONS, word) for word in words["torch_ref.two_layers.stages"])
    for name in set(of("torch_ref")) - set(own):
        rules = OURS if name in of(*OPERATORS) else f"{OURS}|{ACTIVATIONS}"
        found = [word for word in words[name] if re.search(rules, word)]
        assert not found, f"{name} knows {found}"


LONGEST_MODULE, LONGEST_FUNCTION = 200, 40


def length(function):
    """The lines of a function, signature and docstring apart."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def test_a_length_is_that_of_the_body():
    code = 'def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    a = (\n        a\n    )\n    return a\n'
    assert length(ast.parse(code).body[0]) == 4


def test_no_module_and_no_function_is_too_long_to_read_at_once():
    modules = {path: path.read_text(encoding="utf-8") for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    lengths = {str(path.relative_to(ROOT)): len(text.splitlines()) for path, text in modules.items()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}
    functions = {
        f"{name}.{node.name}": length(node)
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    assert {name: lines for name, lines in functions.items() if lines > LONGEST_FUNCTION} == {}
