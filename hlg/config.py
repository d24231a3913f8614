"""Every key of every program: the published names with type, unit and meaning, and a strict loader.

A value comes from `--key value` on the command line, else from the YAML file, else it is the default. Whoever
wrote it, the type of the key decides what the text means, not the look of the text: so `1e-5`, which YAML 1.1
takes for text, is a number, and `0` and `1`, the published way to say no and yes, are booleans.
"""

import difflib
import math
import operator
import os
import re
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import yaml

from hlg.errors import UserError

COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
BOOLEANS = {"0": False, "1": True, "false": False, "true": True}
WINDOWS = 7 * 16  # pixels: the network cuts its maps into 7 x 7 windows, at strides up to 16
INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)


def key(
    default: Any,
    help: str,
    *,
    unit: str = "",
    bounds: str = "",
    multiple_of: int = 1,
    choices: tuple[Any, ...] = (),
    path: str = "",
    group: str = "",
) -> Any:
    """One key of `Config`.

    unit: every number has one; "1" for a pure number. bounds: such as "> 0, <= 1". path: "folder" or "file"
    where the text names one: only there environment variables are replaced. group: the heading above the key.
    """
    rules = {"unit": unit, "bounds": bounds, "multiple_of": multiple_of, "choices": choices, "path": path}
    return field(default=default, metadata={"help": help, "group": group, **rules})


