"""Sphinx extension that makes the reference pages from the code before a build.

Command line, REST, settings, documents, error codes and Python API are written to
`reference/generated/` (not in the repository), so that they cannot lag behind the code.
"""

import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import generated_faces
import generated_pictures
from sphinx.application import Sphinx

from api.report.codes import code_text
from engine import documents
from engine.documents.foreign import TABLES
from engine.model import errors

PUBLIC_MODULES = ("berth", "engine.ports", "engine.abilities", "engine.testing", "engine.model")
PUBLIC = re.compile(r"engine\.(ports|testing|model)\b")
DRAWING = set("├└│┌┐┘─")
SINGLE_BACKTICKS = re.compile(r"(?<![`:])`([^`]+)`(?!`)")
FIELD = re.compile(r"[a-z_0-9]+(, [a-z_0-9]+)*: ")


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # what it says of itself is not news
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", to_restructured, priority=100)
    return {"parallel_read_safe": True}


def write_pages(app: Sphinx) -> None:
    """Writes all generated pages."""
    target = Path(app.srcdir) / "reference" / "generated"
    target.mkdir(parents=True, exist_ok=True)
    write(target / "api.md", api_page())
    write(target / "errors.md", errors_page())
    write(target / "cli.md", generated_faces.cli_page())
    write(target / "rest.md", generated_faces.rest_page())
    write(target / "settings.md", generated_faces.settings_page())
    write(target / "pipeline.md", schema_page("pipeline", documents.pipeline_schema()))
    write(target / "fleet.md", schema_page("fleet", documents.fleet_schema()))
    write(target / "foreign.md", foreign_page())
    for name, drawing in generated_pictures.pictures():
        write(target / name, drawing)


def foreign_page() -> str:
    """Returns every key that is read of Kubeflow's and Argo's documents."""
    lines = [
        "# Keys of Kubeflow Pipelines and Argo Workflows",
        "",
        "What `berth import` and `berth plan` read, and what of it has no counterpart. Keys marked",
        "with a dash change nothing in Berth. Others are listed as unknown when they stand there.",
    ]
    for name, keys in TABLES.items():
        lines += ["", f"## {name}", "", "| key | becomes | does not map |", "|---|---|---|"]
        for key, said in keys.items():
            lines.append(f"| `{key}` | {said.becomes or '-'} | {said.lost or '-'} |")
    return "\n".join([*lines, ""])


def write(path: Path, text: str) -> None:
    """Writes a page when it changed, so that an unchanged one is not built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def to_restructured(
    _app: Sphinx, _what: str, _name: str, _obj: object, _opts: object, lines: list[str]
) -> None:
    """Turns the plain text and Markdown of our docstrings into reStructuredText."""
    text = SINGLE_BACKTICKS.sub(r"``\1``", "\n".join(lines))
    blocks = [block for block in text.split("\n\n") if block.strip()]
    lines[:] = "\n\n".join(map(restructured_block, blocks)).splitlines()
    lines.append("")


def restructured_block(block: str) -> str:
    """Marks a drawing as literal text, and a list of fields as what Google style calls one."""
    if block.startswith("    ") and DRAWING & set(block):
        return f".. code-block:: text\n\n{block}"
    if FIELD.match(block):
        return "Attributes:\n" + "\n".join(f"    {line}" for line in block.splitlines())
    return block


def modules_of(name: str) -> Iterator[ModuleType]:
    """Yields a module and, for a package, its modules."""
    module = importlib.import_module(name)
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not found.name.startswith("_"):
            yield importlib.import_module(f"{name}.{found.name}")


def api_page() -> str:
    """Returns the page of the Python API."""
    parts = [
        "# Python API\n",
        "What is public: the client face, the ports and what flows between them.\n",
    ]
    for module in (module for name in PUBLIC_MODULES for module in modules_of(name)):
        parts.append(f"## {module.__name__}\n")
        told = f".. automodule:: {module.__name__}\n{elsewhere(module)}"
        parts.append(f"```{{eval-rst}}\n{told}```\n")
    return "\n".join(parts)


def elsewhere(module: ModuleType) -> str:
    """Returns the option that leaves out what a module shows of another page's module."""
    shown = getattr(module, "__all__", ())
    others = [name for name in shown if PUBLIC.match(getattr(module, name).__module__)]
    return f"   :exclude-members: {', '.join(others)}\n" if others else ""


def errors_page() -> str:
    """Returns the page of error classes with their codes and exit codes."""
    rows = ["| code | exit code | class | meaning |", "|---|---|---|---|"]
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.BerthError):
            meaning = (inspect.getdoc(kind) or "").partition("\n")[0]
            rows.append(
                f"| {kind.default_code} | {kind.exit_code} | `{kind.__name__}` | {meaning} |"
            )
    codes = [line.split(maxsplit=1)[0] for line in code_text("all").splitlines()]
    pages = [f"### {code_text(code)}\n" for code in codes]
    return "\n".join(
        [
            "# Errors\n",
            "The class of an error decides the exit code; its code finds its page.\n",
            "## Classes\n",
            *rows,
            "\n## Codes\n",
            "`berth help CODE` prints the same.\n",
            *pages,
        ]
    )


Schema = Mapping[str, Any]


def schema_page(title: str, schema: Schema) -> str:
    """Returns the page of one kind of document: every key with its form and meaning."""
    rows = ["| key | form | meaning |", "|---|---|---|"]
    rows += [f"| `{key}` | {form} | {meaning} |" for key, form, meaning in keys_of(schema)]
    return "\n".join(
        [
            f"# The {title} document\n",
            f"The running engine serves the JSON Schema at `/schema/{title}.json`.\n",
            "`NAME` stands for a name of your own.\n",
            *rows,
            "",
        ]
    )


def keys_of(schema: Schema, above: str = "") -> Iterator[tuple[str, str, str]]:
    """Yields path, form and meaning of every key of a schema, in the order of the document."""
    required = set(schema.get("required", ()))
    children = dict(schema.get("properties", {}))
    named = schema.get("additionalProperties")
    if isinstance(named, dict):
        children["NAME"] = named
    for key, child in children.items():
        path = f"{above}.{key}" if above else key
        form = form_of(child) + (" (required)" if key in required else "")
        yield path, form, child.get("description", "").replace("|", "\\|")
        yield from keys_of(child, path)


def form_of(schema: Schema) -> str:
    """Returns in words what a value looks like."""
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(form_of, schema["anyOf"])))
    if schema.get("examples"):
        return ", ".join(f"`{value}`" for value in schema["examples"])
    kind = schema.get("type", "any value")
    if isinstance(kind, list):
        return " or ".join(form_of({"type": each}) for each in kind)
    if kind == "array":
        return f"list of {form_of(schema.get('items', {}))}"
    return {"object": "mapping", "integer": "whole number", "string": "text"}.get(kind, kind)
