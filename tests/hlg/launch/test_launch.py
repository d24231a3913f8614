"""The launcher with real processes: who fails is named, who is asked to stop can save, and nobody is left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hlg.errors import UserError
from hlg.launch import placement, supervise
from hlg.launch.__main__ import main, read_launch_options
from hlg.launch.jobs import read_seeds
from hlg.launch.placement import RankPlan, plan_ranks
from hlg.runtime.signals import ECHO_S
from tests.hlg.launch.test_rank_table import table, write
from tests.support import ROOT
from tests.support.processes import is_alive, wait_for

WAIT_S = 30  # for what takes a moment, on a machine that is busy

# What a rank does is said by arguments such as `1:fail`; without one it ends with 0 at once. It tells its pid only
# when its signal handlers are set. The scheduler ends when all ranks have said that they are over, as MindSpore's does.
PROGRAM = """
import os, signal, subprocess, sys, time
from pathlib import Path

out = Path(os.environ["OUT"])
rank = os.environ.get("RANK_ID", "0")
name = "scheduler" if os.environ.get("MS_ROLE") == "MS_SCHED" else f"rank_{rank}"
todo = dict(argument.split(":") for argument in sys.argv[1:] if not argument.startswith("--"))
first_todo = todo.get("0", "")
todo = todo.get("s" if name == "scheduler" else rank, "")

def end(code):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (out / f"{name}.over").touch()
    sys.exit(code)

def on_signal(number, frame):
    with (out / f"{name}.signals").open("a") as file:
        file.write(signal.Signals(number).name + "\\n")
    if todo == "broken":
        print("error: checkpoints/last.ckpt: No space left on device", file=sys.stderr)
        end(2)
    if todo != "deaf":
        end({signal.SIGTERM: 75, signal.SIGINT: 130}[number])

signal.signal(signal.SIGTERM, on_signal)
signal.signal(signal.SIGINT, on_signal)
if todo == "parent":
    child = subprocess.Popen(["sleep", "60"])
    (out / "grandchild.pid").write_text(str(child.pid))
if name == "rank_0":
    run = out / "run"
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    (run / "checkpoints" / "last.ckpt").touch()
    (Path(os.environ["HLG_RANK_LOGS"]) / "run_folder").write_text(f"{run}\\n")
print(name, *sys.argv[1:])
partial = out / f".{name}"
partial.write_text(str(os.getpid()))
partial.rename(out / f"{name}.pid")

end_at = time.monotonic() + 60
first = out / ("rank_0.over" if first_todo.isdigit() else "rank_0.pid")
while name != "rank_0" and not first.exists() and time.monotonic() < end_at:
    time.sleep(0.02)  # what is tested must not depend on who is faster
if todo in ("fail", "mute"):
    print("a library's last words")
    sys.exit({"fail": 1, "mute": 2}[todo])
if todo.isdigit():
    print(f"error: key {name}: found nothing", file=sys.stderr)
    print("a line of a library at its end")
    end(int(todo))
if name == "scheduler":
    todo = "deaf"
while todo in ("wait", "deaf", "broken", "parent") and time.monotonic() < end_at:
    time.sleep(0.02)
    ranks = [out / f"rank_{i}.over" for i in range(int(os.environ.get("RANK_SIZE", "1")))]
    if name == "scheduler" and all(path.exists() for path in ranks):
        break
end(0)
"""


class Job:
    """A launcher of the rank program above, and what its processes wrote into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launcher: subprocess.Popen[str] | None = None
        (folder / "rank_program.py").write_text(PROGRAM)

    def start(self, *arguments: str, options: tuple[str, ...] = ("--ranks", "2")) -> None:
        self.launcher = subprocess.Popen(
            self.command(*arguments, options=options),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(self.folder), "OUT": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *arguments: str, options: tuple[str, ...]) -> list[str]:
        logs = str(self.folder / "logs")
        return [sys.executable, "-m", "hlg.launch", *options, "--logs", logs, "rank_program", *arguments]

    def pids(self, *names: str) -> list[int]:
        """The pids of these processes; waits until each has told its own."""
        paths = [self.folder / f"{name}.pid" for name in names]
        wait_for(lambda: all(path.exists() for path in paths), f"the start of {', '.join(names)}")
        return [int(path.read_text()) for path in paths]

    def send(self, number: int) -> None:
        assert self.launcher
        self.launcher.send_signal(number)

    def signals(self, rank: int) -> list[str]:
        path = self.folder / f"rank_{rank}.signals"
        return path.read_text().split() if path.exists() else []

    def end(self) -> tuple[int, str, str]:
        """(exit code, standard output, standard error) at the launcher's end."""
        assert self.launcher
        out, err = self.launcher.communicate(timeout=WAIT_S)
        return self.launcher.returncode, out, err

    def log(self, name: str) -> str:
        (path,) = (self.folder / "logs").glob(f"*/{name}.log")
        return path.read_text()

    def nothing_is_left(self) -> bool:
        return not any(is_alive(int(path.read_text())) for path in self.folder.glob("*.pid"))


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    job = Job(tmp_path)
    yield job
    if job.launcher:
        job.launcher.kill()  # which ends the ranks
        job.launcher.communicate()