@dataclass(frozen=True)
class Config:
    """The settings of a run. The defaults are the published GPU recipe's, except where the help says so."""

    # fmt: off
    enable_modelarts: bool = key(False, "copy data, checkpoint and results from and to the cloud's storage",
                                 group="ModelArts, Huawei's cloud (acted on by the boot file, hlg/modelarts.py, alone)")
    data_url: str = key("", "where the data set lies, such as s3://bucket/imagenet; archives in it are unpacked")
    train_url: str = key("", "where the results go")
    checkpoint_url: str = key("", "where the checkpoint lies that pretrained is to name")
    output_path: str = key("/cache/train", "the results on the cloud machine; there it is save_checkpoint_path",
                           path="folder")
    data_path: str = key("/cache/datasets/imagenet", "the data set on the cloud machine", path="folder")

    dataset_path: str = key("", "training images, a subfolder a class (published: $DATA_PATH/imagenet/train)",
                            path="folder", group="Training images")
    train_image_size: int = key(224, "width and height of a training image; the network is built for it",
                                unit="pixels", bounds=">= 112", multiple_of=WINDOWS)
    interpolation: str = key("BILINEAR", "how images are resized", choices=("BILINEAR",))
    crop_min: float = key(0.05, "smallest random crop, as a part of the image's area",
                          unit="1", bounds="> 0, <= 1")
    batch_size: int = key(128, "images a step, on each device", unit="images", bounds=">= 1")
    train_num_workers: int = key(14, "workers that prepare images, in each process",
                                 unit="workers", bounds=">= 1")

    eval_path: str = key("", "evaluation images, a subfolder a class (published: $DATA_PATH/imagenet/val)",
                         path="folder", group="Evaluation")
    eval_image_size: int = key(224, "width and height of an evaluation image",
                               unit="pixels", bounds=">= 112", multiple_of=WINDOWS)
    eval_batch_size: int = key(128, "images a step, on each device", unit="images", bounds=">= 1")
    eval_interval: int = key(1, "epochs from one evaluation to the next", unit="epochs", bounds=">= 1")
    eval_offset: int = key(-1, "evaluate after n epochs when n modulo eval_interval is this; "
                               "-1: max_epoch modulo eval_interval, so that the last epoch is evaluated",
                           unit="epochs", bounds=">= -1")
    eval_num_workers: int = key(12, "workers that prepare images, in each process",
                                unit="workers", bounds=">= 1")

    class_names: str = key("", "list of what the classes are called, such as LOC_synset_mapping.txt; empty: the one "
                               "beside the data (own key)", path="file")

    backbone: str = key("hlg_mobile", "the network", choices=("hlg_mobile",), group="Network")
    class_num: int = key(1001, "outputs of the network; published with 1001 for the 1000 of ImageNet",
                         unit="classes", bounds=">= 2")
    hlg_config_path: str = key("src.hlg.HLGConfig", "the network's settings; both choices mean the same",
                               choices=("", "src.hlg.HLGConfig"))
    pretrained: str = key("", "checkpoint to start from, to evaluate or to export", path="file")

    lr_decay_mode: str = key("cosine", "how the learning rate falls; cosine ignores lr_min and ends at 0",
                             choices=("cosine", "poly", "steps", "linear", "exp"), group="Learning rate")
    lr_init: float = key(0.0, "learning rate before the warm-up", unit="1", bounds=">= 0")
    lr_max: float = key(1e-3, "learning rate after the warm-up, the highest", unit="1", bounds="> 0")
    lr_min: float = key(1e-5, "learning rate at the end of poly, linear and exp", unit="1", bounds=">= 0")
    max_epoch: int = key(300, "length of the training", unit="epochs", bounds=">= 1")
    warmup_epochs: int = key(20, "length of the linear warm-up, a part of max_epoch",
                             unit="epochs", bounds=">= 0")
    poly_power: float = key(2.0, "exponent of poly (own key)", unit="1", bounds="> 0")

    opt: str = key("adamw", "the optimizer", choices=("adamw",), group="Optimizer")
    beta1: float = key(0.9, "decay of the mean of gradients", unit="1", bounds=">= 0, < 1")
    beta2: float = key(0.999, "decay of the mean of squared gradients", unit="1", bounds=">= 0, < 1")
    weight_decay: float = key(0.05, "decoupled decay, scaled by the learning rate", unit="1", bounds=">= 0")
    no_weight_decay_filter: str = key("beta,bias", "parts of the names of parameters that do not decay")
    gc_flag: bool = key(False, "centralize gradients")

    loss_scale: float = key(1024.0, "constant scale of the loss in mixed precision",
                            unit="1", bounds="> 0", group="Loss")
    use_label_smooth: bool = key(True, "smooth labels (the published code never reads it); 0: a factor of 0")
    label_smooth_factor: float = key(0.1, "probability taken from the true class",
                                     unit="1", bounds=">= 0, < 1")
    mixup: float = key(0.2, "alpha of the Beta distribution that mixes images; 0: no mixing",
                       unit="1", bounds=">= 0")
    autoaugment: bool = key(True, "augment training images by AutoAugment's ImageNet policy")
    loss_name: str = key("ce_smooth_mixup", "the loss; ce_smooth_mixup works with and without mixup",
                         choices=("ce_smooth", "ce_smooth_mixup", "ce_ignore"))
    ignore_label: int = key(255, "label that ce_ignore leaves out (own key)", unit="class", bounds=">= 0")

    save_checkpoint: bool = key(True, "save checkpoints: of the last two epochs, of the best one, and these:",
                                group="Checkpoints")
    save_checkpoint_epochs: int = key(8, "epochs from one checkpoint that stays to the next",
                                      unit="epochs", bounds=">= 1")
    keep_checkpoint_max: int = key(3, "how many of those to keep, the newest", unit="files", bounds=">= 1")
    save_checkpoint_steps: int = key(0, "steps from one checkpoint to the next within an epoch; 0: none (own key)",
                                     unit="steps", bounds=">= 0")
    save_checkpoint_path: str = key("results/runs", "where the run's folder is made (published: ./outputs)",
                                    path="folder")

    resume: str = key("", "run folder, or checkpoint in one, to go on from (own key)", path="folder")
    resume_changed: bool = key(False, "resume although settings, data or devices are not those of the start (own key)")

    open_profiler: bool = key(False, "profile the run", group="Run")
    context_mode: int = key(0, "0: compiled graph, 1: operator by operator", unit="mode", choices=(0, 1))
    graph_cache: str = key("", "folder of compiled graphs kept between runs of one rank; empty: none (own key)",
                           path="folder")
    graph_kernel: bool = key(False, "fuse operators into kernels that are compiled on this machine: faster steps on a "
                                    "CPU, with less memory; wants g++ (own key)")
    device_target: str = key("CPU", "kind of device (published: GPU)", choices=("Ascend", "GPU", "CPU"))
    device_id: int = key(0, "number of the device in this machine", unit="index", bounds=">= 0")
    amp_level: str = key("O0", "O0: float32; O2: float16, batch norm float32; O3: float16 (published: O3)",
                         choices=("O0", "O2", "O3"))
    run_distribute: bool = key(False, "several devices, one process on each (python -m hlg.launch, msrun, mpirun)")
    seed: int = key(1, "seed of everything random (own key)", unit="1", bounds=">= 0, <= 4294967295")
    log_interval: int = key(0, "steps from one step line in the log to the next; 0: one an epoch (own key)",
                            unit="steps", bounds=">= 0")
    calibration_interval: int = key(0, "steps from one timing of a fixed calculation to the next, against which make "
                                       "check holds the time of a step; 0: none (own key)", unit="steps", bounds=">= 0")
    stall_timeout: int = key(1800, "longest wait for a batch, a step or another rank before the process ends itself "
                                   "(own key)", unit="s", bounds=">= 1")
    on_unreadable: str = key("error", "what to do about an unreadable image (own key)",
                             choices=("error", "skip"))
    shuffle_labels: bool = key(False, "control experiment: training labels permuted by the seed (own key)")

    file_name: str = key("hlg_mobile.mindir", "the exported file; its ending follows its format", path="file",
                         group="Export")
    file_format: str = key("MINDIR", "format of the exported file; SAFETENSORS: the weights alone (own choice)",
                           choices=("MINDIR", "ONNX", "SAFETENSORS"))
    # fmt: on

    def evaluates(self, epoch: int) -> bool:
        """Whether an evaluation follows `epoch`, which counts from 0."""
        offset = self.max_epoch % self.eval_interval if self.eval_offset == -1 else self.eval_offset
        return (epoch + 1) % self.eval_interval == offset

    @property
    def smoothing(self) -> float:
        """The factor of label smoothing in use."""
        return self.label_smooth_factor if self.use_label_smooth else 0.0

    @property
    def no_weight_decay_names(self) -> tuple[str, ...]:
        """The parts of `no_weight_decay_filter`."""
        return tuple(part.strip() for part in self.no_weight_decay_filter.split(",") if part.strip())


