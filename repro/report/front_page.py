"""Write the tables of the front page from the kept results: what was measured, and what was published beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from repro.errors import ReproError
from repro.files import field, read_json
from repro.markdown import grid
from repro.published.compare import compare_runs
from repro.published.figures import read_published
from repro.records.run_folder import read_runs
from repro.records.schema import Run
from repro.report.markdown_page import terminal_table
from repro.report.phrases import published_text
from repro.statistics import prediction_interval

CHOSEN = ("train_accuracy_best", "train_step_time", "train_time", "eval_gpu_accuracy")  # of the published figures
PRINTED = CHOSEN[0], CHOSEN[1], CHOSEN[3]  # of what make report prints
FINGERPRINT, NOISE, SPEEDS = "fingerprints/cpu_o0_graph.json", "noise.json", "benchmarks/epyc_26"  # in the results
LEVEL = 0.05  # beyond the interval of a further run


@dataclass(frozen=True)
class KeptTrainings:
    """The trainings of one recipe: the newest one, others that differ in their seeds, and one on shuffled labels."""

    run: Run
    seeds: tuple[Run, ...]
    control: Run


def read_kept(results: Path) -> KeptTrainings:
    """Read the trainings in `kept`, `seeds` and `control`, which must be evaluated after every epoch.

    Raises:
        ReproError: there is none, or they differ in their epochs or steps.
    """
    run, seeds, control = (_trainings(results / name) for name in ("kept", "seeds", "control"))
    for other in (*seeds, control[-1]):
        if (len(other.log.epochs), len(other.steps.loss)) != (len(run[-1].log.epochs), len(run[-1].steps.loss)):
            raise ReproError(f"{other.folder}: expected the epochs and steps of {run[-1].folder}")
    return KeptTrainings(run[-1], tuple(seeds), control[-1])


def _trainings(folder: Path) -> list[Run]:
    runs = [run for run in read_runs(folder)[0] if run.kind == "train"]
    if not runs:
        raise ReproError(f"{folder}: found no finished training; give a folder with folders of runs")
    for run in runs:
        if any(epoch.accuracy is None for epoch in run.log.epochs):
            raise ReproError(f"{run.folder}: expected an accuracy after every epoch")
    return runs


def measured_table(results: Path) -> str:
    """Write a row a result that was measured, with links from the folder that holds `results`."""
    rows = (*_numerics(results), *_accuracy(results), *_repetition(results), *_speeds(results))
    return _table(("What", "Measured", "Record"), [(*cells, link.format(results.name)) for *cells, link in rows])


def _numerics(results: Path) -> Iterator[tuple[str, str, str]]:
    where = results / FINGERPRINT
    rows = field(str(where), read_json(where), "rows", list)
    done = [row for row in rows if row["verdict"] == "ok"]
    (logits,) = (row["error"] for row in rows if (row["area"], row["name"]) == ("forward", "logits"))
    within = "all" if not any(row["verdict"] == "out" for row in rows) else "not all"
    text = f"{within} {len(done)} rows within bounds; logits off by {logits:.1e}, relative"
    yield "Arithmetic, float32, against float64", text, "[fingerprint]({0}/fingerprints)"


def _accuracy(results: Path) -> Iterator[tuple[str, str, str]]:
    kept = read_kept(results)
    each = [_last_top1_pct(run) for run in kept.seeds]
    low, high = prediction_interval(each, LEVEL)
    yield (
        f"`make tiny`, seed {kept.run.config['seed']}",
        f"{_last_top1_pct(kept.run):.2f} % top-1 of {kept.run.eval_images} images; "
        f"{_last_top1_pct(kept.control):.1f} % with labels shuffled",
        "[run]({0}/kept), [control]({0}/control)",
    )
    yield (
        f"The same, {len(each)} seeds on another processor",
        f"mean {mean(each):.2f} %, s = {stdev(each):.2f}; a further run: {low:.1f} to {min(high, 100):.0f} % "
        f"({100 * (1 - LEVEL):.0f} %)",
        "[seeds]({0}/seeds/report.md)",
    )


def _repetition(results: Path) -> Iterator[tuple[str, str, str]]:
    count = len(field(NOISE, read_json(results / NOISE), "runs", list))
    same = "losses and accuracy the same, bit for bit"
    yield f"{count} repetitions of a short run", same, f"[{NOISE}]({{0}}/{NOISE})"
    yield "Killed, preempted, disk full; resumed", "the same end, bit for bit", "`make faults`"


def _speeds(results: Path) -> Iterator[tuple[str, str, str]]:
    for what, name in (("Training step", "step"), ("Forward pass", "forward")):
        found = read_json(results / SPEEDS / f"{name}.json")
        own, took = found["ours"], {program["name"]: program["median_s"] for program in found["programs"]}
        yield (
            f"{what}, {own['batch_size']} images, {own['environment']['cpu']['cores']} cores",
            f"{took['ours']:.3f} s, {took['fused']:.3f} s with fused kernels; PyTorch {took['PyTorch']:.3f} s, "
            f"published code {took['published']:.3f} s",
            "[speeds]({0}/benchmarks/README.md)",
        )


def _last_top1_pct(run: Run) -> float:
    return 100 * (run.log.epochs[-1].accuracy or 0.0)


def published_table() -> str:
    """Write a row for each of the chosen published figures."""
    figures = {figure.key: figure for figure in read_published()}
    rows = [(figures[key].title, published_text(figures[key]), figures[key].source) for key in CHOSEN]
    return _table(("Figure", "Published", "Source"), rows)


def report_excerpt(results: Path) -> str:
    """Write what `make report` prints of some figures and the kept runs, and the reasons for its verdicts."""
    claims = compare_runs(read_published(), read_runs(results / "kept")[0])
    lines = terminal_table(claims).splitlines()
    told = ("figure ", *(claim.figure.title for claim in claims if claim.figure.key in PRINTED))
    shown = [line for line in lines if line.startswith(told)]
    notes = {line.rpartition(" ")[2] for line in shown}
    return "\n".join(["```", *shown, *(line for line in lines if line.partition(" ")[0] in notes), "```"]) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(grid(header, rows)) + "\n"
