"""The launcher with real processes: who fails is named, who is asked to stop can save, and nobody is left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlg.errors import UserError
from hlg.launch import placement
from hlg.launch.jobs import read_seeds
from tests.support.processes import is_alive, start_command, wait_for

WAIT_S = 30  # for what takes a moment, on a machine that is busy
TWO = ("--ranks", "2")


class Job:
    """A launcher of rank_program.py, and what its processes wrote into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launcher: subprocess.Popen[str] | None = None

    def start(self, *words: str, options: tuple[str, ...] = TWO, patience: str = "") -> "Job":
        """Start it; ``patience`` sets what is in ``jobs``, ``supervise`` and ``signals``."""
        code = f"from hlg import signals\nfrom hlg.launch import __main__, jobs, supervise\n{patience}\n"
        command = [sys.executable, "-c", f"{code}raise SystemExit(__main__.main())", *options]
        self.launcher = start_command(
            *(*command, "--logs", self.folder / "logs", "tests.hlg.launch.rank_program", *words),
            env={**os.environ, "OUT": str(self.folder)},
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # even where the tests run under nohup
        )
        return self

    def pids(self, *names: str) -> list[int]:
        """The pids of these processes; waits until each has told its own."""
        paths = [self.folder / f"{name}.pid" for name in names]
        wait_for(lambda: all(path.exists() for path in paths), f"the start of {', '.join(names)}", WAIT_S)
        return [int(path.read_text()) for path in paths]

    def signals(self, name: str) -> list[str]:
        """The signals that a process got."""
        path = self.folder / f"{name}.signals"
        return path.read_text().split() if path.exists() else []

    def end(self) -> tuple[int, str, str]:
        """(exit code, standard output, standard error) of the launcher; nothing else may be left then."""
        out, err = self.launcher.communicate(timeout=WAIT_S)
        if self.launcher.returncode >= 0:
            assert not any(is_alive(int(path.read_text())) for path in self.folder.glob("*.pid"))
        return self.launcher.returncode, out, re.sub(r"pid \d+", "pid PID", err)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    job = Job(tmp_path)
    yield job
    if job.launcher:
        job.launcher.kill()  # which ends the ranks
        job.launcher.communicate()


def test_all_ranks_end_well_and_the_first_writes_to_the_console_and_the_others_to_files(job: Job) -> None:
    code, out, err = job.start("--key=it", "2:daemon", options=("--ranks", "3")).end()
    assert (code, out) == (0, "rank_0 --key=it 2:daemon --run_distribute=1\n")
    assert err == "sleep 60 (pid PID) ran on after the process that had started it: killed\n"
    for log in (job.folder / "logs").glob("*/*.log"):
        assert log.read_text() == f"{log.stem} --key=it 2:daemon --run_distribute=1\n"
    assert {path.stem for path in job.folder.glob("logs/*/*.log")} == {"rank_1", "rank_2", "scheduler"}


