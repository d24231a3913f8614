"""Damage files as disks, editors and attackers do: bit by bit, and value by value where they are JSON."""

import json
import re
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (None, True, -1, 0, 0.5, 1e308, 10**18, 10**400, "", "nan", "inf", "-1", "a\u202e\n\x00", [], {})
ODD += ([[]], {"": {}}, [None], "9" * 5000, "1e999", "../x", [1, "1"], json.loads("[" * 60 + "]" * 60))
TOKENS = rb"""[ { " ' : , ? ../ nan -inf 1e999 -1 0 9999999999999999999999999 2001-13-41 !!int &a *a <<:""".split()
TOKENS += [b"\0", b"\n", b"\r", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xb3\xbf", b"\x1b[2J", b"\xff" * 8]
TOKENS += [b"\x7f" + b"\xff" * 7, b"[" * 3000, b'{"a":' * 300, b"- " * 3000, b"9" * 5000]
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


def damaged(content: bytes, random: Random) -> bytes:
    """Return the content with one to four faults."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        content = (random.random() < 0.6 and _other_value(content, random)) or _other_bytes(content, random)
    return content


def _other_value(content: bytes, random: Random) -> bytes | None:
    """Give a value of a JSON text, or of one of its lines, another value; None where it is none."""
    lines = content.split(b"\n") if content.startswith(b"{") and b"}\n{" in content else [content]
    at = random.randrange(len(lines))
    try:
        found = json.loads(lines[at])
        places = list(_places(found))
    except (ValueError, RecursionError):
        return None
    if not places:
        return None
    whole, key = random.choice(places)
    match random.randrange(4):
        case 0:
            del whole[key]
        case 1:
            other, name = random.choice(places)
            whole[key] = json.loads(json.dumps(other[name]))
        case _:
            whole[key] = random.choice(ODD)
    lines[at] = json.dumps(found).encode()
    return b"\n".join(lines)


def _places(found: Any) -> Any:
    """List where a value stands: what holds it, and its key or index there."""
    items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in items:
        yield found, key
        yield from _places(value)


def _other_bytes(content: bytes, random: Random) -> bytes:
    start, end = sorted(random.randrange(len(content) + 1) for _ in range(2))
    if random.random() < 0.7:
        end = min(end, start + random.randrange(1, 40))
    match random.randrange(8):
        case 0 if content:  # a bit
            at = start % len(content)
            return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]
        case 1:
            return content[:start] + content[end:]
        case 2:
            return content[:start]
        case 3:
            return content[:start] + content[start:end] * random.choice((2, 3, 50)) + content[end:]
        case 4 if numbers := list(_NUMBER.finditer(content)):
            number = random.choice(numbers)
            return content[: number.start()] + random.choice(TOKENS) + content[number.end() :]
        case 5:
            return content[:start] + random.randbytes(end - start) + content[end:]
        case 6:  # a piece of it elsewhere
            at = random.randrange(len(content) + 1)
            return content[:at] + content[start:end] + content[at:]
        case _:
            return content[:start] + random.choice(TOKENS) + content[start:]
