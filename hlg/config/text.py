"""Convert the values of keys to and from text: what a text means, what is allowed, the YAML file, ``--help``.

The type of the key decides what a text means, not the look of the text: so ``1e-5``, which YAML 1.1 takes for text, is
a number, and ``0`` and ``1``, the published way to say no and yes, are booleans.
"""

import math
import operator
import os
import re
from dataclasses import Field
from string import Template
from typing import Any

import yaml

from hlg.config.keys import KEYS, Config
from hlg.errors import UserError

LONGEST = 80  # characters of a value in a message
COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
BOOLEANS = {"0": False, "1": True, "false": False, "true": True}
INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
SECRET = re.compile(r"\w+://([^/]*@|[^/]*:(?!\d*(/|$))|[^?]*\?.*=)")  # a user, a password, a signature in a URL
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)


def parse_value(spec: Field[Any], text: str, where: str) -> Any:
    """Return what a text means for this key.

    Raises:
        UserError: it means nothing, or a value that is not allowed; ``where`` names its place.
    """
    rules = spec.metadata
    if SECRET.match(text):
        raise UserError(
            f"{where}: found a URL with a name, password or signature, which log and records would keep; allowed: "
            "one without, whose storage knows this machine by other means"
        )
    value: Any = expand_variables(text, where, spec) if rules["path"] else _parse(spec.type, text)
    if (
        value is None
        or (rules["choices"] and value not in rules["choices"])
        or (rules["bounds"] and not _within(value, rules["bounds"]))
        or (rules["multiple_of"] > 1 and value % rules["multiple_of"])
    ):
        raise UserError(f"{where}: found {_shortened(text)}; allowed: {allowed_values(spec)}")
    return value


def _shortened(text: str) -> str:
    return repr(text) if len(text) <= LONGEST else f"{text[:LONGEST]!r} and {len(text) - LONGEST:,} more characters"


def expand_variables(text: str, where: str, spec: Field[Any]) -> str:
    """Replace environment variables in the name of a file or folder.

    Raises:
        UserError: one is not set, or a dollar sign starts none.
    """
    try:
        return Template(text).substitute(os.environ)
    except KeyError as error:
        name = error.args[0]
        kind = spec.metadata["path"]
        problem = f"but ${name} is not set; name a {kind}: --{spec.name}=..., or set it (export {name}=...)"
        raise UserError(f"{where}: found {text!r}, {problem}") from None
    except ValueError:
        allowed = "$NAME, ${NAME} and $$ for a dollar sign"
        raise UserError(f"{where}: found {text!r}; allowed: {allowed}") from None


def _parse(kind: Any, text: str) -> Any:
    """Return the value, or None where the text is not of this kind."""
    if kind is bool:
        return BOOLEANS.get(text.lower())
    if kind is int:
        return int(text) if INTEGER.fullmatch(text) else None
    if kind is float:
        number = float(text) if NUMBER.fullmatch(text) else math.nan
        return number if math.isfinite(number) else None
    return text


def _within(value: float, bounds: str) -> bool:
    return all(COMPARE[sign](value, float(limit)) for sign, limit in map(str.split, bounds.split(",")))


def allowed_values(spec: Field[Any]) -> str:
    """Say in words what a key takes."""
    rules = spec.metadata
    if rules["choices"]:
        return " | ".join(map(show_value, rules["choices"]))
    if rules["multiple_of"] > 1:
        sizes = ", ".join(str(n * rules["multiple_of"]) for n in range(1, 5))
        return f"a multiple of {rules['multiple_of']} ({sizes}, ...) {rules['bounds'].rpartition(', ')[2]}"
    text = f"a {rules['path']}" if rules["path"] else "text"
    kinds = {bool: "0 or 1", int: "a whole number", float: "a number", str: text}
    return f"{kinds[spec.type]} {rules['bounds']}".rstrip()  # type: ignore[index]


def show_value(value: Any) -> str:
    """Write a value as a user would."""
    return str(int(value) if isinstance(value, bool) else value) or "''"


def dump(config: Config) -> str:
    """Write a configuration as YAML, every key in the order of the fields; it loads back to an equal one."""
    parts = []
    for name, spec in KEYS.items():
        value = getattr(config, name)
        if spec.type is bool:
            value = int(value)
        elif spec.metadata["path"]:
            value = value.replace("$", "$$")
        if spec.metadata["group"]:
            parts.append(f"\n# {spec.metadata['group']}\n")
        parts.append(yaml.safe_dump({name: value}, width=math.inf))
    return "".join(parts).lstrip()


def help_text() -> str:
    """Return the text of ``--help``: every key with its unit, what it takes, its default and its meaning."""
    lines = [
        "options: [--config_path FILE] [--KEY VALUE ...]",
        "",
        "The command line goes before the file, the file before the default.",
        "In the names of folders and files $NAME stands for an environment variable, $$ for a dollar sign.",
    ]
    for name, spec in KEYS.items():
        rules = spec.metadata
        unit = f" [{rules['unit']}]" if rules["unit"] else ""
        if rules["group"]:
            lines += ["", rules["group"]]
        lines.append(f"  --{name}{unit}  {allowed_values(spec)}; default {show_value(spec.default)}")
        lines.append(f"      {rules['help']}")
    return "\n".join(lines)