KEYS: dict[str, Field[Any]] = {spec.name: spec for spec in fields(Config)}


class Written(NamedTuple):
    """A value as somebody wrote it, and where: `recipe.yml:7: batch_size` or `--batch_size`."""

    text: str
    where: str


def load(argv: Sequence[str], need: Sequence[str] = ()) -> tuple[Config, str]:
    """The configuration of a command line, and the stem of its config file ("default" without one).

    argv: `--config_path FILE` and `--key value`, not the program's name; `--help` prints all keys and exits. Without a
    FILE the run that `--resume` names brings its own.
    need: keys of folders and files that must exist. Nothing is written.
    Raises UserError: an unknown key, a value that is wrong or impossible, a path that is needed and missing, or still
    in the cloud.
    """
    if "--help" in argv or "-h" in argv:
        print(describe())
        raise SystemExit(0)
    arguments = _read_command_line(argv)
    file = arguments.pop("config_path", None) or _config_of_run(arguments.get("resume"))
    written = {**(_read_file(Path(file.text)) if file else {}), **arguments}
    where = {name: written[name].where if name in written else f"{name} (default)" for name in KEYS}

    config = Config(**{name: _value(KEYS[name], text, where[name]) for name, (text, _) in written.items()})
    _check_together(config, where)
    if need and config.enable_modelarts:
        raise UserError(
            f"{where['enable_modelarts']}: found 1, but the boot file alone copies from and to ModelArts' storage: "
            "start python hlg/modelarts.py with these options, or set it to 0 where the data are at hand"
        )
    for name in need:
        _check_exists(getattr(config, name), KEYS[name], where[name])
    return config, Path(file.text).stem if file else "default"


def dump(config: Config) -> str:
    """The configuration as YAML: every key, in the order of the fields. It loads back to an equal one."""
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


