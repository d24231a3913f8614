"""Hold predictions of make plan against real short runs on this machine's CPU, by turns: measure, predict, train.

    python -m tests.support.plan_check      # quarter of an hour; writes results/benchmarks/plan.json

The runs are the tiny recipe's, two epochs long, on one rank and, with half the batch on each, on two. Each prediction
knows only what hlg.bench has measured before its run. The first epoch of a run holds its slow first steps. What other
work had of the cores is written beside each.
"""

import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repro.markdown import grid
from repro.plan.__main__ import plan_options
from repro.plan.inputs import read_inputs
from repro.plan.page import plan_page
from repro.plan.plan import make_plan
from tests.support import ROOT
from tests.support.processes import run_module

KEPT = ROOT / "results/benchmarks/plan.json"
RECIPE = ("--config_path", "configs/tiny.yml")
EPOCHS, STEPS = 2, 15
ROUNDS = (1, 1, 1, 2)  # how many ranks each run has


def others_s() -> float:
    """Processor time that all of this machine has spent since it started, but for that of this program."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK") - own


@contextmanager
def beside(found: dict[str, float], name: str) -> Iterator[None]:
    """Note how many cores other work had within it, on average."""
    others, start = others_s(), time.perf_counter()
    yield
    found[name] = (others_s() - others) / (time.perf_counter() - start)


def run(*command: str) -> None:
    """Run a module of this project."""
    run_module(*command, timeout=3600, code=0)


def one(folder: Path, ranks: int) -> dict[str, Any]:
    """Measure, predict and train once; returns what was predicted, and what the run did."""
    files = {what: folder / f"{what}.json" for what in ("step", "evaluate", "input")}
    batch = 16 // ranks
    others: dict[str, float] = {}
    with beside(others, "measuring"):
        for what, steps, size in (("step", STEPS, batch), ("evaluate", 2, 32), ("input", 4, batch)):
            words = ("--batch_size", str(size), "--steps", str(steps), "--json", str(files[what]))
            run("hlg.bench", what, *RECIPE, *words)
    plan = folder / "plan.json"
    own = [word for what, file in files.items() for word in (f"--{what}", str(file))]
    run("repro.plan", *own, "--cards", str(ranks), "--epochs", str(EPOCHS), "--json", str(plan))
    found = json.loads(plan.read_text())
    train = ["hlg.train", *RECIPE, "--batch_size", str(batch), "--max_epoch", str(EPOCHS)]
    train += ["--save_checkpoint_path", str(folder / "runs")]
    if ranks > 1:
        train = ["hlg.launch", "--ranks", str(ranks), "--logs", str(folder / "ranks"), *train]
    with beside(others, "running"):
        run(*train)
    (metrics,) = folder.glob("runs/2*/metrics.jsonl")
    events = [json.loads(line) for line in metrics.read_text().splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    total = sum(event.get("compile_time_s", 0.0) + event.get("training_time_s", 0.0) for event in events)
    predicted = found["prediction"]
    return {
        "ranks": ranks,
        "cores_of_others": others,
        "measured": {name: round(value["value"], 4) for name, value in found["inputs"].items()},
        "predicted": {
            key: predicted[key] for key in ("step_s", "input_s", "steps", "epoch_s", "eval_s", "total_s", "bound")
        },
        "run": {
            "epoch_s": [event["epoch_time_s"] for event in epochs],
            "eval_s": [event["eval_time_s"] for event in epochs],
            "total_s": total,
        },
    }


def errors(r: dict[str, Any]) -> dict[str, float]:
    """The errors for the second epoch and for the run in percent of what they took, above 0 where that was less."""
    return {
        "epoch": 100 * (r["predicted"]["epoch_s"] / r["run"]["epoch_s"][-1] - 1),
        "total": 100 * (r["predicted"]["total_s"] / r["run"]["total_s"] - 1),
    }


def kept_table() -> str:
    """The kept predictions as Markdown."""
    header = ("Run", "Cores that others had, measuring", "running", "Epoch predicted", "measured", "error")
    rows = []
    for number, r in enumerate(json.loads(KEPT.read_text())["rounds"], 1):
        off = {name: f"{value:+.1f} %" for name, value in errors(r).items()}
        cells = [f"{number}: {r['ranks']} rank{'s' if r['ranks'] > 1 else ''}"]
        cells += [f"{r['cores_of_others'][what]:.2f}" for what in ("measuring", "running")]
        cells += [f"{r['predicted']['epoch_s']:.1f} s", f"{r['run']['epoch_s'][-1]:.1f} s", off["epoch"]]
        cells += [f"{r['predicted']['total_s']:.0f} s", f"{r['run']['total_s']:.0f} s", off["total"]]
        rows.append(cells)
    return "\n".join(grid((*header, "Run predicted", "measured", "error"), rows)) + "\n"


def page() -> str:
    """What make plan says where nothing is measured, as Markdown."""
    return f"```\n{plan_page(make_plan(read_inputs(plan_options([]))))}```\n"


def main() -> None:
    """Measure, predict and train, and keep what came of each round."""
    kept: dict[str, Any] = {
        "what": "epochs of the tiny recipe on a CPU, predicted by repro.plan and run",
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rounds": [],
    }
    for ranks in ROUNDS:
        with tempfile.TemporaryDirectory(prefix="plan-check-") as folder:
            found = one(Path(folder), ranks)
            machine = json.loads(Path(folder, "step.json").read_text())["environment"]
        kept |= {key: machine[key] for key in ("commit", "cpu", "packages")}
        kept["rounds"].append({**found, "errors_pct": errors(found)})
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
        print(ranks, found["cores_of_others"], errors(found), flush=True)


if __name__ == "__main__":
    main()
