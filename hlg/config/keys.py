"""Declare every key of every program: its published name, type, default, unit, meaning and what it can change."""

from dataclasses import Field, dataclass, field, fields
from enum import Enum
from typing import Any

WINDOWS = 7 * 16  # pixels: the network cuts its maps into 7 x 7 windows, at strides up to 16


class Affects(Enum):
    """What a change of a key affects."""

    GRAPHS = "the compiled graphs, and with them the numbers of a run"
    NUMBERS = "the numbers of a run, but no graph: an input of the graphs, or how long and on what they run"
    NOTHING = "neither: where things lie, how many threads prepare them, what is written how often"


GRAPHS, NUMBERS, NOTHING = Affects.GRAPHS, Affects.NUMBERS, Affects.NOTHING


def key(
    default: Any,
    help: str,
    *,
    unit: str = "",
    bounds: str = "",
    multiple_of: int = 1,
    choices: tuple[Any, ...] = (),
    path: str = "",
    affects: Affects = GRAPHS,
    group: str = "",
) -> Any:
    """Declare one key of :class:`Config`.

    Args:
        default: its type is the key's.
        help: what it means.
        unit: every number has one; "1" for a pure number.
        bounds: such as "> 0, <= 1".
        multiple_of: what a number must be a multiple of.
        choices: the only values that are allowed.
        path: "folder" or "file" where the text names one: only there environment variables are replaced.
        affects: what another value can change.
        group: the heading above the key.
    """
    rules = {"unit": unit, "bounds": bounds, "multiple_of": multiple_of, "choices": choices, "path": path}
    return field(default=default, metadata={"help": help, "group": group, "affects": affects, **rules})


