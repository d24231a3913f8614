"""Write the run folder of a long training that kept a line of every step, as hlg.record.journal leaves it."""

import json
from pathlib import Path

import numpy as np

from tests.support.folders import IMAGENET, RECIPE, STAMP, environment, seal, write

EPOCHS, STEPS = 300, 1250  # of the published training: 1,281,167 images, 1,024 at a time
BATCH = 1024  # images a step, on all devices
EVAL_S = 7.99
NAME = "20261123T062000Z_hlg_mobile_ascendx8_1a2b3c4d"


def long_run(root: Path, epochs: int = EPOCHS, steps: int = STEPS) -> Path:
    """A sealed training with `steps` steps an epoch, every one in its log and in its metrics, with all their digits."""
    draw = np.random.default_rng(1)
    every = epochs * steps
    done = (np.arange(every) + 1) / every
    loss = (2.4 + 4.5 * np.exp(-9 * done) + 0.15 * draw.standard_normal(every)).astype(np.float32).astype(float)
    lr = (0.001 * np.minimum(15 * done, 0.5 + 0.5 * np.cos(np.pi * done))).astype(np.float32).astype(float)
    busy = 372 + draw.gamma(2.0, 0.5, every)  # ms
    busy[::steps] += 90  # the first step of an epoch waits for the others
    wait = draw.gamma(1.5, 0.2, every)  # ms
    epoch_s = (busy + wait).reshape(epochs, steps).sum(axis=1) / 1000
    top1 = np.round(76 * (1 - np.exp(-6 * done[steps - 1 :: steps])) * 500) / 500  # %, of 50,000 images
    clock = np.datetime64("2026-11-23T06:20:00") + (np.cumsum(busy + wait) / 1000).astype("timedelta64[s]")
    times = [time.replace("T", " ") for time in np.datetime_as_string(clock).tolist()]
    begin, end = STAMP, f"{times[-1]}:INFO:"
    speeds = BATCH * steps / epoch_s

    log = [f"{begin}Args:", *(f"{begin}--> {key}: {value}" for key, value in RECIPE.items())]
    log += [f"{begin}compile time used=17.30s"]
    begun = {"event": "start", "time": "2026-11-23T06:20:00Z", "steps_per_epoch": steps, "epochs": epochs, "ranks": 8}
    begun |= {"global_batch": BATCH, "train_images": 1281167, "eval_images": 50000}
    metrics = [json.dumps(begun), json.dumps({"event": "compile", "compile_time_s": 17.3})]
    for epoch in range(epochs):
        of = slice(epoch * steps, (epoch + 1) * steps)
        columns = (column[of].tolist() for column in (loss, lr, busy, wait))
        for step, (time, a_loss, a_lr, a_busy, a_wait) in enumerate(zip(times[of], *columns, strict=True), of.start):
            log.append(f"{time}:INFO:epoch[{epoch}], step_num[{step}], loss={a_loss:.6f}")
            metrics.append(
                f'{{"event": "step", "epoch": {epoch}, "step": {step}, "loss": {a_loss!r}, "lr": {a_lr!r}, '
                f'"step_time_ms": {a_busy!r}, "data_wait_ms": {a_wait!r}, "overflow": false}}'
            )
        seconds, speed, share = epoch_s[epoch].item(), speeds[epoch].item(), top1[epoch].item()
        log.append(
            f"{time}:INFO:epoch[{epoch}], epoch time: {seconds:.2f}s, per step time: {seconds / steps:.4f}s, "
            f"loss={a_loss:.6f}, lr={a_lr:.6f}, fps={speed:.2f}, accuracy={share / 100:.6f}, eval_cost={EVAL_S:.2f}"
        )
        event = {"event": "epoch", "epoch": epoch, "epoch_time_s": seconds, "step_time_ms": busy[of].mean().item()}
        event |= {"data_wait_ms": wait[of].mean().item(), "loss": a_loss, "lr": a_lr, "images_per_s": speed}
        event |= {"top1_pct": share, "top5_pct": min(share + 17.0, 99.0), "eval_time_s": EVAL_S}
        metrics.append(json.dumps(event | {"overflow_steps": 0}))
    training_s, mean_fps = (epoch_s.sum() + epochs * EVAL_S).item(), speeds.mean().item()
    log += [f"{end}training time used={training_s:.2f}s", f"{end}last_metric[{(top1.max() / 100).item()}]"]
    log += [f"{end}ip[127.0.0.1], mean_fps[{mean_fps:.2f}]"]
    ended = {"training_time_s": training_s, "mean_images_per_s": mean_fps, "skipped_images": 0}
    metrics.append(json.dumps({"event": "end", **ended}))
    settings = {**RECIPE, "seed": 1, "max_epoch": epochs, "log_interval": 1}
    folder = write(root / NAME, settings, environment("train", ("Ascend910",) * 8, 8, IMAGENET), [])
    for name, lines in (("train.log", log), ("metrics.jsonl", metrics)):
        (folder / name).write_text("\n".join(lines) + "\n")
    return seal(folder)
