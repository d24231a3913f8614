"""Every number of the published text stands in published.yml, with its line: held as far as the text is kept here."""

import math
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from repro.errors import ReproError
from repro.published.document import read_statements
from repro.published.figures import read_published
from tests.support import ROOT

PUBLISHED = ROOT / "results/published"
LOGS = {"train_ascend910x8.log": 265, "eval_gpu_rtx3090.log": 287}  # the line of the text where each begins
END = 342  # the last line of the text
FIGURES, STATEMENTS = read_published(), read_statements()


def lines_of(source: str) -> list[int]:
    """The lines that a source names: `lines 266 to 272` are all of them, `lines 22, 24 and 307` three."""
    found: list[int] = []
    for names in re.findall(r"lines? (\d+(?:(?:, | and | to )\d+)*)", source):
        numbers = [int(number) for number in re.findall(r"\d+", names)]
        found += range(numbers[0], numbers[-1] + 1) if " to " in names else numbers
    return found


def test_every_number_says_in_which_line_of_the_text_it_stands() -> None:
    sources = {figure.key: figure.source for figure in FIGURES} | {key: said.source for key, said in STATEMENTS.items()}
    assert "of the published code" in sources.pop("lr_min_file")  # two files beside the text
    for name, source in sources.items():
        assert lines_of(source), name
        assert all(1 <= line <= END for line in lines_of(source)), name


@pytest.mark.parametrize(("name", "first"), LOGS.items())
def test_every_number_of_the_published_logs_is_a_figure_or_a_statement(name: str, first: int) -> None:
    for number, line in enumerate((PUBLISHED / name).read_text().splitlines(), first):
        stamp, _, message = line.rpartition(":INFO:")
        statements = {key.split(",")[0]: found for key, found in STATEMENTS.items() if f", line {number}" in key}
        if stamp:
            time = datetime.fromisoformat(stamp)
            seconds = time.hour * 3600 + time.minute * 60 + time.second
            assert (stamp[:10], statements.pop("time").value) == ("2022-07-27", seconds)
        printed = re.findall(r"-?\d+(?:\.\d+)?", message)
        told = [f"{found.value:.{found.decimals or 0}f}" for found in statements.values()]
        for figure in FIGURES:
            if figure.log == name and not figure.statistic.startswith(("last", "mean of the last")):
                in_log = figure.value / {"%": 100, "ms": 1000}.get(figure.unit, 1)
                here = number in lines_of(figure.source)
                told += [text for text in printed if here and math.isclose(float(text), in_log)]
        assert sorted(told) == sorted(printed)


def test_the_figures_are_judged_by_the_configuration_that_the_text_prints() -> None:
    setting = next(figure.setting for figure in FIGURES if figure.key == "train_accuracy_best")
    printed = {key: found.value for key, found in STATEMENTS.items() if found.source.startswith("configuration")}
    judged = {**setting.workload, **setting.recipe}
    assert {key: value for key, value in judged.items() if key in printed} == {
        key: value for key, value in printed.items() if key in judged
    }
    assert set(judged) - set(printed) == {"shuffle_labels"}  # a key of this project
    lines = [lines_of(found.source)[0] for found in STATEMENTS.values() if found.source.startswith("configuration")]
    assert all(182 <= line <= 250 for line in lines)


@pytest.mark.parametrize(
    ("figure", "statement"),
    [
        ("train_step_time", "step_time"),
        ("train_time_hours", "training_time"),
        ("parameters", "parameters"),
        ("eval_ascend_accuracy", "eval_accuracy"),
    ],
)
def test_a_number_that_is_a_figure_and_a_statement_is_one_number(figure: str, statement: str) -> None:
    found, said = next(found for found in FIGURES if found.key == figure), STATEMENTS[statement]
    assert (said.value, said.unit) == (found.value, found.unit)
    assert set(lines_of(said.source)) <= set(lines_of(found.source))
    assert found.rounding == pytest.approx(0.5 * 10**-said.decimals)


def test_hardware_and_software_of_the_figures_are_those_of_the_text() -> None:
    settings = {figure.setting.key: figure.setting for figure in FIGURES}
    for setting, prefix in (("train", "train"), ("eval_ascend", "eval")):
        assert settings[setting].hardware == STATEMENTS[f"{prefix}_hardware"].value
        assert settings[setting].software == f"MindSpore {STATEMENTS[f'{prefix}_software'].value}"
    assert settings["eval_gpu"].hardware == STATEMENTS["eval_gpu_hardware"].value
    assert settings["train"].count == STATEMENTS["table_devices"].value
    assert settings["train"].dataset == STATEMENTS["data_set"].value


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (read_published, "rules: {}\nsettings: {}\nfigures: [{setting: nowhere}]\n", "found no 'nowhere'"),
        (read_published, "rules: {speed: {kind: speed, best: lower}}\n", ".*'best'"),
        (read_statements, "statements: {images: {say: many}}\nconfiguration: {}\nlog: {}\n", ".*'say'"),
        (read_statements, "statements: {}\nconfiguration: {opt: {line: 1}}\nlog: {}\n", "found no 'value'"),
    ],
)
def test_a_mistake_is_named_with_its_key(read: Callable[[Path], object], text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "published.yml").write_text(text)
    with pytest.raises(ReproError, match=rf"published\.yml: {said}"):
        read(tmp_path / "published.yml")
