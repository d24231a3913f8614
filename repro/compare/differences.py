"""List what differs between runs in keys, environment, data and code, and what each of these can change."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from repro.check.workload import OPENBLAS
from repro.check.workload import PACKAGES as COMPUTING
from repro.published.conditions import same_value
from repro.published.seeds import CHANGES_NOTHING
from repro.records.schema import Run
from repro.report.run_facts import fact_text


class Effect(Enum):
    """What a difference can change, the most first."""

    NUMBERS = "can change the numbers"
    ROUNDING = "can change rounding and speed"
    SPEED = "can change the speed alone"
    NOTHING = "changes nothing that is measured"


KEY, ENVIRONMENT, DATA, CODE = "key", "environment", "data", "code"
ABSENT = "not recorded"


@dataclass(frozen=True)
class Difference:
    """One fact that is not the same in all runs: its value in each, ABSENT where a run does not have it."""

    topic: str
    name: str
    values: tuple[str, ...]
    effect: Effect

    @property
    def label(self) -> str:
        """Its name in a sentence."""
        return f"key {self.name}" if self.topic == KEY else self.name

    def parts(self, number: int) -> bool:
        """Tell whether the run of this number differs in it from the first one."""
        return self.values[number] != self.values[0]


_SPEED_KEYS = {"train_num_workers", "eval_num_workers", "open_profiler"}
_ROUNDING_KEYS = {"graph_kernel", "context_mode"}
# The number of devices counts, not the word for it; the others are of make export and of ModelArts alone.
_NO_KEYS = CHANGES_NOTHING | {"run_distribute", "file_name", "file_format", "enable_modelarts"}
_CODE_VARIABLES = {"HLG_IMAGE_DIGEST": Effect.NUMBERS}
_NO_VARIABLES = {*OPENBLAS, "RANK_TABLE_FILE", "HLG_ENGINE", "HLG_IMAGE"}
# Facts of env.json with rows of their own, or that only say when and how the run was started.
_TOLD = {
    *("commit", "dirty", "patch", "source_sha256", "packages", "cpu", "device", "variables", "dataset", "classes"),
    *("argv", "started", "seed", "missing", "resumed", "calibration", "checkpoint", "pretrained", "recipe", "kind"),
    *("parameters", "python"),
}

_Facts = Iterator[tuple[tuple[str, str], tuple[Any, Effect]]]


def find_differences(runs: Sequence[Run]) -> list[Difference]:
    """Return what is not the same in all runs: what can change most first, then in the order of the records."""
    facts = [dict(_facts(run)) for run in runs]
    names = dict.fromkeys(name for found in facts for name in found)
    apart = []
    for topic, name in names:
        values = [found.get((topic, name), (None, Effect.NOTHING))[0] for found in facts]
        if all(_same(topic, values[0], value) for value in values[1:]):
            continue
        effects = [found[topic, name][1] for found in facts if (topic, name) in found]
        texts = tuple(_told_class(values, value) if name == "class map" else _text(value) for value in values)
        apart.append(Difference(topic, name, texts, min(effects, key=list(Effect).index)))
    return sorted(apart, key=lambda difference: list(Effect).index(difference.effect))


def _same(topic: str, one: Any, other: Any) -> bool:
    """Compare two values; a key that only one run knows is no difference where it is off."""
    return same_value(one, other) if topic == KEY else one == other


def _text(value: Any) -> str:
    if value is None:
        return ABSENT
    return "empty" if value == "" else fact_text(value) or f"{len(value)} entries"


def _told_class(values: Sequence[Any], value: Any) -> str:
    """Say of a list of classes how many they are, and which one is the first that differs."""
    if not isinstance(value, list):
        return ABSENT
    lists = [found for found in values if isinstance(found, list)]
    place = next((n for n, names in enumerate(zip(*lists, strict=False)) if len(set(map(str, names))) > 1), None)
    return f"{len(value)} classes" + ("" if place is None else f", number {place} is {value[place]}")


# ------------------------------------------------------------------------------------------------- facts of a run


def _facts(run: Run) -> _Facts:
    """Yield every fact by topic and name, with what it can change."""
    for key, value in run.config.items():
        yield (KEY, key), (value, _effect_of_key(key))
    yield from _data(run)
    yield from _code(run)
    yield from _environment(run)


def _effect_of_key(key: str) -> Effect:
    if key in _SPEED_KEYS:
        return Effect.SPEED
    if key in _NO_KEYS:
        return Effect.NOTHING
    return Effect.ROUNDING if key in _ROUNDING_KEYS else Effect.NUMBERS


def _data(run: Run) -> _Facts:
    dataset = _mapping(run.env.facts.get("dataset"))
    for split, data in dataset.items():
        for name, value in _mapping(data).items():
            yield (DATA, f"{split} set {name}"), (value, Effect.NOTHING if name == "path" else Effect.NUMBERS)
    if "classes" in run.env.facts:
        yield (DATA, "class map"), (run.env.facts["classes"], Effect.NUMBERS)
    for name in ("checkpoint", "pretrained"):
        if weights := _mapping(run.env.facts.get(name)).get("sha256"):
            yield (DATA, f"weights ({name})"), (weights, Effect.NUMBERS)
    yield (DATA, "parameters"), (run.env.parameters, Effect.NUMBERS)


def _code(run: Run) -> _Facts:
    facts = run.env.facts
    yield (CODE, "commit"), (run.env.commit or ABSENT, Effect.NUMBERS)
    changes = {None: ABSENT, True: str(facts.get("patch") or "yes, not kept"), False: "none"}[run.env.dirty]
    yield (CODE, "uncommitted changes"), (changes, Effect.NUMBERS)
    if source := facts.get("source_sha256"):
        yield (CODE, "hash of the source"), (source, Effect.NUMBERS)


def _environment(run: Run) -> _Facts:
    facts, on_cpu = run.env.facts, run.env.target == "CPU"
    for name, version in _mapping(facts.get("packages")).items():
        yield (ENVIRONMENT, f"package {name}"), (version, Effect.NUMBERS if name in COMPUTING else Effect.NOTHING)
    for name, value in _mapping(facts.get("variables")).items():
        effect = Effect.NOTHING if name in _NO_VARIABLES else _CODE_VARIABLES.get(name, Effect.ROUNDING)
        yield (ENVIRONMENT, f"variable {name}"), (value, effect)
    for name, value in _mapping(facts.get("device")).items():
        yield (ENVIRONMENT, f"device {name}"), (value, Effect.NUMBERS if name == "count" else Effect.ROUNDING)
    for name, value in _mapping(facts.get("cpu")).items():  # elsewhere it does not compute the numbers
        yield (ENVIRONMENT, f"processor {name}"), (value, Effect.ROUNDING if on_cpu else Effect.SPEED)
    yield (ENVIRONMENT, "python"), (facts.get("python"), Effect.NOTHING)
    for name, value in facts.items():
        if name not in _TOLD:
            yield (ENVIRONMENT, name.replace("_", " ")), (value, Effect.ROUNDING)
    on = [
        f"{key} {value}" for key, value in (("keys", run.changed_keys), ("on", ", ".join(run.env.resumed_on))) if value
    ]
    if on:
        yield (ENVIRONMENT, "resumed differently"), ("; ".join(on), Effect.NUMBERS)


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
