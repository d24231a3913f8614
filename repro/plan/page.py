"""Write a plan as text for a terminal.

The tables of scales show what a card sends in a step, its time and its share of the step; the images a second that the
cards of one machine take, and the cores that make them; and what all machines read together.
"""

from collections.abc import Sequence
from textwrap import wrap

from repro.footprint import CHECKPOINT, CHECKPOINTS, STEP_RECORD, USED_PARAMETERS
from repro.markdown import columns
from repro.plan.plan import Plan, advice, limits
from repro.plan.prediction import ASSUMPTIONS, PUBLISHED_BATCH, STATE, Prediction, buffer_bytes

_WIDTH = 120


def plan_page(plan: Plan, training: str | None = None) -> str:
    """Write the whole plan, and at its end the command of the training, if there is one."""
    wanted, facts = plan.wanted, plan.inputs.facts
    cards = f"{wanted.cards} card{'s' if wanted.cards > 1 else ''} on {wanted.machines} machine"
    cards += "s" if wanted.machines > 1 else ""
    parts = [
        ("What it starts from", columns(_inputs(plan))),
        (f"Predicted: {cards}, {wanted.batch} images a card", columns(_prediction(plan))),
        ("Beside what was published, 8 x Ascend 910", columns(_beside(plan)) + _differs(plan)),
        (f"Each card keeps its {facts.batch} images", _scaling(plan, plan.kept_batch)),
        (f"All together keep {PUBLISHED_BATCH:,} images", _scaling(plan, plan.kept_global)),
        ("Where more stops helping", _sentences(limits(plan))),
        ("Change first", _sentences([advice(plan), *plan.inputs.warnings])),
        ("What the prediction assumes", _sentences(ASSUMPTIONS)),
    ]
    if training:
        parts.append((f"Train, {duration(wanted.total_s)} by this prediction", training))
    return "\n\n".join(f"{title}\n{_indented(text)}" for title, text in parts) + "\n"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def _sentences(sentences: Sequence[str]) -> str:
    return "\n".join("\n  ".join(wrap(sentence, _WIDTH - 4)) for sentence in sentences)


def number_text(value: float) -> str:
    """Format a number with four digits, or all of those before the point: 0.0931, 24.49, 1,281,167."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Format a time in its largest fitting unit: 95 ms, 12.3 s, 7.8 min, 38.9 h, 12 days."""
    for size, unit in ((1e-3, "ms"), (1, "s"), (60, "min"), (3600, "h")):
        limit = {"ms": 1, "s": 600, "min": 7200, "h": 10 * 86400}[unit]
        if seconds < limit:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds / 86400:,.0f} days"


def data_size(count: float) -> str:
    """Format bytes, by thousands: 0.5 kB, 24.6 MB, 2 TB."""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def _inputs(plan: Plan) -> list[tuple[str, ...]]:
    return [
        (q.title, f"{number_text(q.value)} {q.unit}", q.origin.value, q.source) for q in plan.inputs.quantities.values()
    ]


def _prediction(plan: Plan) -> list[tuple[str, ...]]:
    facts, wanted, quantities = plan.inputs.facts, plan.wanted, plan.inputs.quantities
    here = facts.per_machine
    parts = [f"{duration(wanted.compute_s)} computing", f"{duration(wanted.all_reduce_s)} all-reduce"]
    parts.append(f"{duration(max(wanted.wait_s, 0))} {'making images' if facts.shared else 'waiting for images'}")
    image = 1000 * quantities["image_bytes"].value
    disk = facts.images * image, facts.eval_images * image
    steps = facts.epochs * wanted.steps
    bound = f"{wanted.bound}, {wanted.factor:.2f} times as long as {_other(wanted)}"
    if plan.inputs.assumed("rate"):
        bound += ", which are assumed to come in time"
    memory = 1e9 * quantities["memory"].value
    state = f"{data_size(STATE * 4 * USED_PARAMETERS)} for weights, gradients and moments; "
    if facts.shared:
        workers = f"{facts.workers}, and as many cores as there are: they compute too"
    else:
        workers = f"{plan.cores_a_card:.1f} cores busy with input, {facts.cores / here:.3g} there"
    return [
        ("step", f"{duration(wanted.step_s)}: {', '.join(parts)}"),
        ("bound by", bound),
        ("images a second", number_text(wanted.images_per_s)),
        ("workers a card", workers),
        (
            "host memory",
            f"{data_size(memory * here)} a machine for {here} rank{'s' if here > 1 else ''}; "
            f"{data_size(buffer_bytes(facts, wanted.batch))} of each are batches made ahead",
        ),
        (
            "device memory",
            "the host's" if facts.shared else f"{state}activations are not known until a step is run there",
        ),
        ("disk", f"{data_size(sum(disk))} of images, read at {data_size(plan.read(wanted))}/s by all machines"),
        ("", f"{data_size(CHECKPOINT * CHECKPOINTS)} of checkpoints, {data_size(steps * STEP_RECORD)} of log"),
        (
            "one epoch",
            f"{duration(wanted.epoch_s)}, {wanted.steps:,} steps, and {duration(wanted.eval_s)} of evaluation",
        ),
        (
            f"{facts.epochs} epochs",
            f"{duration(wanted.total_s)}, with evaluations and {duration(facts.start_s)} of compilation",
        ),
    ]


def _other(wanted: Prediction) -> str:
    return "the device" if wanted.bound == "input" else "its images"


def _beside(plan: Plan) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("figure", "published", "predicted", "ratio")]
    for row in plan.beside:
        ratio = f"{row.predicted / row.published:.3g}"
        rows.append(
            (row.title, f"{number_text(row.published)} {row.unit}", f"{number_text(row.predicted)} {row.unit}", ratio)
        )
    return rows


def _differs(plan: Plan) -> str:
    differs = list(plan.inputs.differs)
    if plan.wanted.cards != 8:
        differs.append(f"cards {plan.wanted.cards}, published 8")
    if plan.inputs.facts.epochs != 300:
        differs.append(f"epochs {plan.inputs.facts.epochs}, published 300")
    return f"\nNot the same work: {'; '.join(differs)}." if differs else ""


def _scaling(plan: Plan, found: Sequence[Prediction]) -> str:
    if not found:
        return "the data set has fewer images than such a step"
    header = ("cards x images", "steps", "sends", "all-reduce", "of it", "step", "bound", "a machine needs", "read")
    rows = [(*header, "epoch", f"{plan.inputs.facts.epochs} epochs")]
    for one in found:
        needed = plan.images_a_machine(one)
        cores = number_text(round(needed / plan.inputs.facts.rate, 1))
        rows.append(
            (
                f"{one.cards} x {one.batch} = {one.global_batch:,}",
                f"{one.steps:,}",
                data_size(plan.sent(one.cards)),
                duration(one.all_reduce_s),
                f"{100 * one.network_share:.1f} %",
                duration(one.step_s),
                one.bound,
                f"{number_text(round(needed, 1))}/s, {cores} cores",
                f"{data_size(plan.read(one))}/s",
                duration(one.epoch_s),
                duration(one.total_s),
            )
        )
    return columns(rows)
