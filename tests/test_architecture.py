"""The house's arrows: which package may import which, read from the source of every module."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from etl_runtime import contract

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "etl_runtime": ROOT / "containers" / "etl_runtime",
    "etl_infra": ROOT / "etl_infra",
    "etl_cli": ROOT / "etl_cli",
    "etl_local": ROOT / "etl_local",
}
CONTRACT = "etl_runtime.contract"
MAY_IMPORT = {
    "etl_runtime": {"etl_runtime"},
    "etl_infra": {"etl_infra", CONTRACT},
    "etl_cli": {"etl_cli", "etl_local", "etl_runtime"},
    "etl_local": {"etl_local", "etl_infra", "etl_runtime"},
}
"""Package → what it may import of the house; whatever is not named here it may not."""


def modules(package: str) -> list[Path]:
    """The source files of a package."""
    return sorted(PACKAGES[package].rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module or name that a file imports, dotted, wherever in the file the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it leads"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, allowed: str) -> bool:
    """Whether an imported name is a module or part of it."""
    return name == allowed or name.startswith(f"{allowed}.")


def faults(package: str) -> list[str]:
    """The imports of a package that follow no arrow."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if name.partition(".")[0] in PACKAGES and not any(within(name, allowed) for allowed in MAY_IMPORT[package])
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_along_its_arrows(package: str) -> None:
    assert faults(package) == []


def test_the_program_imports_what_exists_and_nothing_else_of_the_house() -> None:
    house = {name.partition(".")[0] for name in imports(ROOT / "__main__.py")} & set(PACKAGES)
    assert house == {"etl_infra"}


def test_the_arrow_test_sees_an_import_that_follows_no_arrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "intruder.py").write_text(
        "from etl_runtime import contract, postgres\ndef late():\n    import etl_cli.main\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    monkeypatch.setitem(PACKAGES, "etl_infra", tmp_path)
    assert faults("etl_infra") == ["intruder.py imports etl_runtime.postgres", "intruder.py imports etl_cli.main"]


def test_what_runs_knows_nothing_of_what_deploys_it() -> None:
    for path in modules("etl_runtime"):
        assert not [name for name in imports(path) if name.startswith("pulumi")], path


def test_the_contract_needs_nothing_but_the_standard_library() -> None:
    files = sorted((PACKAGES["etl_runtime"] / "contract").glob("*.py"))
    assert len(files) > 1
    for path in files:
        needed = {name for name in imports(path) if not within(name, CONTRACT)}
        assert {name.partition(".")[0] for name in needed} <= sys.stdlib_module_names, path


def test_every_name_of_the_contract_is_asked_for_by_those_that_it_is_between() -> None:
    outside = [path for package in PACKAGES for path in modules(package) if path.parent.name != "contract"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in outside)
    assert [name for name in contract.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_the_contract_is_had_from_its_front_alone() -> None:
    for package in PACKAGES:
        for path in modules(package):
            if path.parent.name == "contract":
                continue
            behind = [name for name in imports(path) if name.startswith(f"{CONTRACT}.") and name.count(".") > 2]
            assert not behind, f"{path} imports {behind}"


def test_stages_are_built_from_components_and_components_from_documents() -> None:
    stages = {f"etl_infra.{path.stem}" for path in PACKAGES["etl_infra"].glob("*.py")}
    values = {"etl_infra.naming", "etl_infra.stack_settings"}
    for path in modules("etl_infra"):
        layer = path.relative_to(PACKAGES["etl_infra"]).parts[0]
        above = {
            "components": stages - values,
            "documents": (stages - values) | {"etl_infra.components"},
        }.get(layer, set())
        wrong = [name for name in imports(path) if any(within(name, module) for module in above)]
        assert not wrong, f"{path.name} imports {wrong}"


def test_documents_register_no_resource() -> None:
    for path in (PACKAGES["etl_infra"] / "documents").glob("*.py"):
        assert not [name for name in imports(path) if name.startswith(("pulumi_aws", "pulumi_kubernetes"))], path.name


def test_one_module_reads_the_configuration() -> None:
    readers = [
        path.name
        for path in [ROOT / "__main__.py", *modules("etl_infra")]
        if any(
            isinstance(node, ast.Attribute) and node.attr in ("Config", "get_config", "require_object")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    ]
    assert readers == ["stack_file.py"]
    users = [path.name for path in modules("etl_infra") if any("stack_file" in name for name in imports(path))]
    assert users == ["setting_forms.py", "settings.py", "stage_settings.py"]


def test_the_program_is_a_table_of_contents() -> None:
    tree = ast.parse((ROOT / "__main__.py").read_text(encoding="utf-8"))
    kinds = {type(node).__name__ for node in tree.body}
    assert kinds <= {"Expr", "Import", "ImportFrom", "Assign"}
    assert len((ROOT / "__main__.py").read_text(encoding="utf-8").splitlines()) <= 50


def test_every_module_says_its_subject_first() -> None:
    for package in PACKAGES:
        for path in modules(package):
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            assert docstring, path
            assert docstring.splitlines()[0].endswith((".", ":")), path
