"""Who may know whom: read from the imports, so that a wrong arrow fails here and not in a year."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

import config
from declarations import declarations

DOMAIN = {"data_generation", "prosumer", "trading", "regulator", "blockchain", "audit"}

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "setting_types": set(),
    "declarations": {"setting_types"},
    "settings": {"declarations", "setting_types"},
    "config": {"setting_types"},
    "records": set(),
    **{module: {"records", "settings"} for module in DOMAIN},
    "mining": set(),
    "blockchain": {"mining", "records", "settings"},
    "input_tables": set(),
    "price_file": {"input_tables", "data_generation", "records", "settings"},
    "household_data": {
        *("input_tables", "price_file"),
        *("data_generation", "prosumer", "records", "settings"),
    },
    "simulator": DOMAIN | {"household_data", "price_file", "input_tables", "records", "settings"},
    "report": {"simulator", "records", "settings"},
    "output_file": set(),
    "stopping": set(),
    "results_folder": {"stopping"},
    "storage": {"report", "simulator", "records", "settings", "blockchain", "results_folder"},
    "guard": {"stopping"},
    "plot_results": {"figures", "guard", "stopping", "terminal", "results_folder"},
    "options": {"simulator", "household_data", "trading", "settings"},
    "terminal": {"settings", "stopping"},
    "checking": {"guard", "output_file", "terminal", "verification", "verification.proof"},
    "main": {"guard", "stopping"},
}
"""Module -> what it may import of ours, beside `errors`. Below are the rules for the others."""

HEAVY = {"matplotlib", "seaborn", "scipy", "pandas", "rich", "pyarrow"}


def modules() -> dict[str, Path]:
    """Every module of the program by its dotted name: top level, extensions, verification."""
    files = [*REPOSITORY.glob("*.py")]
    for folder in REPOSITORY.iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            if folder.name not in ("tests", "benchmarks", "results", "docs"):
                files += folder.rglob("*.py")
    names = {}
    for file in files:
        parts = file.relative_to(REPOSITORY).with_suffix("").parts
        names[".".join(parts).removesuffix(".__init__")] = file
    return names


def imports(file: Path, everywhere: bool = True) -> set[str]:
    """Dotted names that a file imports; with everywhere=False only those met while it is imported."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if everywhere else _at_import(tree.body)
    package = file.relative_to(REPOSITORY).parent.parts
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            found.add(".".join([*above, *([node.module] if node.module else [])]))
            if node.module is None or ".".join([*above, node.module]) in PACKAGES:
                base = ".".join([*above, *([node.module] if node.module else [])])
                found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def _at_import(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements that run when a module is imported: not those in functions or under TYPE_CHECKING."""
    found: list[ast.stmt] = []
    for statement in body:
        found.append(statement)
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
            found += _at_import(statement.orelse)
            continue
        if isinstance(statement, (ast.If, ast.Try, ast.With, ast.ClassDef)):
            for part in ("body", "orelse", "finalbody"):
                found += _at_import(getattr(statement, part, []))
    return found


PACKAGES = {name for name, file in modules().items() if file.name == "__init__.py"}
OURS = modules()


def own_imports(name: str) -> set[str]:
    """The modules of ours that a module imports; a package's parts count under their dotted names."""
    found = set()
    for imported in imports(OURS[name]):
        parts = imported.split(".")
        known = [".".join(parts[:k]) for k in range(len(parts), 0, -1)]
        found |= {next(n for n in known if n in OURS)} if any(n in OURS for n in known) else set()
    return found - {name}


def allowed(name: str) -> set[str] | None:
    """What this module may import of ours, or None where the house has no such room."""
    top = name.split(".")[0]
    everything = set(OURS)
    if name == "run_command":
        return everything - {"main", "checking", "config"}
    if top.startswith("verif"):
        return {n for n in everything if n.split(".")[0].startswith("verif")}
    if top == "extensions":
        return everything - {"main", "config"}
    within = {n for n in everything if n.split(".")[0] == "figures"}
    if top == "figures":
        return within | {"records", "settings", "errors"}
    if name not in ALLOWED:
        return None
    return ALLOWED[name] | {"errors"} | (within if name == "plot_results" else set())


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_module_imports_only_what_it_may_know(name: str) -> None:
    """An arrow that is not in the plan couples two parts that should change apart."""
    may = allowed(name)
    assert may is not None, f"{name} is new: give it a line in ALLOWED, with its arrows"
    unknown = own_imports(name) - may
    assert not unknown, f"{name} imports {sorted(unknown)}; it may know {sorted(may)}"


def test_no_module_reaches_itself_through_its_imports() -> None:
    """Two modules in a circle are one module in two files."""
    arrows = {name: own_imports(name) for name in OURS}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(arrows[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in arrows:
        visit(name, ())


def test_only_the_command_line_reads_config() -> None:
    """What a module needs of config.py it gets as an argument; so two runs may differ in one program."""
    readers = {name for name in OURS if "config" in own_imports(name)}
    named = {name for name, file in OURS.items() if '"config"' in file.read_text(encoding="utf-8")}
    assert readers == set() and named == {"options"}


def test_the_core_runs_without_extensions() -> None:
    """Extensions know the core; the core does not know them, so a run needs none of them."""
    for name in OURS:
        if name != "run_command" and not name.startswith("extensions"):
            assert not {n for n in own_imports(name) if n.startswith("extensions")}, name


def test_verification_shares_no_code_with_what_it_verifies() -> None:
    """A second reading: an error in our hashing or sums must not hide from its own check."""
    for name in OURS:
        if name.startswith("verif"):
            assert all(other.startswith("verif") for other in own_imports(name)), name


@pytest.mark.parametrize("command", ["verify", "proof"])
def test_what_checks_a_folder_loads_nothing_of_what_made_it(command: str) -> None:
    """Not even the settings, which cost as long as a day's folder takes to verify."""
    words = [command, "nowhere", *(["17"] if command == "proof" else [])]
    code = f"import sys, main; main.main({words}); print(*sorted(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    loaded = {name.split(".")[0] for name in out.stdout.split()}
    checks = {"main", "checking", "verification", "guard", "errors", "stopping", "terminal"}
    assert "nowhere" in out.stderr and {"main", "verification"} <= loaded
    assert loaded & {name.split(".")[0] for name in OURS} <= checks | {"output_file"}
    assert not loaded & (HEAVY | {"pydantic"})


@pytest.mark.parametrize(
    "module", ["simulator", "report", "storage", "run_command", "verification"]
)
def test_heavy_packages_are_imported_only_where_they_are_used(module: str) -> None:
    """Figures and tables of files cost a second to import; a simulation needs neither."""
    code = f"import sys, {module}; print(*sorted(set({sorted(HEAVY)}) & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.split() == []


@pytest.mark.parametrize("name", sorted(set(ALLOWED) - {"plot_results"}))
def test_no_core_module_names_a_heavy_package_at_its_top(name: str) -> None:
    """The same rule, read from the text, so that it holds for modules that nothing imports yet."""
    roots = {imported.split(".")[0] for imported in imports(OURS[name], everywhere=False)}
    assert not roots & HEAVY


# ---------------------------------------------------------------- settings and code agree


def settings_used() -> dict[str, set[str]]:
    """NAME -> files that read settings.NAME, s.NAME, anything.settings.NAME or self.NAME in settings.py."""
    used: dict[str, set[str]] = {}
    for name, file in OURS.items():
        if name == "config":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and re.fullmatch(r"[A-Z][A-Z0-9_]+", node.attr):
                base = node.value
                word = base.id if isinstance(base, ast.Name) else getattr(base, "attr", "")
                if word in ("settings", "s") or (word == "self" and name == "settings"):
                    used.setdefault(node.attr, set()).add(f"{name}.{word}")
    return used


def test_every_setting_that_the_code_reads_is_declared() -> None:
    """A misspelt constant would only show in the one run that reaches its line."""
    undeclared = set(settings_used()) - set(declarations(config))
    assert not undeclared


def test_every_constant_is_read_by_the_code() -> None:
    """A constant that nothing reads is a promise to the user that is not kept. A rule alone is no use."""
    used = {name for name, where in settings_used().items() if where - {"settings.s"}}
    assert set(declarations(config)) - used == set()


def test_every_constant_says_what_it_means() -> None:
    """The sentence below a constant is its only documentation: command line, tables and forms quote it."""
    for name, declared in declarations(config).items():
        assert declared.sentence.endswith("."), f"{name} has no sentence below it"
