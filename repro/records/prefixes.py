"""Take off what programs that pass on lines put before each of them: a time, and whose line it is."""

import re
import shlex

_TIMES = (
    # docker logs -t, kubectl logs --timestamps, and a pod's file on its node
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) (?:std(?:out|err) F )?",
    r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ",  # journalctl
)
_SOURCES = (
    r"[\w.-]{1,99}: ",  # srun --label, pdsh
    r"[\w.-]{1,99} *\| ",  # docker compose
    r"\[[^\]\s]{1,99}\](?:<std\w{2,3}>)?: ?",  # mpirun --tag-output
    r"\[[^\]\s]{1,99}\] ",  # kubectl logs --prefix
    r"[a-z\d]{1,99}(?:-[a-z\d]{1,99}){1,9} [a-z\d-]{1,99} ",  # stern: pod and container
    r"[\w.-]{1,99} [\w./-]{1,99}\[\d{1,9}\]: ",  # journalctl: host and process
)
_BEGIN = re.compile(r"\d{4}-\d\d-\d\d \d\d:|accuracy=")  # of a line of a log in the published format
_PREFIX = re.compile(rf"\s*(?:(?:{'|'.join((*_TIMES, *_SOURCES))})\s*){{0,4}}(?={_BEGIN.pattern})")
_NOT_WHOSE = re.compile(rf"{'|'.join(_TIMES)}|<std\w{{2,3}}>:")
_SPECIAL = re.compile(r"[][.*^$+?(){}|\\]")


def split_prefix(line: str) -> tuple[str, str]:
    """Split a line into whose it is and what it says; nothing and the line, where no prefix that is known is."""
    found = None if _BEGIN.match(line) else _PREFIX.match(line)
    if not found:
        return "", line
    return _NOT_WHOSE.sub("", found[0]).strip(), line[found.end() :]


def keep_only(source: str, path: object) -> str:
    """Write the command that keeps the lines of one ``source`` in a log, those without prefix if it is empty."""
    escaped = _SPECIAL.sub(lambda sign: f"\\{sign[0]}", source)
    begin = f"(^| ){escaped}" if source else "^([0-9]{4}-|accuracy=)"
    return f"grep -E {shlex.quote(begin)} {shlex.quote(str(path))}"
