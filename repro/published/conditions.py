"""Say why a run cannot be compared with a published figure: hardware, data, keys of the configuration."""

from collections.abc import Iterator

from repro.published.schema import Published, Reason, Setting
from repro.records.schema import DataSet, Run

# The one word that stands in the table for a config key that differs; all others are of the recipe.
_TOPICS = {
    "backbone": "model",
    "class_num": "model",
    "batch_size": "batch",
    "eval_batch_size": "batch",
    "train_image_size": "image size",
    "eval_image_size": "image size",
    "amp_level": "precision",
}
# How hlg hashes a data set that is too large to read all of it at every start; the second in older runs.
_LARGE = "files-sizes-sample", "files-sizes"


def why_incomparable(figure: Published, run: Run) -> Iterator[Reason]:
    """List why the run cannot be compared with the figure; nothing if it can."""
    setting = figure.setting
    yield from _hardware(setting, run)
    for split in figure.splits:
        yield from _data(split, setting.data[split], run)
    for key, expected in {**setting.workload, **(setting.recipe if figure.recipe else {})}.items():
        found = run.config.get(key, "not recorded")
        if not same_value(found, expected):
            yield Reason(_TOPICS.get(key, "recipe"), f"{key} {_text(found)}, published {_text(expected)}")
    if figure.recipe and not same_value(run.config.get("max_epoch"), len(run.log.epochs)):
        yield Reason("recipe", f"{len(run.log.epochs)} epochs in the log, but max_epoch differs")
    if changed := run.changed_keys:
        yield Reason("recipe", f"resumed with changed keys: {changed}")


def _hardware(setting: Setting, run: Run) -> Iterator[Reason]:
    if not setting.devices:
        return
    accepted = {_plain(name) for name in setting.devices}
    names = {_plain(name) for name in run.env.device_names}
    other = not names or not names <= accepted
    if other or setting.count not in (None, run.env.device_count):
        count = "" if setting.count is None else f"{setting.count} x "
        yield Reason("hardware", f"{run.env.hardware}, published {count}{setting.hardware}")


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _data(split: str, published: DataSet, run: Run) -> Iterator[Reason]:
    found = run.env.datasets.get(split)
    name = {"train": "training", "eval": "evaluation"}[split]
    if found is None:
        yield Reason("data", f"{name} set not recorded")
        return
    images = run.eval_images if split == "eval" else found.images
    if (images, found.classes) != (published.images, published.classes):
        here = f"{images:,} {name} images of {found.classes:,} classes"
        yield Reason("data", f"{here}, published {published.images:,} of {published.classes:,}")
    elif found.hash_kind not in _LARGE:
        here = f"a hash of kind {found.hash_kind}" if found.hash_kind else "no hash"
        yield Reason("data", f"{name} set with {here}, {_LARGE[0]} expected of ImageNet as distributed")
    if run.skipped_images:
        yield Reason("data", f"{run.skipped_images:,} unreadable images were skipped")


def same_value(found: object, expected: object) -> bool:
    """Compare two values of a key: numbers by value (1 is 1.0 and true; '1e-05' is text in YAML 1.1), else as text."""
    try:
        return float(found) == float(expected)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(found or "") == str(expected or "")


def _text(value: object) -> str:
    return "none" if value in ("", None) else str(value)
