"""What a reader is told of figures, runs and verdicts, in plain text; the pages and tables escape it for themselves."""

from collections.abc import Iterable
from dataclasses import dataclass

from repro.published.schema import Claim, Measured, Published, Verdict
from repro.records.schema import DataSet, ResumeEvent, Run

LONG = 600  # seconds; longer times are shown in hours too
NONE = "–"

VERDICTS = {
    Verdict.MATCH: "comparable, and within what the rule allows.",
    Verdict.BETTER: "comparable, and outside of what the rule allows, to the good.",
    Verdict.WORSE: "comparable, and outside of what the rule allows. A measured value that is not finite is worse.",
    Verdict.INCOMPARABLE: (
        "other hardware, data, batch, image size, precision or recipe, or nothing but a warm-up, or a value that "
        "scatters too much (noise); no difference is given, for it would suggest otherwise."
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
class Row:
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


def row(claim: Claim) -> Row:
    """The texts of one figure."""
    figure = claim.figure
    return Row(
        claim=claim,
        title=figure.title,
        published=published(figure),
        source=figure.source,
        measured=measured(figure, claim.measured) if claim.measured else NONE,
        difference=difference(claim),
        evidence="; ".join(claim.evidence) or NONE,
        verdict=claim.verdict.value,
        topics=", ".join(dict.fromkeys(reason.topic for reason in claim.reasons)),
    )


def published(figure: Published) -> str:
    """The value with the digits it was published with, and the hardware it stands for."""
    setting = figure.setting
    count = f"{setting.count} x " if setting.count else ""
    on = f" ({count}{setting.hardware})" if setting.hardware else ""
    return f"{figure.value:,} {figure.unit}{_in_hours(figure, figure.value)}{on}"


def measured(figure: Published, found: Measured) -> str:
    """The value with the figure's digits, and of what it is made."""
    return f"{value(figure, found)}{_in_hours(figure, found.value)} ({found.n})"


def value(figure: Published, found: Measured) -> str:
    """The value alone."""
    return f"{found.value:,.{figure.decimals}f} {figure.unit}"


def difference(claim: Claim) -> str:
    """Measured minus published, and how much of it is a match."""
    if claim.difference is None:
        return NONE
    figure = claim.figure
    text = f"{claim.difference:+,.{figure.decimals}f} {'points' if figure.unit == '%' else figure.unit}"
    text += f", {claim.relative:+.2f} %" if figure.unit != "%" else ""
    return f"{text} (match within {claim.allowed:.{figure.decimals}f})"


def _in_hours(figure: Published, time: float) -> str:
    return f" = {time / 3600:.2f} h" if figure.unit == "s" and time > LONG else ""


def commit(run: Run) -> str:
    """Which code it ran, in short."""
    return (run.env.commit or "not recorded")[:12] + (", with changes" if run.env.dirty else "")


def data(run: Run) -> str:
    """The images of each split."""
    return "; ".join(f"{split}: {images(found)}" for split, found in run.env.datasets.items())


def images(found: DataSet) -> str:
    """One split."""
    kind = f"hash of {found.hash_kind}" if found.hash_kind else "no hash"
    return f"{found.images:,} images of {found.classes:,} classes ({kind})"


def checkpoints(run: Run) -> str:
    """Those that are not kept."""
    return f"{run.absent_checkpoints} sealed, not kept here" if run.absent_checkpoints else NONE


def resumption(found: ResumeEvent) -> list[str]:
    """Where a run went on, in parts; what was changed then is in `found.changed`."""
    parts = [
        f"resumed at step {found.step} (epoch {found.epoch}) from {found.checkpoint} on {found.time}",
        f"steps run again: {found.repeated_steps}",
    ]
    return parts if found.compile_time_s is None else [*parts, f"compiled again in {found.compile_time_s:.2f} s"]


def rules(figures: Iterable[Published]) -> list[tuple[str, str]]:
    """The kind of each rule, and its own words."""
    return [(rule.kind, text) for text, rule in {figure.rule.text: figure.rule for figure in figures}.items()]


def definition(figure: Published) -> str:
    """How the figure is judged and what was published, in words."""
    parts = [f"rule {figure.rule.kind}", f"published: {figure.statistic}"]
    parts += [figure.setting.software] if figure.setting.hardware else []
    return f"{'; '.join(parts)}.{f' {figure.note}' if figure.note else ''}"
