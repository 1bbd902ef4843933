"""Walls: what may be imported, and that public signatures and docstrings agree."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ottava
from ottava.spec import iter_specs, resolve

SOURCE = Path(ottava.__file__).parent
HEAVY = {"numpy", "onnx", "networkx", "onnxruntime", "soundfile", "soxr", "symusic", "rich", "cyclopts"}
HEAVY |= {"scipy", "librosa"}
BLOCKED = {"onnx", "networkx", "torch", "lightning", "jsonargparse", "scipy", "librosa", "mir_eval", "mirdata"}


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_importing_ottava_imports_nothing_heavy():
    assert python(f"import sys, ottava; print(*{HEAVY | BLOCKED!r} & set(sys.modules))").strip() == ""


def test_listing_the_systems_imports_nothing_heavy():
    code = "import sys; from ottava.spec import iter_specs; iter_specs()"
    assert python(f"{code}; print(*{HEAVY | BLOCKED!r} & set(sys.modules))").strip() == ""


def test_every_verb_works_where_training_packages_cannot_be_imported():
    verbs = [(verb.function, verb.accepts[0]) for spec in iter_specs() for verb in spec.verbs]
    verbs.append(("ottava.pipelines.listen:listen", "audio"))
    printed = python(f"""
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r} or name.startswith("ottava.training") or ".train" in name:
            raise ModuleNotFoundError("blocked: " + name, name=name)

sys.meta_path.insert(0, Wall())
from ottava.runtime.examples import find_example
from ottava.spec import resolve

for verb, kind in {verbs!r}:
    print(len(next(iter(resolve(verb)(find_example(kind)).payloads.values()))))
""")
    assert len(printed.split()) == len(verbs)
    assert all(int(count) > 0 for count in printed.split())


def test_the_stub_matches_the_package():
    stub = ast.parse((SOURCE / "__init__.pyi").read_text())
    homes = {
        alias.asname: f"{node.module}:{alias.name}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == ottava._HOMES
    assert set(homes) | {"__version__"} == set(ottava.__all__)
    for target in homes.values():
        assert callable(resolve(target))


def public_functions() -> list[str]:
    """Dotted names of the functions, classes and methods that modules of the package declare public."""
    names = []
    for module in pkgutil.walk_packages([str(SOURCE)], "ottava."):
        if module.name.endswith("__main__"):
            continue
        try:
            found = importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if str(error.name).startswith("ottava"):
                raise
            continue  # an extra that is not installed here
        for name in getattr(found, "__all__", ()):
            value = getattr(found, name)
            if getattr(value, "__module__", None) != module.name:
                continue
            if inspect.isfunction(value) or inspect.isclass(value):
                names.append(f"{module.name}.{name}")
            if inspect.isclass(value):
                names += [
                    f"{module.name}.{name}.{method}"
                    for method, function in vars(value).items()
                    # Fields that hold a function, and methods that a base explains, are left out.
                    if not method.startswith("_") and inspect.isfunction(function)
                    if function.__name__ == method and not any(hasattr(b, method) for b in value.__mro__[1:])
                ]
    return names


def test_docstrings_speak_of_the_parameters_that_exist():
    validate = pytest.importorskip("numpydoc.validate", reason="numpydoc is in the extra [dev]").validate
    names = public_functions()
    assert len(names) > 50
    # No docstring; a parameter that is missing, unknown or out of order.
    wrong = {"GL08", "PR01", "PR02", "PR03"}
    faults = []
    for name in names:
        errors = validate(name)["errors"]
        # A short function may say all in one sentence; as soon as it lists parameters, it lists them rightly.
        listed = "Parameters\n" in (inspect.getdoc(resolve_dotted(name)) or "")
        faults += [
            f"{name}: {text}"
            for code, text in errors
            if code in wrong and (listed or code == "GL08") and "{'_" not in text  # private fields
        ]
    assert not faults, "\n".join(faults)


def resolve_dotted(name: str) -> object:
    module, parts = name, []
    while True:
        try:
            value = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            parts.insert(0, last)
    for part in parts:
        value = getattr(value, part)
    return value
