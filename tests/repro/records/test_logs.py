"""Logs in the published format: what they hold is read to the character, what is malformed is an error."""

import tempfile
from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import ReproError
from repro.records.logs import read_log, read_step_losses
from tests.support import ROOT

PUBLISHED = ROOT / "results" / "published"
EPOCH = (
    "2022-07-27 17:04:05:INFO:epoch[299], epoch time: 466.71s, per step time: 0.3731s, loss=2.325288, "
    "lr=0.000000, fps=2744.82, accuracy=0.755020, eval_cost=7.99"
)
ANY = st.floats(allow_nan=True, allow_infinity=True)
TIME = st.floats(min_value=0) | st.just(float("nan"))


def log(folder: Path, *lines: str) -> Path:
    path = folder / "train.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_the_published_training_log_parses_to_its_exact_figures() -> None:
    log = read_log(PUBLISHED / "train_ascend910x8.log")
    assert [astuple(epoch) for epoch in log.epochs] == [
        (2, 296, 466.67, 0.3730, 2.671882, 0.0, 2745.00, 0.755200, 7.83),
        (4, 297, 466.65, 0.3730, 4.155710, 0.0, 2745.18, 0.754320, 7.83),
        (6, 298, 466.64, 0.3730, 2.258806, 0.0, 2745.22, 0.755300, 7.75),
        (8, 299, 466.71, 0.3731, 2.325288, 0.0, 2744.82, 0.755020, 7.99),
    ]
    assert (log.training_time_s, log.best_accuracy, log.mean_fps) == (143108.96, 0.75618, 2739.62)
    assert (log.step_lines, log.foreign_lines, log.compile_time_s) == (4, 0, None)


def test_other_stamped_messages_are_accepted_and_foreign_lines_are_counted(tmp_path: Path) -> None:
    start = "2022-07-27 17:04:05:INFO:"
    path = log(
        tmp_path, f"{start}Args:", f"{start}--> log_format: epoch[0]", start, "", EPOCH,
        "[WARNING] ME(1:2,MainProcess):2022-07-27-17:04:05.1 [context.py:1] slow", "22-07-27 17:04:05",
    )  # fmt: skip
    assert read_log(path).foreign_lines == 2
    assert len(read_log(path).epochs) == 1


def test_a_training_that_evaluated_nothing_has_no_best_accuracy(tmp_path: Path) -> None:
    """The published code on one device never does, and prints -1 at its end."""
    assert read_log(log(tmp_path, EPOCH, "2022-07-27 17:04:06:INFO:last_metric[-1]")).best_accuracy is None


def test_the_losses_of_all_steps_are_read_in_order(tmp_path: Path) -> None:
    step = "2022-07-27 17:04:06,123:INFO:epoch[0], step_num[{}], loss={:.6f}"
    path = log(tmp_path, *(step.format(number, loss) for number, loss in enumerate((7.25, float("nan"), 2))), EPOCH)
    assert str(read_step_losses(path)) == "array('d', [7.25, nan, 2.0])"


@pytest.mark.parametrize(
    "line",
    [
        EPOCH.replace("466.71s", "466.7s"),  # another precision
        EPOCH.replace("2.325288", "NaN"),
        EPOCH.replace("0.755020", "1.755020"),
        EPOCH + EPOCH,  # two ranks wrote at once
        EPOCH[:100],  # the disk was full
        EPOCH[25:],  # no time stamp
        EPOCH.replace(":INFO:", " INFO "),
        EPOCH.replace("2022-07-27", "2022-13-27"),
        "2022-07-27 17:04:06:INFO:epoch[299], step_num[299], loss=2.3",
        "2022-07-27 17:04:06:INFO:training time used=143108.96",
        "2022-07-27 17:04:06:INFO:compile time used=1s",
        "2022-07-27 17:04:06:INFO:last_metric[]",
        "2022-07-27 17:04:06:INFO:ip[None], mean_fps[2739]",
        "accuracy=0.754880, per step time: 0.2441s",
        "2022-07-27 17:04:06:INFO:accuracy=0.754880, per step time: 0.2441s, total cost time: 95.4355s",
    ],
)
def test_a_malformed_record_is_an_error_with_file_line_and_expectation(tmp_path: Path, line: str) -> None:
    with pytest.raises(ReproError, match=r"train\.log:2: found .*, expected "):
        read_log(log(tmp_path, "2022-07-27 17:04:05:INFO:Args:", line))


@pytest.mark.parametrize(
    "time", ["2026-11-31 06:20:00", "2026-11-23 24:20:00", "0000-11-23 06:20:00", "2026-11-23 06:60:00"]
)
def test_a_step_at_a_time_that_does_not_exist_is_an_error_with_its_line(tmp_path: Path, time: str) -> None:
    step = "2026-11-23 06:20:00:INFO:epoch[0], step_num[70], loss=2.325288"
    with pytest.raises(ReproError, match=rf"train\.log:3: found the time '{time}'"):
        read_log(log(tmp_path, step, "2026-11-23 06:20:00:INFO:Args:", time + step[len(time) :], step))


def test_two_logs_in_one_file_and_a_missing_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match=r"train\.log:2: found epoch 299 after epoch 299"):
        read_log(log(tmp_path, EPOCH, EPOCH))
    best = "2022-07-27 17:04:06:INFO:last_metric[0.75618]"
    with pytest.raises(ReproError, match=r"train\.log:2: found a second line 'last_metric'"):
        read_log(log(tmp_path, best, best))
    with pytest.raises(ReproError, match=r"none\.log: cannot be read"):
        read_log(tmp_path / "none.log")


@given(
    epoch=st.integers(min_value=0, max_value=10**6),
    numbers=st.tuples(TIME, TIME, ANY, TIME, TIME),
    evaluated=st.none() | st.tuples(st.floats(min_value=0, max_value=1), TIME),
    milliseconds=st.sampled_from(["", ",007"]),  # in the file of the published code, not on its console
)
def test_every_line_that_the_published_format_can_print_parses_back(
    epoch: int, numbers: tuple[float, ...], evaluated: tuple[float, float] | None, milliseconds: str
) -> None:
    formats = ["epoch time: {:.2f}s", "per step time: {:.4f}s", "loss={:.6f}", "lr={:.6f}", "fps={:.2f}"]
    formats += ["accuracy={:.6f}", "eval_cost={:.2f}"] if evaluated else []
    values = (*numbers, *(evaluated or ()))
    parts = [form.format(value) for form, value in zip(formats, values, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.log")
        path.write_text(f"2022-07-27 17:04:05{milliseconds}:INFO:epoch[{epoch}], {', '.join(parts)}\n")
        (found,) = read_log(path).epochs
    expected = [float(f"{value:.{digits}f}") for value, digits in zip(values, (2, 4, 6, 6, 2, 6, 2), strict=False)]
    assert repr(astuple(found)) == repr((1, epoch, *expected, *(() if evaluated else (None, None))))