@dataclass(frozen=True)
class Config:
    """The settings of a run. The defaults are the published GPU recipe's, except where the help says so."""

    # fmt: off
    enable_modelarts: bool = key(False, "copy data, checkpoint and results from and to the cloud's storage",
                                 group="ModelArts, Huawei's cloud (acted on by the boot file, hlg/modelarts.py, alone)")
    data_url: str = key("", "where the data set lies, such as s3://bucket/imagenet; archives in it are unpacked",
                        affects=NOTHING)
    train_url: str = key("", "where the results go", affects=NOTHING)
    checkpoint_url: str = key("", "where the checkpoint lies that pretrained is to name")
    output_path: str = key("/cache/train", "the results on the cloud machine; there it is save_checkpoint_path",
                           path="folder", affects=NOTHING)
    data_path: str = key("/cache/datasets/imagenet", "the data set on the cloud machine", path="folder",
                         affects=NOTHING)

    dataset_path: str = key("", "training images, a subfolder a class (published: $DATA_PATH/imagenet/train)",
                            path="folder", group="Training images", affects=NOTHING)
    train_image_size: int = key(224, "width and height of a training image; the network is built for it",
                                unit="pixels", bounds=">= 112, <= 4480", multiple_of=WINDOWS)
    interpolation: str = key("BILINEAR", "how images are resized", choices=("BILINEAR",))
    crop_min: float = key(0.05, "smallest random crop, as a part of the image's area",
                          unit="1", bounds="> 0, <= 1")
    batch_size: int = key(128, "images a step, on each device", unit="images", bounds=">= 1, <= 65536")
    train_num_workers: int = key(14, "workers that prepare images, in each process",
                                 unit="workers", bounds=">= 1, <= 1024", affects=NOTHING)

    eval_path: str = key("", "evaluation images, a subfolder a class (published: $DATA_PATH/imagenet/val)",
                         path="folder", group="Evaluation", affects=NOTHING)
    eval_image_size: int = key(224, "width and height of an evaluation image",
                               unit="pixels", bounds=">= 112, <= 4480", multiple_of=WINDOWS)
    eval_batch_size: int = key(128, "images a step, on each device", unit="images", bounds=">= 1, <= 65536")
    eval_interval: int = key(1, "epochs from one evaluation to the next",
                             unit="epochs", bounds=">= 1, <= 100000", affects=NUMBERS)
    eval_offset: int = key(-1, "evaluate after n epochs when n modulo eval_interval is this; "
                               "-1: max_epoch modulo eval_interval, so that the last epoch is evaluated",
                           unit="epochs", bounds=">= -1, <= 100000", affects=NUMBERS)
    eval_num_workers: int = key(12, "workers that prepare images, in each process",
                                unit="workers", bounds=">= 1, <= 1024", affects=NOTHING)

    target_top1: float = key(0.0, "report the first evaluation whose top-1 accuracy reaches this, and the time until "
                                  "then; the training goes on; 0: none (own key)",
                             unit="%", bounds=">= 0, <= 100", affects=NOTHING)

    class_names: str = key("", "list of what the classes are called, such as LOC_synset_mapping.txt; empty: the one "
                               "beside the data (own key)", path="file", affects=NOTHING)

    class_map: str = key("", "where the class folders are not those that the checkpoint was trained on: name gives "
                             "each the label of its name there, order takes the n-th for the n-th output; empty: "
                             "refuse (own key)", choices=("", "name", "order"), affects=NUMBERS)

    backbone: str = key("hlg_mobile", "the network", choices=("hlg_mobile",), group="Network")
    class_num: int = key(1001, "outputs of the network; published with 1001 for the 1000 of ImageNet",
                         unit="classes", bounds=">= 2, <= 1000000")
    hlg_config_path: str = key("src.hlg.HLGConfig", "the network's settings; both choices mean the same",
                               choices=("", "src.hlg.HLGConfig"))
    pretrained: str = key("", "checkpoint to start from, to evaluate or to export", path="file", affects=NUMBERS)

    lr_decay_mode: str = key("cosine", "how the learning rate falls; cosine ignores lr_min and ends at 0",
                             choices=("cosine", "poly", "steps", "linear", "exp"), group="Learning rate",
                             affects=NUMBERS)
    lr_init: float = key(0.0, "learning rate before the warm-up", unit="1", bounds=">= 0, <= 1000", affects=NUMBERS)
    lr_max: float = key(1e-3, "learning rate after the warm-up, the highest", unit="1", bounds="> 0, <= 1000",
                        affects=NUMBERS)
    lr_min: float = key(1e-5, "learning rate at the end of poly, linear and exp", unit="1", bounds=">= 0, <= 1000",
                        affects=NUMBERS)
    max_epoch: int = key(300, "length of the training", unit="epochs", bounds=">= 1, <= 100000", affects=NUMBERS)
    warmup_epochs: int = key(20, "length of the linear warm-up, a part of max_epoch",
                             unit="epochs", bounds=">= 0, <= 100000", affects=NUMBERS)
    poly_power: float = key(2.0, "exponent of poly (own key)", unit="1", bounds="> 0, <= 1000", affects=NUMBERS)

    opt: str = key("adamw", "the optimizer", choices=("adamw",), group="Optimizer")
    beta1: float = key(0.9, "decay of the mean of gradients", unit="1", bounds=">= 0, < 1")
    beta2: float = key(0.999, "decay of the mean of squared gradients", unit="1", bounds=">= 0, < 1")
    weight_decay: float = key(0.05, "decoupled decay, scaled by the learning rate", unit="1", bounds=">= 0, <= 1000")
    no_weight_decay_filter: str = key("beta,bias", "parts of the names of parameters that do not decay")
    gc_flag: bool = key(False, "centralize gradients")

    loss_scale: float = key(1024.0, "constant scale of the loss in mixed precision",
                            unit="1", bounds="> 0, <= 4294967296", group="Loss")
    use_label_smooth: bool = key(True, "smooth labels (the published code never reads it); 0: a factor of 0")
    label_smooth_factor: float = key(0.1, "probability taken from the true class",
                                     unit="1", bounds=">= 0, < 1")
    mixup: float = key(0.2, "alpha of the Beta distribution that mixes images; 0: no mixing",
                       unit="1", bounds=">= 0, <= 1000")
    autoaugment: bool = key(True, "augment training images by AutoAugment's ImageNet policy")
    loss_name: str = key("ce_smooth_mixup", "the loss; ce_smooth_mixup works with and without mixup",
                         choices=("ce_smooth", "ce_smooth_mixup", "ce_ignore"))
    ignore_label: int = key(255, "label that ce_ignore leaves out (own key)", unit="class", bounds=">= 0, <= 1000000")

    save_checkpoint: bool = key(True, "save checkpoints: of the last two epochs, of the best one, and these:",
                                group="Checkpoints", affects=NOTHING)
    save_checkpoint_epochs: int = key(8, "epochs from one checkpoint that stays to the next",
                                      unit="epochs", bounds=">= 1, <= 100000", affects=NOTHING)
    keep_checkpoint_max: int = key(3, "how many of those to keep, the newest", unit="files", bounds=">= 1, <= 100000",
                                   affects=NOTHING)
    save_checkpoint_steps: int = key(0, "steps from one checkpoint to the next within an epoch; 0: none (own key)",
                                     unit="steps", bounds=">= 0, <= 1000000000", affects=NOTHING)
    save_checkpoint_path: str = key("results/runs", "where the run's folder is made (published: ./outputs)",
                                    path="folder", affects=NOTHING)

    resume: str = key("", "run folder, or checkpoint in one, to go on from (own key)", path="folder", affects=NOTHING)
    resume_changed: bool = key(False, "resume although settings, data or devices are not those of the start (own key)",
                               affects=NOTHING)

    open_profiler: bool = key(False, "profile the run", group="Run")
    context_mode: int = key(0, "0: compiled graph, 1: operator by operator", unit="mode", choices=(0, 1))
    graph_cache: str = key("", "folder of compiled graphs kept between runs of one rank; empty: none (own key)",
                           path="folder", affects=NOTHING)
    graph_kernel: bool = key(False, "fuse operators into kernels that are compiled on this machine: faster steps on a "
                                    "CPU, with less memory; wants g++ (own key)")
    device_target: str = key("CPU", "kind of device (published: GPU)", choices=("Ascend", "GPU", "CPU"))
    device_id: int = key(0, "number of the device in this machine", unit="index", bounds=">= 0, <= 1023",
                         affects=NOTHING)
    amp_level: str = key("O0", "O0: float32; O2: float16, batch norm float32; O3: float16 (published: O3)",
                         choices=("O0", "O2", "O3"))
    run_distribute: bool = key(False, "several devices, one process on each (python -m hlg.launch, msrun, mpirun)",
                               affects=NOTHING)  # the number of devices does, and is recorded by itself
    seed: int = key(1, "seed of everything random (own key)", unit="1", bounds=">= 0, <= 4294967295", affects=NUMBERS)
    log_interval: int = key(0, "steps from one step line in the log to the next; 0: one an epoch (own key)",
                            unit="steps", bounds=">= 0, <= 1000000000", affects=NOTHING)
    calibration_interval: int = key(0, "steps from one timing of a fixed calculation to the next, against which make "
                                       "check holds the time of a step; 0: none (own key)",
                                    unit="steps", bounds=">= 0, <= 1000000000", affects=NOTHING)
    stall_timeout: int = key(1800, "longest wait for a batch, a step or another rank before the process is ended "
                                   "(own key)", unit="s", bounds=">= 1, <= 31536000", affects=NOTHING)
    on_unreadable: str = key("error", "what to do about an unreadable image (own key)",
                             choices=("error", "skip"), affects=NUMBERS)
    shuffle_labels: bool = key(False, "control experiment: training labels permuted by the seed (own key)",
                               affects=NUMBERS)

    file_name: str = key("hlg_mobile.mindir", "the exported file; its ending follows its format", path="file",
                         group="Export")
    file_format: str = key("MINDIR", "format of the exported file; SAFETENSORS: the weights alone (own choice)",
                           choices=("MINDIR", "ONNX", "SAFETENSORS"))
    # fmt: on

    def evaluates(self, epoch: int) -> bool:
        """Tell whether an evaluation follows ``epoch``, which counts from 0."""
        offset = self.max_epoch % self.eval_interval if self.eval_offset == -1 else self.eval_offset
        return (epoch + 1) % self.eval_interval == offset

    @property
    def smoothing(self) -> float:
        """The factor of label smoothing in use."""
        return self.label_smooth_factor if self.use_label_smooth else 0.0

    @property
    def no_weight_decay_names(self) -> tuple[str, ...]:
        """The parts of ``no_weight_decay_filter``."""
        return tuple(part.strip() for part in self.no_weight_decay_filter.split(",") if part.strip())


KEYS: dict[str, Field[Any]] = {spec.name: spec for spec in fields(Config)}


def keys_that_affect(*what: Affects) -> frozenset[str]:
    """The names of the keys that can change one of these."""
    return frozenset(name for name, spec in KEYS.items() if spec.metadata["affects"] in what)
