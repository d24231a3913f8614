"""Run folders in which every text is an attack on the page that tells of it."""

from pathlib import Path
from typing import Any

from tests.support.folders import TINY, resume, tiny_eval_run, tiny_train_run

IMG = "<img src=x onerror=alert(1)>"
ATTACKS = (
    IMG,
    "</style></title></svg><script>alert(2)</script>",
    '" onmouseover="alert(3)" x=\'',
    "{{ 7 * 7 }}{% raw %}${1}javascript:alert(4)",
    "x" * 400,
    "\u202eright to left\u2066 \x00\x1b[31m \ud83d \U0001f600 &amp; &lt;b&gt;",
)
ALL = " ".join(ATTACKS)
NAMES = (
    f"20261123T080000Z_{IMG}_{'y' * 90}_1",
    "20261123T080001Z_</script><script>alert(5)<_script>_2",
    "20261123T080002Z_javascript:alert(6)?a=b#c%00 &quot;'\"_3",
)


def hostile_runs(root: Path) -> None:
    """Three trainings and an evaluation under `root`, sealed, and one unfinished."""
    changed = [ALL, f"max_epoch {IMG}"]
    for seed, name in enumerate(NAMES, 1):
        config = {"batch_size": IMG, "backbone": ALL, "max_epoch": 10, "mixup": IMG}
        resumed = [resume(4, checkpoint=IMG, time=ATTACKS[1], changed=changed)] if seed == 1 else []
        own = {"name": name.replace("/", "_"), "seed": seed, "config": config, "resumed": resumed}
        tiny_train_run(root, devices=(ALL,), env=environment(), skipped_images=3, extra_lines=[IMG], **own)
    tiny_eval_run(root, name=f"20261123T090000Z_{IMG}", devices=("x86_64",), env=environment())
    (tiny_eval_run(root, name=f"20261123T100000Z_unfinished {IMG}") / "SHA256SUMS").unlink()


def environment() -> dict[str, Any]:
    """What env.json holds beside what the page needs."""
    splits = {split: {**TINY[split], "path": ALL, "hash": ALL} for split in ("train", "eval")}
    code = {"commit": IMG, "dirty": True, "patch": IMG, "argv": [ALL], "python": ALL}
    software = {"packages": {"mindspore": IMG, IMG: ALL}, "variables": {IMG: ALL, "HLG_IMAGE_DIGEST": ALL}}
    device = {"target": "CPU", "names": [ALL], "count": 1, "driver": ALL, IMG: [ALL, {IMG: IMG}]}
    weights = {"path": ALL, "sha256": ALL, "naming": IMG}
    others = {"missing": [ALL, IMG], IMG: {ALL: [IMG]}, "resumed": [{"commit": ALL, "packages": {IMG: ALL}}]}
    machine = {"cpu": {"model": ALL, "cores": IMG}, "device": device}
    return {**code, **software, **machine, "dataset": splits, "checkpoint": weights, **others}