def test_all_ranks_end_well_and_the_first_writes_to_the_console_and_the_others_to_files(job: Job) -> None:
    job.start("--key=value", options=("--ranks", "3"))
    code, out, err = job.end()
    assert (code, err) == (0, "")
    assert out == "rank_0 --key=value --run_distribute=1\n"
    for name in ("rank_1", "rank_2", "scheduler"):
        assert job.log(name) == f"{name} --key=value --run_distribute=1\n"
    assert job.nothing_is_left()


def test_one_rank_is_a_plain_process_whatever_the_shell_has_of_an_earlier_start(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in placement.RANK_VARIABLES:
        monkeypatch.setenv(name, "7")
    job.start(options=())
    assert job.end() == (0, "rank_0 --run_distribute=0\n", "")
    assert job.nothing_is_left()


def test_a_rank_that_is_killed_is_named_and_ends_the_others(job: Job) -> None:
    job.start("0:wait", "1:parent")
    _, victim, grandchild, _ = job.pids("rank_0", "rank_1", "grandchild", "scheduler")
    os.kill(victim, signal.SIGKILL)
    code, _, err = job.end()
    assert code == 1
    assert err.splitlines()[0] == (f"error: rank 1 of node 0 (pid {victim}): killed by SIGKILL; the end of its log:")
    assert "  rank_1 0:wait 1:parent --run_distribute=1\n" in err
    assert job.signals(0) == ["SIGTERM"]
    assert not is_alive(grandchild)
    assert job.nothing_is_left()


def test_a_failure_says_where_the_logs_are_and_how_to_resume(job: Job) -> None:
    job.start("0:wait", "1:fail")
    code, _, err = job.end()
    assert code == 1
    (folder,) = (job.folder / "logs").iterdir()
    assert err.splitlines()[1:] == [
        "  rank_1 0:wait 1:fail --run_distribute=1",
        "  a library's last words",
        f"logs: {folder}",
        f"resume: the same command with RESUME={job.folder / 'run'}",
    ]
    assert "exit code 1; the end of its log:" in err


@pytest.mark.parametrize("code", [2, 3])
def test_a_rank_that_says_itself_what_is_wrong_is_quoted(code: int, job: Job) -> None:
    job.start("0:wait", f"1:{code}")
    found, _, err = job.end()
    assert found == code
    assert err.splitlines()[0] == "error: key rank_1: found nothing"
    assert err.splitlines()[1].endswith(f": exit code {code}")
    assert "a line of a library" not in err
    assert job.nothing_is_left()


def test_a_rank_that_only_looks_as_if_it_said_what_is_wrong_is_shown_by_its_log(job: Job) -> None:
    job.start("0:wait", "1:mute")
    code, _, err = job.end()
    assert code == 2
    assert "exit code 2; the end of its log:\n" in err
    assert "  a library's last words\n" in err


def test_the_first_rank_has_said_on_the_console_what_is_wrong(job: Job) -> None:
    job.start("0:2", options=())
    code, _, err = job.end()
    assert code == 2
    assert err.splitlines()[0] == "error: key rank_0: found nothing"
    assert err.count("rank_0") == 1


def test_a_mistake_that_all_ranks_make_is_said_once(job: Job) -> None:
    job.start("0:2", "1:2", "2:2", options=("--ranks", "3"))
    code, _, err = job.end()
    assert code == 2
    assert err.count("error: ") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_is_passed_on_once_so_that_the_ranks_can_save(number: signal.Signals, code: int, job: Job) -> None:
    job.start("0:wait", "1:wait")
    job.pids("rank_0", "rank_1", "scheduler")
    job.send(number)
    found, _, err = job.end()
    assert (found, err) == (code, "")
    assert job.signals(0) == job.signals(1) == [number.name]
    assert not (job.folder / "scheduler.signals").exists()
    assert (job.folder / "scheduler.over").exists()
    assert job.nothing_is_left()


def test_a_rank_that_fails_while_it_saves_is_no_clean_stop(job: Job) -> None:
    job.start("0:wait", "1:broken")
    job.pids("rank_0", "rank_1")
    job.send(signal.SIGTERM)
    code, _, err = job.end()
    assert code == 2
    assert err.startswith("error: checkpoints/last.ckpt: No space left on device\nrank 1 of node 0 (pid ")
    assert job.nothing_is_left()


def test_a_rank_that_dies_of_the_signal_before_it_can_handle_it_counts_as_stopped(job: Job) -> None:
    (job.folder / "rank_program.py").write_text(PROGRAM.replace("\nsignal.signal(", "\n("))
    job.start("0:wait", "1:wait")
    job.pids("rank_0", "rank_1")
    job.send(signal.SIGTERM)
    code, _, err = job.end()
    assert (code, err) == (75, "")
    assert job.nothing_is_left()


def test_a_rank_that_does_not_end_is_killed_after_the_grace(job: Job) -> None:
    job.start("0:deaf", "1:deaf", options=("--ranks", "2", "--grace", "0.5"))
    _, second = job.pids("rank_0", "rank_1")
    job.send(signal.SIGTERM)
    code, _, err = job.end()
    assert code == 75
    assert f"rank 1 of node 0 (pid {second}): not ended 0.5 s after SIGTERM, killed" in err
    assert f"resume: the same command with RESUME={job.folder / 'run'}" in err
    assert job.nothing_is_left()


def test_the_echo_of_a_signal_is_left_alone_and_a_second_one_ends_all_at_once(job: Job) -> None:
    job.start("0:deaf", "1:deaf")
    job.pids("rank_0", "rank_1")
    job.send(signal.SIGINT)
    wait_for(lambda: job.signals(0) and job.signals(1), "the first signal")
    job.send(signal.SIGINT)  # as make passes on what both were sent
    time.sleep(ECHO_S + 0.3)
    assert all(map(is_alive, job.pids("rank_0", "rank_1")))
    job.send(signal.SIGINT)
    code, _, err = job.end()
    assert code == 130
    assert "not ended at the second signal, killed" in err
    assert job.signals(0) == ["SIGINT"]
    assert job.nothing_is_left()


def test_no_rank_outlives_a_launcher_that_is_killed(job: Job) -> None:
    job.start("0:deaf", "1:deaf")
    job.pids("rank_0", "rank_1", "scheduler")
    job.send(signal.SIGKILL)
    assert job.end()[0] == -signal.SIGKILL
    wait_for(job.nothing_is_left, "the end of the ranks")


def test_a_rank_that_was_stopped_by_somebody_else_lets_the_others_stop_too(job: Job) -> None:
    job.start("0:wait", "1:75")
    rank, _ = job.pids("rank_0", "rank_1")
    wait_for(lambda: (job.folder / "rank_1.over").exists(), "the end of rank 1")
    os.kill(rank, signal.SIGTERM)  # as a batch system does to every process
    assert job.end()[0] == 75
    assert job.signals(0) == ["SIGTERM"]


def test_the_second_machine_starts_its_own_ranks_and_no_scheduler(job: Job) -> None:
    (job.folder / "rank_0.pid").touch()  # it is on the first
    job.start(options=("--ranks", "4", "--nodes", "2", "--node_rank", "1", "--master", "127.0.0.1:9"))
    assert job.end() == (0, "rank_2 --run_distribute=1\n", "")
    assert job.log("rank_3") == "rank_3 --run_distribute=1\n"
    assert not (job.folder / "scheduler.pid").exists()


def test_a_scheduler_that_fails_is_named(job: Job) -> None:
    job.start("0:wait", "1:wait", "s:fail")
    (scheduler,) = job.pids("scheduler")
    code, _, err = job.end()
    assert code == 1
    assert f"error: scheduler (pid {scheduler}): exit code 1; the end of its log:\n" in err
    assert job.nothing_is_left()


@pytest.fixture
def here(job: Job, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the launcher in this process, where its patience can be changed."""
    monkeypatch.setenv("PYTHONPATH", str(job.folder))
    monkeypatch.setenv("OUT", str(job.folder))

    def run(*arguments: str, options: tuple[str, ...] = ("--ranks", "2")) -> int:
        return main(job.command(*arguments, options=options)[3:])

    return run


def test_a_rank_that_hangs_after_the_others_are_done_is_named(
    here: Callable[..., int], job: Job, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervise, "AFTER_DONE_S", 1.0)
    assert here("1:deaf") == 1
    (first, second) = job.pids("rank_0", "rank_1")
    assert (
        f"error: rank 1 of node 0 (pid {second}): not ended 1 s after rank 0 of node 0 (pid {first}) was done, killed"
    ) in capfd.readouterr().err
    assert job.nothing_is_left()


def test_ranks_that_hang_after_another_failed_are_killed(
    here: Callable[..., int], job: Job, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervise, "AFTER_FAILURE_S", 0.5)
    assert here("0:deaf", "1:2", "2:deaf", options=("--ranks", "3")) == 2
    assert "error: key rank_1: found nothing" in capfd.readouterr().err
    assert job.nothing_is_left()


def test_ranks_that_hang_after_another_stopped_are_killed(
    here: Callable[..., int], job: Job, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervise, "AFTER_STOP_S", 0.5)
    assert here("0:75", "1:deaf") == 75
    assert "not ended 0.5 s after rank 0 of node 0 (pid" in capfd.readouterr().err
    assert job.nothing_is_left()


def test_a_scheduler_that_hangs_after_all_ranks_are_done_is_no_failure(
    here: Callable[..., int], job: Job, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervise, "SCHEDULER_S", 0.5)
    (job.folder / "rank_program.py").write_text(PROGRAM.replace('f"{name}.over"', '"nothing"'))
    assert here() == 0
    assert capfd.readouterr().err == ""
    assert job.nothing_is_left()


def test_seeds_run_one_after_the_other(job: Job) -> None:
    job.start("--key=value", options=("--seeds", "3 1"))
    assert job.end() == (
        0,
        "seed 3 (1 of 2)\nrank_0 --key=value --seed=3 --run_distribute=0\n"
        "seed 1 (2 of 2)\nrank_0 --key=value --seed=1 --run_distribute=0\n",
        "",
    )
    (folder,) = (job.folder / "logs").iterdir()
    assert {path.name for path in folder.iterdir()} == {"seed_1", "seed_3"}


def test_seeds_stop_at_the_first_that_fails(job: Job) -> None:
    job.start("0:3", options=("--seeds", "1 2 3"))
    code, out, err = job.end()
    assert code == 3
    assert "seed 2" not in out
    assert err.splitlines()[-1] == "seeds: done none; stopped 1; not begun 2 3 (to resume a run, leave SEEDS out)"


def test_a_signal_stops_the_seeds_too(job: Job) -> None:
    job.start("0:wait", options=("--seeds", "1 2"))
    job.pids("rank_0")
    job.send(signal.SIGTERM)
    code, _, err = job.end()
    assert code == 75
    assert err == "seeds: done none; stopped 1; not begun 2 (to resume a run, leave SEEDS out)\n"


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


def _plan(*options: str) -> RankPlan:
    return plan_ranks(read_launch_options([*options, "hlg.train"]))


def _worker(rank: int, device: int, ranks: int, host: str, port: str, timeout: str = "600") -> dict[str, str]:
    """What msrun sets for a worker."""
    return {
        "MS_ROLE": "MS_WORKER",
        "MS_NODE_ID": str(rank),
        "RANK_ID": str(rank),
        "DEVICE_ID": str(device),
        "MS_WORKER_NUM": str(ranks),
        "RANK_SIZE": str(ranks),
        "MS_SCHED_HOST": host,
        "MS_SCHED_PORT": port,
        "MS_TOPO_TIMEOUT": timeout,
    }


def _scheduler(ranks: int, host: str, port: str) -> dict[str, str]:
    worker = _worker(0, 0, ranks, host, port)
    return {k: v for k, v in worker.items() if k not in ("MS_NODE_ID", "RANK_ID", "DEVICE_ID")} | {
        "MS_ROLE": "MS_SCHED"
    }


def test_the_plan_of_one_rank_sets_nothing() -> None:
    assert _plan() == _plan("--ranks", "1") == RankPlan(1, 0, {0: {}}, None, ("--run_distribute=0",))


def test_the_plan_of_eight_ranks_is_msruns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "free_port", lambda: 4242)
    local = {rank: _worker(rank, rank, 8, "127.0.0.1", "4242") for rank in range(8)}
    assert _plan("--ranks", "8") == RankPlan(8, 0, local, _scheduler(8, "127.0.0.1", "4242"), ("--run_distribute=1",))


def test_the_plans_of_two_machines_meet_at_the_scheduler_of_the_first() -> None:
    options = ("--ranks", "16", "--nodes", "2", "--master", "192.0.2.1")
    first, second = (_plan(*options, "--node_rank", node) for node in "01")
    assert first.local == {rank: _worker(rank, rank, 16, "192.0.2.1", "8118") for rank in range(8)}
    assert first.scheduler == _scheduler(16, "192.0.2.1", "8118")
    assert second == RankPlan(
        16, 1, {r: _worker(r, r - 8, 16, "192.0.2.1", "8118") for r in range(8, 16)}, None, ("--run_distribute=1",)
    )


def test_port_and_timeout_can_be_chosen() -> None:
    plan = _plan("--ranks", "2", "--master", "localhost:5000", "--join_timeout", "30")
    assert plan.local[1] == _worker(1, 1, 2, "127.0.0.1", "5000", "30")


def test_the_plan_by_rank_table_has_no_scheduler(tmp_path: Path) -> None:
    path = write(tmp_path, table("240.0.0.1", "127.0.0.1"))
    plan = _plan("--rank_table", str(path))
    assert plan == RankPlan(
        16,
        1,
        {
            rank: {
                "RANK_TABLE_FILE": str(path),
                "RANK_ID": str(rank),
                "RANK_SIZE": "16",
                "DEVICE_ID": str(rank - 8),
            }
            for rank in range(8, 16)
        },
        None,
        ("--run_distribute=1",),
    )
    assert plan == _plan("--rank_table", str(path), "--ranks", "16", "--nodes", "2", "--node_rank", "1")


def test_a_rank_table_of_one_device_is_a_plain_process_on_that_device(tmp_path: Path) -> None:
    content = table("127.0.0.1", devices=1)
    content["server_list"][0]["device"][0]["device_id"] = "5"
    plan = _plan("--rank_table", str(write(tmp_path, content)))
    assert plan == RankPlan(1, 0, {0: {}}, None, ("--device_id=5", "--run_distribute=0"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--ranks 0", "--ranks: found 0; allowed: a number >= 1"),
        ("--grace -1", "--grace: found -1; allowed: a number >= 0"),
        ("--grace nan", "--grace: found nan; allowed: a number >= 0"),
        ("--ranks 9 --nodes 2", "--ranks: found 9, the ranks on all 2 nodes; allowed: a multiple of 2"),
        ("--ranks 8 --nodes 2 --master 192.0.2.1", "--node_rank: found nothing with 2 in --nodes"),
        ("--ranks 8 --nodes 2 --node_rank 1", "--master: found nothing with 2 in --nodes"),
        ("--ranks 8 --nodes 2 --node_rank 2 --master 192.0.2.1", "--node_rank: found 2 with 2 in --nodes"),
        ("--ranks 8 --node_rank 1", "--node_rank: found 1 with 1 in --nodes; allowed: 0 to 0"),
        ("--ranks 8 --master 192.0.2.1:http", "--master: found '192.0.2.1:http' (Port could not be cast"),
        ("--ranks 8 --master :80", "--master: found ':80' (no host)"),
        ("--ranks 4 --rank_table TABLE", "--ranks: found 4, but TABLE lists 8; leave --ranks out"),
        ("--nodes 2 --rank_table TABLE", "--nodes: found 2, but TABLE lists 1; leave --nodes out"),
        ("--master 192.0.2.1 --rank_table TABLE", "--master: found 192.0.2.1, but ranks of a rank table need no"),
        ("--rank_table TABLE.old", "TABLE.old: this rank table cannot be read"),
    ],
)
def test_impossible_options_are_one_line_and_exit_code_2(
    options: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write(tmp_path, table("127.0.0.1")))
    logs = tmp_path / "logs"
    assert main([*options.replace("TABLE", path).split(), "--logs", str(logs), "hlg.train"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {said.replace('TABLE', path)}")
    assert len(err.splitlines()) == 1
    assert not logs.exists()


def test_logs_that_can_not_be_written_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--logs", str(tmp_path / "file"), "hlg.train"]) == 2
    assert capsys.readouterr().err.startswith(f"error: --logs: can't make {tmp_path / 'file'}/")


def test_the_free_port_is_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", placement.free_port()))


def test_a_terminal_that_closes_is_a_wish_to_stop_unless_nohup_says_otherwise(job: Job) -> None:
    ours = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # or the launcher would inherit it from tests under nohup
    job.start("0:deaf", "1:deaf", options=("--ranks", "2", "--grace", "0.5"))
    signal.signal(signal.SIGHUP, ours)
    job.pids("rank_0", "rank_1")
    job.send(signal.SIGHUP)
    code, _, _ = job.end()
    assert code == 75
    assert job.signals(0) == ["SIGTERM"]
    assert job.nothing_is_left()
