"""Load a configuration from the command line and a YAML file, and refuse every mistake in one clear line.

A value comes from ``--key value`` on the command line, else from the YAML file, else it is the default.
"""

import difflib
import os
from collections.abc import Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hlg.config.keys import KEYS, Config
from hlg.config.text import allowed_values, expand_variables, help_text, parse_value, show_value
from hlg.console import say
from hlg.errors import UserError
from hlg.files import follow_links, read_plain

LONGEST = 1 << 17  # bytes of a config file; one with every key has a thirtieth
MOST_BRACKETS = 100  # of a recipe, in which only a comment has any


class Written(NamedTuple):
    """A value as a user wrote it, and where: ``recipe.yml:7: batch_size`` or ``--batch_size``."""

    text: str
    where: str


def load(argv: Sequence[str], need: Sequence[str] = (), unread: Sequence[str] = ()) -> tuple[Config, str]:
    """Load the configuration of a command line; also returns the stem of its config file ("default" without one).

    Nothing is written.

    Args:
        argv: ``--config_path FILE`` and ``--key value``, without the program's name; ``--help`` prints all keys and
            exits. Without a FILE, the run that ``--resume`` names brings its own.
        need: keys of folders and files that must exist.
        unread: keys of folders and files that nothing will read: there a variable need not be set.

    Raises:
        UserError: an unknown key, a value that is wrong or impossible, a path that is needed and missing, or still in
            the cloud.
    """
    if "--help" in argv or "-h" in argv:
        say(help_text())
        raise SystemExit(0)
    arguments = _read_command_line(argv)
    file = arguments.pop("config_path", None) or _config_of_run(arguments.get("resume"))
    written = {**(_read_file(Path(file.text)) if file else {}), **arguments}
    where = {name: written[name].where if name in written else f"{name} (default)" for name in KEYS}

    values = {name: _value(name, text, where[name], name in unread) for name, (text, _) in written.items()}
    config = Config(**values)
    _check_together(config, where)
    if need and config.enable_modelarts:
        raise UserError(
            f"{where['enable_modelarts']}: found 1, but the boot file alone copies from and to ModelArts' storage: "
            "start python hlg/modelarts.py with these options, or set it to 0 where the data are at hand"
        )
    for name in need:
        _check_exists(getattr(config, name), KEYS[name], where[name])
    return config, Path(file.text).stem if file else "default"


def _value(name: str, text: str, where: str, unread: bool) -> Any:
    try:
        return parse_value(KEYS[name], text, where)
    except UserError:
        if unread:
            return text
        raise


def _config_of_run(resume: Written | None) -> Written | None:
    """Find the config file of a run that is to be resumed, named by its folder or a checkpoint in it."""
    if resume is None or not resume.text:
        return None
    path = follow_links(Path(expand_variables(resume.text, resume.where, KEYS["resume"])))
    file = (path.parent.parent if path.suffix == ".ckpt" else path) / "config.yml"
    if not os.path.isfile(file):  # noqa: PTH113 - no name, however odd, makes it raise
        raise UserError(f"{resume.where}: found {resume.text!r}; allowed: a run's folder, or a checkpoint in one")
    return Written(str(file), resume.where)


def _read_command_line(argv: Sequence[str]) -> dict[str, Written]:
    """Read ``--key value`` and ``--key=value``; the last one holds, so that a script's options can be overridden."""
    written = {}
    rest = iter(argv)
    for argument in rest:
        if not argument.startswith("--"):
            raise UserError(f"{argument}: follows no key; allowed: --key value, and images before all keys")
        name, equals, text = argument.removeprefix("--").partition("=")
        if name != "config_path":
            _check_known(name, f"--{name}")
        if not equals:
            text = next(rest, "--")
            if text.startswith("--"):
                raise UserError(f"--{name}: found no value; allowed: --{name} VALUE or --{name}=VALUE")
        written[name] = Written(text, f"--{name}")
    return written