def describe() -> str:
    """The text of `--help`: every key with its unit, what it takes, its default and its meaning."""
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
        lines.append(f"  --{name}{unit}  {_allowed(spec)}; default {_show(spec.default)}")
        lines.append(f"      {rules['help']}")
    return "\n".join(lines)


def _config_of_run(resume: Written | None) -> Written | None:
    """A run that is resumed, by its folder or a checkpoint in it, brings its own config file."""
    if resume is None or not resume.text:
        return None
    path = Path(_expand(resume.text, resume.where))
    file = (path.parent.parent if path.suffix == ".ckpt" else path) / "config.yml"
    if not os.path.isfile(file):  # noqa: PTH113 - no name, however odd, makes it raise
        raise UserError(f"{resume.where}: found {resume.text!r}; allowed: a run's folder, or a checkpoint in one")
    return Written(str(file), resume.where)


def _read_command_line(argv: Sequence[str]) -> dict[str, Written]:
    """`--key value` and `--key=value`. The last one holds, so that what a script gives can be overridden."""
    written = {}
    rest = iter(argv)
    for argument in rest:
        if not argument.startswith("--"):
            raise UserError(f"{argument}: follows no key; allowed: --key value")
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
    """One flat YAML mapping. Its nodes, not its values, are read: they keep the text and the line."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise UserError(f"{path}: this config file cannot be read: {error.strerror}") from None
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
            raise UserError(f"{where}: found {_kind(value_node)}; allowed: {_allowed(KEYS[name])}")
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


def _value(spec: Field[Any], text: str, where: str) -> Any:
    """What `text` means for this key."""
    rules = spec.metadata
    value: Any = _expand(text, where) if rules["path"] else _parse(spec.type, text)
    if (
        value is None
        or (rules["choices"] and value not in rules["choices"])
        or (rules["bounds"] and not _within(value, rules["bounds"]))
        or (rules["multiple_of"] > 1 and value % rules["multiple_of"])
    ):
        raise UserError(f"{where}: found {text!r}; allowed: {_allowed(spec)}")
    return value


def _parse(kind: Any, text: str) -> Any:
    """None where the text is not of this kind."""
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


def _expand(text: str, where: str) -> str:
    try:
        return Template(text).substitute(os.environ)
    except KeyError as error:
        name = error.args[0]
        problem = f"but ${name} is not set; set it (export {name}=...) or write the path itself"
        raise UserError(f"{where}: found {text!r}, {problem}") from None
    except ValueError:
        allowed = "$NAME, ${NAME} and $$ for a dollar sign"
        raise UserError(f"{where}: found {text!r}; allowed: {allowed}") from None


def _allowed(spec: Field[Any]) -> str:
    """What a key takes, in words."""
    rules = spec.metadata
    if rules["choices"]:
        return " | ".join(map(_show, rules["choices"]))
    if rules["multiple_of"] > 1:
        sizes = ", ".join(str(n * rules["multiple_of"]) for n in range(1, 5))
        return f"a multiple of {rules['multiple_of']} ({sizes}, ...)"
    text = f"a {rules['path']}" if rules["path"] else "text"
    kinds = {bool: "0 or 1", int: "a whole number", float: "a number", str: text}
    return f"{kinds[spec.type]} {rules['bounds']}".rstrip()  # type: ignore[index]


def _show(value: Any) -> str:
    """A value in the form in which it is written."""
    return str(int(value) if isinstance(value, bool) else value) or "''"


def _check_together(config: Config, where: dict[str, str]) -> None:
    """Values that are possible alone and impossible together."""
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
            found = " and ".join(f"{where[name]} is {_show(getattr(config, name))}" for name in names)
            raise UserError(f"{found}: {rule}")


def _check_exists(value: str, spec: Field[Any], where: str) -> None:
    kind = spec.metadata["path"]
    try:
        exists = Path(value).is_dir() if kind == "folder" else Path(value).is_file()
    except OSError:  # such as a name that is too long
        exists = False
    if not value or not exists:
        found = repr(value) if value else "nothing"
        raise UserError(f"{where}: found {found}; allowed: a {kind} that exists (--{spec.name} ...)")
