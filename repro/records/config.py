"""Read config.yml of a run folder: lines of ``key: value``, as hlg writes them.

YAML has more than a configuration needs: aliases that grow to gigabytes, lists nested so deeply that a parser takes
minutes or brings the process down, texts that look like a date and are none. So nothing becomes a value before every
event was seen to be a plain key or value.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from repro.errors import ReproError
from repro.files import read_text

LARGEST = 1 << 17  # bytes; a configuration has a thirtieth
_KEY = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_BEYOND = 2**63  # no number of a configuration is so large


class _Loader(yaml.SafeLoader):
    """A loader that takes what looks like a date for a text; libyaml's refuses names that are not UTF-8."""


_Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
    for sign, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_config(path: Path) -> dict[str, Any]:
    """Read the keys of a configuration, whose values are texts, numbers, true, false or nothing.

    Raises:
        ReproError: there is anything else in it, or a key twice; file and line, or key, are named.
    """
    text = read_text(path, LARGEST)
    try:
        _require_flat(path, text)
        config: dict[str, Any] = yaml.load(text, _Loader) or {}
    except (yaml.YAMLError, ValueError) as error:  # the second: more digits than Python reads
        raise ReproError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    for key, value in config.items():
        if isinstance(value, int | float) and not -1 <= value < _BEYOND:  # which nan is not, either
            raise ReproError(f"{path}: {key}: expected a number from -1 to 2^63")
    return config


def _require_flat(path: Path, text: str) -> None:
    """Raise ReproError at the first event that is no key or value of one mapping."""
    begun, scalars = False, list[str]()
    for event in yaml.parse(text, yaml.SafeLoader):
        if not isinstance(event, yaml.NodeEvent):
            continue
        where = f"{path}:{event.start_mark.line + 1 if event.start_mark else 1}"
        if event.anchor or getattr(event, "tag", None):
            raise ReproError(f"{where}: found an anchor, an alias or a tag, expected lines of `key: value`")
        if not isinstance(event, yaml.ScalarEvent if begun else yaml.MappingStartEvent):
            raise ReproError(f"{where}: found a list, a mapping or a text, expected lines of `key: value`")
        begun = True
        if not isinstance(event, yaml.ScalarEvent):
            continue
        if len(scalars) % 2 == 0 and (not _KEY.fullmatch(event.value) or event.value in scalars[::2]):
            raise ReproError(f"{where}: found {event.value[:60]!r}, expected a key, and each key once")
        scalars.append(event.value)
