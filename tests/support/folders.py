"""Writes sealed run folders, as a training or evaluation leaves them. What a test varies is an argument."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from repro.records.seal import write_seal

RECIPE = yaml.safe_load("""
{train_image_size: 224, batch_size: 128, eval_image_size: 224, eval_batch_size: 128, eval_interval: 1,
interpolation: BILINEAR, crop_min: 0.05, backbone: hlg_mobile, class_num: 1001, pretrained: "",
lr_decay_mode: cosine, lr_init: 0.0, lr_max: 0.001, lr_min: 1.0e-05, max_epoch: 300, warmup_epochs: 20,
opt: adamw, beta1: 0.9, beta2: 0.999, weight_decay: 0.05, no_weight_decay_filter: "beta,bias", gc_flag: 0,
loss_name: ce_smooth_mixup, use_label_smooth: 1, label_smooth_factor: 0.1, mixup: 0.2, autoaugment: 1,
amp_level: O3, shuffle_labels: 0}
""")
IMAGENET = {
    "train": {"path": "/data/train", "images": 1281167, "classes": 1000, "hash": "files-sizes-sample:sha256:11"},
    "eval": {"path": "/data/val", "images": 50000, "classes": 1000, "hash": "files-sizes-sample:sha256:22"},
}
TINY = {
    "train": {"path": "data/tiny/train", "images": 2560, "classes": 10, "hash": "content:sha256:33"},
    "eval": {"path": "data/tiny/val", "images": 640, "classes": 10, "hash": "content:sha256:44"},
}
STAMP = "2026-11-23 06:20:00:INFO:"

CLASSES = {  # of the published evaluation, in two classes instead of a thousand
    "classes": [
        {"class": "n01440764", "name": "tench", "images": 20000, "correct_top1": 17744, "correct_top5": 19000},
        {"class": "n01443537", "images": 30000, "correct_top1": 20000, "correct_top5": 29700},
    ],
    "confused": [
        {"class": "n01443537", "taken_for": "n01440764", "images": 9999},
        {"class": "n01440764", "taken_for": "output 1000", "images": 2},
    ],
}


def environment(kind: str, devices: Sequence[str], count: int, dataset: Mapping[str, Any]) -> dict[str, Any]:
    target = "CPU" if "x86_64" in devices else "Ascend"
    code = {"commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", "dirty": False, "packages": {"mindspore": "2.10.0"}}
    device = {"target": target, "names": list(devices), "count": count}
    machine = {"cpu": {"model": "Intel Xeon", "cores": 2}, "device": device}
    return {"kind": kind, **code, **machine, "dataset": dataset, "parameters": 6147657, "missing": []}


def train_run(
    root: Path,
    *,
    name: str = "20261123T062000Z_hlg_mobile_ascendx8_1a2b3c4d",
    devices: Sequence[str] = ("Ascend910",) * 8,
    dataset: Mapping[str, Any] = IMAGENET,
    config: Mapping[str, Any] | None = None,
    seed: int = 1,
    env: Mapping[str, Any] | None = None,
    best: float = 0.75618,
    last: float = 0.75502,
    step_time_s: float = 0.3731,
    fps: float = 2744.82,
    mean_fps: float = 2739.62,
    training_time_s: float = 143108.96,
    skipped_images: int = 0,
    loss: float = 2.325288,
    extra_lines: Sequence[str] = (),
    start: Mapping[str, Any] | None = None,
    resumed: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """By default the published training: 300 epochs of ImageNet on 8 Ascend 910. `best` is of the first.

    An epoch has one step. `resumed` holds the events of resumptions, as `resume` makes them.
    """
    settings: dict[str, Any] = {**RECIPE, "seed": seed, **(config or {})}
    lines = ["Args:", "--> batch_size: 128", "", "compile time used=17.30s"]
    begun = {"event": "start", "eval_images": dataset["eval"]["images"], **(start or {})}
    events: list[dict[str, Any]] = [begun, {"event": "compile", "compile_time_s": 17.3}]
    times = {"step_time_ms": number(1000 * step_time_s), "data_wait_ms": 0.1, "overflow": False}
    for epoch in range(settings["max_epoch"]):
        top1 = best if epoch == 0 else last
        for event in resumed:
            if event["step"] == epoch:
                lines.append(f"resumed from {event['checkpoint']} at step {epoch}")
                events.append(dict(event))
        lines.append(f"epoch[{epoch}], step_num[{epoch}], loss={loss:.6f}")
        lines.append(
            f"epoch[{epoch}], epoch time: {466.71:.2f}s, per step time: {step_time_s:.4f}s, loss={loss:.6f}, "
            f"lr={0.0:.6f}, fps={fps:.2f}, accuracy={top1:.6f}, eval_cost={7.99:.2f}"
        )
        both = {"loss": number(loss), "lr": 0.0}
        events.append({"event": "step", "epoch": epoch, "step": epoch, **both, **times})
        rates = {"epoch_time_s": 466.71, "images_per_s": number(fps)}
        events.append({"event": "epoch", "epoch": epoch, **rates, **both, "top1_pct": 100 * top1})
    lines += [f"training time used={training_time_s:.2f}s", f"last_metric[{best}]"]
    lines += [f"ip[127.0.0.1], mean_fps[{mean_fps:.2f}]"]
    end = {"training_time_s": number(training_time_s), "mean_images_per_s": number(mean_fps)}
    events.append({"event": "end", **end, "skipped_images": skipped_images})
    facts = environment("train", devices, len(devices), dataset) | dict(env or {})
    folder = write(root / name, settings, facts, events)
    log = [*extra_lines, *(STAMP + line for line in lines)]
    (folder / "train.log").write_text("".join(f"{line}\n" for line in log))
    return seal(folder)


def resume(step: int, **changes: Any) -> dict[str, Any]:
    """The event of a resumption at this step, or epoch, which is the same here."""
    event = {"event": "resume", "time": "2026-11-23T09:00:00Z", "step": step, "epoch": step}
    event |= {"checkpoint": f"hlg_mobile-{step:04d}.ckpt", "repeated_steps": 3, "changed": [], "compile_time_s": 25.1}
    return event | changes


def eval_run(
    root: Path,
    *,
    name: str = "20261123T072000Z_hlg_mobile_gpux1_1a2b3c4d",
    devices: Sequence[str] = ("NVIDIA GeForce RTX 3090",),
    dataset: Mapping[str, Any] = IMAGENET,
    config: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    correct: int = 37744,
    step_time_s: float = 0.2441,
    total_time_s: float = 95.4355,
    skipped_images: int = 0,
    counts: Mapping[str, Any] | None = None,
) -> Path:
    """By default the published evaluation itself: 50,000 images in float32 on one RTX 3090.

    ``counts``: what eval.json says of each class, see CLASSES.
    """
    images = dataset["eval"]["images"]
    share = correct / images
    event = {"event": "eval", "top1_pct": 100 * share, "top5_pct": 99.0, "images": images, "total_time_s": total_time_s}
    facts = environment("eval", devices, len(devices), {"eval": dataset["eval"]}) | dict(env or {})
    folder = write(root / name, RECIPE | {"amp_level": "O0"} | dict(config or {}), facts, [event])
    (folder / "eval.log").write_text(
        f"{STAMP}Args:\naccuracy={share:.6f}, per step time: {step_time_s:.4f}s, total cost time: {total_time_s:.4f}s\n"
    )
    result = {"top1_pct": 100 * share, "correct_top1": correct, "images": images, "skipped_images": skipped_images}
    (folder / "eval.json").write_text(json.dumps(result | dict(counts or {})))
    return seal(folder)


def tiny_train_run(root: Path, **changes: Any) -> Path:
    """Ten classes on a CPU, with the published model: all that can be had without an accelerator."""
    options: dict[str, Any] = {"name": "20261123T080000Z_tiny_cpux1_nogit", "devices": ("x86_64",), "dataset": TINY}
    config = {"batch_size": 32, "max_epoch": 10, "warmup_epochs": 1, "amp_level": "O0"}
    return train_run(root, **(options | {"best": 0.84375, "last": 0.8390625, "config": config} | changes))


def tiny_eval_run(root: Path, **changes: Any) -> Path:
    options: dict[str, Any] = {"name": "20261123T090000Z_tiny_cpux1_nogit", "devices": ("x86_64",), "dataset": TINY}
    return eval_run(root, **(options | {"correct": 540, "config": {"eval_batch_size": 32}} | changes))


def write(folder: Path, config: Mapping[str, Any], env: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text(yaml.safe_dump(dict(config)))
    (folder / "env.json").write_text(json.dumps(env))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def seal(folder: Path) -> Path:
    """Write SHA256SUMS, again if need be."""
    write_seal(folder)
    return folder


def number(value: float) -> float | str:
    """As metrics.jsonl writes it: JSON has no nan."""
    return value if abs(value) < float("inf") else str(value)