def _read_file(path: Path) -> dict[str, Written]:
    """Read one flat YAML mapping: its nodes, not its values, for they keep the text and the line."""
    try:
        text = read_plain(path, LONGEST).decode("utf-8-sig")
        if sum(map(text.count, "[{")) > MOST_BRACKETS:  # PyYAML's time grows with the cube of their number
            raise UserError(f"{path}: found more than {MOST_BRACKETS} brackets; allowed: lines of `key: value`")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise UserError(f"{path}: this config file cannot be read: {error.strerror}") from None
    except RecursionError:
        raise UserError(f"{path}: found lists in lists without end; allowed: lines of `key: value`") from None
    except (ValueError, OverflowError, yaml.YAMLError) as error:  # the first two: no UTF-8, no such character
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UserError(f"{path}{line}: this is not YAML in UTF-8: {problem}") from None
    if not isinstance(root, yaml.MappingNode):
        raise UserError(f"{path}: found {_kind(root)}; allowed: lines of `key: value`")

    written: dict[str, Written] = {}
    first_line: dict[str, int] = {}
    for name_node, value_node in root.value:
        line = name_node.start_mark.line + 1
        name = name_node.value if isinstance(name_node, yaml.ScalarNode) else _kind(name_node)
        _check_known(name, f"{path}:{line}")
        where = f"{path}:{line}: {name}"
        if name in written:
            raise UserError(f"{where}: found a second time, after line {first_line[name]}; allowed: once")
        if not isinstance(value_node, yaml.ScalarNode):
            raise UserError(f"{where}: found {_kind(value_node)}; allowed: {allowed_values(KEYS[name])}")
        empty = value_node.tag == "tag:yaml.org,2002:null"
        written[name] = Written("" if empty else value_node.value, where)
        first_line[name] = line
    return written


def _kind(node: yaml.Node | None) -> str:
    names = {yaml.ScalarNode: "text", yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}
    return names[type(node)] if node else "nothing"


def _check_known(name: str, where: str) -> None:
    if name not in KEYS:
        closest = difflib.get_close_matches(name.lower(), KEYS, n=1, cutoff=0.0)[0]
        raise UserError(f"{where}: unknown key {name!r}; closest known key: {closest!r} (--help lists all)")


def _check_together(config: Config, where: dict[str, str]) -> None:
    """Refuse values that are possible alone and impossible together."""
    c = config
    impossible = {
        ("lr_min", "lr_max"): (c.lr_min > c.lr_max, "lr_min must not be above lr_max"),
        ("lr_init", "lr_max"): (c.lr_init > c.lr_max, "lr_init must not be above lr_max"),
        ("lr_decay_mode", "lr_min"): (
            c.lr_decay_mode == "exp" and c.lr_min == 0,
            "exp falls by a factor, so lr_min must be above 0",
        ),
        ("warmup_epochs", "max_epoch"): (
            c.warmup_epochs > c.max_epoch,
            "warmup_epochs must not be above max_epoch",
        ),
        ("eval_offset", "eval_interval"): (
            c.eval_offset >= c.eval_interval,
            "no epoch would be evaluated; eval_offset must be below eval_interval",
        ),
        ("mixup", "loss_name"): (
            c.mixup > 0 and c.loss_name != "ce_smooth_mixup",
            "this loss takes no mixed labels; choose loss_name ce_smooth_mixup or mixup 0",
        ),
        ("class_num", "loss_name"): (
            c.class_num < 3 and c.loss_name == "ce_smooth_mixup",
            "this loss needs 3 classes; choose loss_name ce_smooth and mixup 0 for fewer",
        ),
    }
    for names, (wrong, rule) in impossible.items():
        if wrong:
            found = " and ".join(f"{where[name]} is {show_value(getattr(config, name))}" for name in names)
            raise UserError(f"{found}: {rule}")


def _check_exists(value: str, spec: Field[Any], where: str) -> None:
    kind = spec.metadata["path"]
    try:
        exists = Path(value).is_dir() if kind == "folder" else Path(value).is_file()
    except OSError:  # such as a name that is too long
        exists = False
    if not value or not exists:
        found = repr(value) if value else "nothing"
        raise UserError(f"{where}: found {found}; allowed: a {kind} that exists (--{spec.name}=...)")