def test_one_rank_is_a_plain_process_whatever_the_shell_has(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in placement.RANK_VARIABLES:
        monkeypatch.setenv(name, "7")
    code, out, err = job.start("0:2", options=()).end()
    assert (code, out.splitlines()[0]) == (2, "rank_0 0:2 --run_distribute=0")
    assert err.startswith("error: key rank_0: found nothing\nresume: ")  # it has said itself what is wrong


FIRST, SECOND = "rank 0 of node 0 (pid PID)", "rank 1 of node 0 (pid PID)"
LATE = f"error: {FIRST}, {SECOND}: not ended 0.3 s after the scheduler (pid PID), killed\n"
LOG, LAST = "; the end of its log:\n ", "  a library's last words\n"


@pytest.mark.parametrize(
    ("words", "patience", "number", "code", "said"),
    [
        ("0:wait 1:fail", "", None, 1, f"error: {SECOND}: exit code 1{LOG} rank_1 WORDS\n{LAST}"),
        ("0:wait 1:mute", "", None, 2, f"error: {SECOND}: exit code 2{LOG} rank_1 WORDS\n{LAST}"),
        ("0:wait 1:wait s:fail", "", None, 1, f"error: scheduler (pid PID): exit code 1{LOG} scheduler WORDS\n{LAST}"),
        ("0:wait 1:2", "", None, 2, f"error: key rank_1: found nothing\n{SECOND}: exit code 2\n"),
        ("0:2 1:2", "", None, 2, f"error: key rank_0: found nothing\n{FIRST}: exit code 2\n"),
        ("0:wait 1:wait", "", signal.SIGTERM, 75, ""),
        ("0:wait 1:wait", "", signal.SIGINT, 130, ""),
        ("0:wait 1:wait", "", signal.SIGHUP, 75, ""),
        ("0:unready 1:unready", "", signal.SIGTERM, 75, ""),
        ("0:wait 1:broken", "", signal.SIGTERM, 2, f"error: last.ckpt: No space left\n{SECOND}: exit code 2\n"),
        ("1:deaf", "AFTER_DONE_S", None, 1, f"error: {SECOND}: not ended 0.3 s after {FIRST} was done, killed"),
        ("0:75 1:deaf", "AFTER_STOP_S", None, 75, f"error: {SECOND}: not ended 0.3 s after {FIRST} stopped, killed"),
        ("0:deaf 1:2", "AFTER_FAILURE_S", None, 2, f"error: key rank_1: found nothing\n{SECOND}: exit code 2\n"),
        ("s:deaf", "SCHEDULER_S", None, 0, ""),
        ("0:wait 1:wait s:0", "AFTER_SCHEDULER_S", None, 1, LATE),
    ],
)  # fmt: skip
def test_who_fails_or_hangs_is_named_and_ends_the_others_and_who_is_asked_to_stop_can_save(
    words: str, patience: str, number: signal.Signals | None, code: int, said: str, job: Job
) -> None:
    job.start(*words.split(), patience=f"supervise.{patience} = 0.3" if patience else "")
    if number:
        job.pids("rank_0", "rank_1", "scheduler")
        job.launcher.send_signal(number)
    found, _, err = job.end()
    (folder,) = (job.folder / "logs").iterdir()
    if said.endswith("killed"):
        said += f"{LOG} rank_1 WORDS\n"
    if said:
        said = said.replace("WORDS", f"{words} --run_distribute=1")
        said += f"logs: {folder}\nresume: the same command with RESUME={job.folder / 'run'}\n"
    assert (found, err) == (code, said)
    if number and words == "0:wait 1:wait":  # the ranks know no SIGHUP, and the scheduler waits for them
        passed_on = "SIGINT" if number == signal.SIGINT else "SIGTERM"
        assert [job.signals(name) for name in ("rank_0", "rank_1", "scheduler")] == [[passed_on], [passed_on], []]
        assert (job.folder / "scheduler.over").exists()


@pytest.mark.parametrize(("kills", "by"), [((3, 3), ""), ((3, 4), ", probably by the kernel, which ran out of memory")])
def test_a_killed_rank_is_named_and_ends_others_and_what_it_started(kills: tuple[int, int], by: str, job: Job) -> None:
    job.start("0:wait", "1:parent", patience=f"jobs.out_of_memory_kills = iter({kills}).__next__")
    _, victim, grandchild, _ = job.pids("rank_0", "rank_1", "grandchild", "scheduler")
    os.kill(victim, signal.SIGKILL)
    code, _, err = job.end()
    assert code == 1
    assert err.startswith(f"error: {SECOND}: killed by SIGKILL{by}{LOG} rank_1 0:wait")
    assert job.signals("rank_0") == ["SIGTERM"]
    assert not is_alive(grandchild)


def test_a_rank_that_does_not_end_is_killed_after_the_grace(job: Job) -> None:
    job.start("0:deaf", "1:deaf", options=(*TWO, "--grace", "0.3")).pids("rank_0", "rank_1")
    job.launcher.send_signal(signal.SIGTERM)
    code, _, err = job.end()
    assert code == 75
    assert f"{SECOND}: not ended 0.3 s after SIGTERM, killed" in err


def test_the_echo_of_a_signal_is_left_alone_and_a_second_one_ends_all_at_once(job: Job) -> None:
    ranks = job.start("0:deaf", "1:deaf", patience="signals.ECHO_S = 1").pids("rank_0", "rank_1")
    job.launcher.send_signal(signal.SIGINT)
    wait_for(lambda: job.signals("rank_0") and job.signals("rank_1"), "the first signal", WAIT_S)
    job.launcher.send_signal(signal.SIGINT)  # as make passes on what both were sent
    time.sleep(1.3)
    assert all(map(is_alive, ranks))
    job.launcher.send_signal(signal.SIGINT)
    code, _, err = job.end()
    assert code == 130
    assert "not ended at the second signal, killed" in err
    assert job.signals("rank_0") == ["SIGINT"]


def test_seeds_run_one_after_the_other(job: Job) -> None:
    assert job.start("--key=value", options=("--seeds", "3 1")).end() == (
        0,
        "seed 3 (1 of 2)\nrank_0 --key=value --seed=3 --run_distribute=0\n"
        "seed 1 (2 of 2)\nrank_0 --key=value --seed=1 --run_distribute=0\n",
        "",
    )
    (folder,) = (job.folder / "logs").iterdir()
    assert {path.name for path in folder.iterdir()} == {"seed_1", "seed_3"}


def test_seeds_stop_at_the_first_that_fails_or_is_stopped(job: Job) -> None:
    said = "seeds: done none; stopped 1; not begun 2 3 (to resume a run, leave SEEDS out)\n"
    code, out, err = job.start("0:3", options=("--seeds", "1 2 3")).end()
    assert code == 3
    assert "seed 2" not in out
    assert err.endswith(f"\n{said}")
    (job.folder / "rank_0.pid").unlink()
    job.start("0:wait", options=("--seeds", "1 2 3")).pids("rank_0")
    job.launcher.send_signal(signal.SIGTERM)
    assert job.end()[::2] == (75, said)


@pytest.mark.parametrize("seeds", ["", " ", "1 1", "1 01", "1 a", "-1", "1.5", "1,2", "4294967296"])
def test_seeds_that_are_none_or_twice_there_are_refused(seeds: str) -> None:
    with pytest.raises(UserError, match="--seeds: found "):
        read_seeds(seeds, [])


def test_several_seeds_can_not_resume_one_run() -> None:
    assert read_seeds(None, ["--resume=x"]) == []
    assert read_seeds("4", ["--resume", "x"]) == [4]
    assert read_seeds("1 2", ["--resume_changed=1"]) == [1, 2]
    for arguments in (["--resume", "x"], ["--resume=x"]):
        with pytest.raises(UserError, match="--resume: found with 2 in --seeds"):
            read_seeds("1 2", arguments)
