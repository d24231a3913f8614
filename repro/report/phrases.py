"""Put figures, runs and verdicts in words, as plain text; pages and tables escape it themselves."""

from collections.abc import Iterable
from dataclasses import dataclass

from repro.published.schema import Claim, Measured, Published, Repetition, Verdict
from repro.records.schema import DataSet, Log, ResumeEvent, Run

_LONG = 600  # seconds; longer times are shown in hours too
NONE = "–"
# Kind of the hash of a data set -> what it covers.
_COVERS = {"files-sizes": "names and sizes", "files-sizes-sample": "names, sizes and 1,024 images"}

VERDICTS = {
    Verdict.MATCH: "comparable, and within what the rule allows.",
    Verdict.BETTER: "comparable, and outside of what the rule allows, to the good.",
    Verdict.WORSE: "comparable, and outside of what the rule allows. A measured value that is not finite is worse.",
    Verdict.INCOMPARABLE: (
        "other hardware, data, batch, image size, precision or recipe, or nothing but a warm-up, or a value that "
        "scatters too much (noise); no difference is shown, because it would mislead."
    ),
    Verdict.NOT_MEASURED: "no finished run measures it.",
}
CHOICE = "A row shows the newest comparable run, or else the newest run. Every measured value is one run: n = 1."
EVIDENCE = (
    "Beside the difference stands what the value rests on. One seed never proves anything: a match of one seed says "
    "that this one run is no further from the published one than chance explains, if seeds differ as is assumed. It "
    "doesn't say that the recipe gives the published figure: another seed may fall outside. With several seeds of one "
    "recipe their mean and their measured standard deviation s stand there, and the verdict uses that s; it is still "
    "on the one run that is shown."
)


@dataclass(frozen=True)
class FigureRow:
    """One figure as it stands in a table. `evidence`: what the value rests on. `topics`: the reasons, one word each."""

    claim: Claim
    title: str
    published: str
    source: str
    measured: str
    difference: str
    evidence: str
    verdict: str
    topics: str


def figure_row(claim: Claim) -> FigureRow:
    """Make the texts of one figure."""
    figure = claim.figure
    return FigureRow(
        claim=claim,
        title=figure.title,
        published=published_text(figure),
        source=figure.source,
        measured=_measured_text(figure, claim.measured) if claim.measured else NONE,
        difference=_difference_text(claim),
        evidence="; ".join(claim.evidence) or NONE,
        verdict=claim.verdict.value,
        topics=", ".join(dict.fromkeys(reason.topic for reason in claim.reasons)),
    )


def published_text(figure: Published) -> str:
    """Format a published value with its own digits, and the hardware it stands for."""
    setting = figure.setting
    count = f"{setting.count} x " if setting.count else ""
    on = f" ({count}{setting.hardware})" if setting.hardware else ""
    return f"{figure.value:,} {figure.unit}{_in_hours(figure, figure.value)}{on}"


def _measured_text(figure: Published, found: Measured) -> str:
    """Format a measured value with the figure's digits, and what it is made of."""
    return f"{value_text(figure, found)}{_in_hours(figure, found.value)} ({found.n})"


def value_text(figure: Published, found: Measured) -> str:
    """Format a measured value alone."""
    return f"{found.value:,.{figure.decimals}f} {figure.unit}"


def _difference_text(claim: Claim) -> str:
    """Format the difference, measured minus published, and how large a difference is a match."""
    if claim.difference is None:
        return NONE
    figure = claim.figure
    text = f"{claim.difference:+,.{figure.decimals}f} {'points' if figure.unit == '%' else figure.unit}"
    text += f", {claim.relative:+.2f} %" if figure.unit != "%" else ""
    return f"{text} (match within {claim.allowed:.{figure.decimals}f})"


def _in_hours(figure: Published, time: float) -> str:
    return in_hours(time) if figure.unit == "s" else ""


def in_hours(time: float) -> str:
    """Say a long time, in seconds, in hours too."""
    return f" = {time / 3600:.2f} h" if time > _LONG else ""


def run_row(run: Run) -> dict[str, str]:
    """Describe a run by the columns of the table of runs, behind its name."""
    return {
        "kind": run.kind,
        "devices": run.env.hardware,
        "software": run.env.software,
        "data": data_text(run),
        "epochs": str(len(run.log.epochs)) if run.kind == "train" else NONE,
        "commit": commit_text(run),
        "foreign": str(run.log.foreign_lines),
        "checkpoints": f"{run.absent_checkpoints} sealed, not kept here" if run.absent_checkpoints else NONE,
    }


def log_row(name: str, log: Log) -> tuple[str, str, str]:
    """Describe a published log by its name, its records and its foreign lines."""
    records = f"{len(log.epochs)} epochs" if log.epochs else "1 evaluation"
    if log.epochs:
        records += f", {log.epochs[0].epoch} to {log.epochs[-1].epoch}"
    return name, records, str(log.foreign_lines)


def commit_text(run: Run) -> str:
    """Name the code of a run, in short."""
    return (run.env.commit or "not recorded")[:12] + (", with changes" if run.env.dirty else "")


def data_text(run: Run) -> str:
    """Describe the images of each split."""
    return "; ".join(f"{split}: {images_text(found)}" for split, found in run.env.datasets.items())


def images_text(found: DataSet) -> str:
    """Describe the images of one split."""
    kind = f"hash of {_COVERS.get(found.hash_kind, found.hash_kind)}" if found.hash_kind else "no hash"
    return f"{found.images:,} images of {found.classes:,} classes ({kind})"


def resumption_parts(found: ResumeEvent) -> list[str]:
    """Describe a resumption in parts, without what was changed, which is in `found.changed`."""
    parts = [
        f"resumed at step {found.step} (epoch {found.epoch}) from {found.checkpoint} on {found.time}",
        f"steps run again: {found.repeated_steps}",
    ]
    return parts if found.compile_time_s is None else [*parts, f"compiled again in {found.compile_time_s:.2f} s"]


def repetition_text(found: Repetition) -> str:
    """Say whether trainings that differ in nothing gave the same numbers."""
    runs = f"{len(found.runs)} trainings of seed {found.runs[0].config['seed']}"
    if found.parted is None:
        return f"{runs} agree bit for bit in all {found.steps:,} losses and in every accuracy"
    return f"{runs} differ in nothing, and their numbers part {found.parted}"


def rule_texts(figures: Iterable[Published]) -> list[tuple[str, str]]:
    """Return the kind of each rule, and its own words."""
    return [(rule.kind, text) for text, rule in {figure.rule.text: figure.rule for figure in figures}.items()]


def definition_text(figure: Published) -> str:
    """Say how the figure is judged and what was published."""
    parts = [f"rule {figure.rule.kind}", f"published: {figure.statistic}"]
    parts += [figure.setting.software] if figure.setting.hardware else []
    return f"{'; '.join(parts)}.{f' {figure.note}' if figure.note else ''}"
