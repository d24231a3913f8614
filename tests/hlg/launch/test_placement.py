"""The plans of ranks: what each is told by its environment, and the one line for options that are impossible."""

from pathlib import Path

import pytest

from hlg.launch import placement
from hlg.launch.__main__ import main, read_launch_options
from hlg.launch.placement import RankPlan, plan_ranks
from tests.hlg.launch.test_rank_table import table, write
from tests.support.programs import Call


def _plan(*options: str) -> RankPlan:
    return plan_ranks(read_launch_options([*options, "hlg.train"]))


def _shared(ranks: int, host: str, port: str, timeout: str = "600") -> dict[str, str]:
    """What msrun sets for all workers and the scheduler."""
    address = {"MS_SCHED_HOST": host, "MS_SCHED_PORT": port}
    return {"MS_WORKER_NUM": str(ranks), "RANK_SIZE": str(ranks), **address, "MS_TOPO_TIMEOUT": timeout}


def _workers(shared: dict[str, str], ranks: range) -> dict[int, dict[str, str]]:
    """What msrun sets for the workers of one machine."""
    return {
        rank: {**shared, "MS_ROLE": "MS_WORKER", "MS_NODE_ID": f"{rank}", "RANK_ID": f"{rank}", "DEVICE_ID": f"{i}"}
        for i, rank in enumerate(ranks)
    }


def test_the_plan_of_one_rank_sets_nothing() -> None:
    assert _plan() == _plan("--ranks", "1") == RankPlan(1, 0, {0: {}}, None, ("--run_distribute=0",))


def test_the_plan_of_eight_ranks_is_msruns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "free_port", lambda: 4242)
    shared = _shared(8, "127.0.0.1", "4242")
    assert _plan("--ranks", "8") == RankPlan(
        8, 0, _workers(shared, range(8)), {**shared, "MS_ROLE": "MS_SCHED"}, ("--run_distribute=1",)
    )


def test_the_plans_of_two_machines_meet_at_the_scheduler_of_the_first() -> None:
    options = ("--ranks", "16", "--nodes", "2", "--master", "192.0.2.1")
    shared = _shared(16, "192.0.2.1", "8118")
    first, second = (_plan(*options, "--node_rank", node) for node in "01")
    assert first.local == _workers(shared, range(8))
    assert first.scheduler == {**shared, "MS_ROLE": "MS_SCHED"}
    assert second == RankPlan(16, 1, _workers(shared, range(8, 16)), None, ("--run_distribute=1",))


def test_port_and_timeout_can_be_chosen() -> None:
    plan = _plan("--ranks", "2", "--master", "localhost:5000", "--join_timeout", "30")
    assert plan.local == _workers(_shared(2, "127.0.0.1", "5000", "30"), range(2))


def test_the_plan_by_rank_table_has_no_scheduler(tmp_path: Path) -> None:
    path = str(write(tmp_path, table("240.0.0.1", "127.0.0.1")))
    shared = {"RANK_TABLE_FILE": path, "RANK_SIZE": "16"}
    local = {rank: {**shared, "RANK_ID": str(rank), "DEVICE_ID": str(rank - 8)} for rank in range(8, 16)}
    plan = RankPlan(16, 1, local, None, ("--run_distribute=1",))
    assert _plan("--rank_table", path) == plan
    assert _plan("--rank_table", path, "--ranks", "16", "--nodes", "2", "--node_rank", "1") == plan


def test_a_rank_table_of_one_device_is_a_plain_process_on_that_device(tmp_path: Path) -> None:
    content = table("127.0.0.1", devices=1)
    content["server_list"][0]["device"][0]["device_id"] = "5"
    plan = _plan("--rank_table", str(write(tmp_path, content)))
    assert plan == RankPlan(1, 0, {0: {}}, None, ("--device_id=5", "--run_distribute=0"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--ranks 0", "--ranks: found 0; allowed: a number >= 1, <= 100000"),
        (f"--ranks {10**20}", f"--ranks: found {10**20}; allowed: a number >= 1, <= 100000"),
        ("--grace -1", "--grace: found -1.0; allowed: a number >= 0, <= 31536000"),
        ("--grace nan", "--grace: found nan; allowed: a number >= 0, <= 31536000"),
        ("--ranks 9 --nodes 2", "--ranks: found 9, the ranks on all 2 nodes; allowed: a multiple of 2"),
        ("--ranks 8 --nodes 2 --master 192.0.2.1", "--node_rank: found nothing with 2 in --nodes"),
        ("--ranks 8 --nodes 2 --node_rank 1", "--master: found nothing with 2 in --nodes"),
        ("--ranks 8 --nodes 2 --node_rank 2 --master 192.0.2.1", "--node_rank: found 2 with 2 in --nodes"),
        ("--ranks 8 --master 192.0.2.1:http", "--master: found '192.0.2.1:http' (Port could not be cast"),
        ("--ranks 8 --master :80", "--master: found ':80' (no host)"),
        ("--ranks 4 --rank_table TABLE", "--ranks: found 4, but TABLE lists 8; leave --ranks out"),
        ("--nodes 2 --rank_table TABLE", "--nodes: found 2, but TABLE lists 1; leave --nodes out"),
        ("--master 192.0.2.1 --rank_table TABLE", "--master: found 192.0.2.1, but ranks of a rank table need no"),
    ],
)
def test_impossible_options_are_one_line_and_exit_code_2(options: str, said: str, tmp_path: Path, call: Call) -> None:
    path = str(write(tmp_path, table("127.0.0.1")))
    logs = tmp_path / "logs"
    err = call(main, *options.replace("TABLE", path).split(), "--logs", logs, "hlg.train", code=2).err
    assert err.startswith(f"error: {said.replace('TABLE', path)}")
    assert len(err.splitlines()) == 1
    assert not logs.exists()


def test_logs_that_can_not_be_written_are_an_error(tmp_path: Path, call: Call) -> None:
    (tmp_path / "file").touch()
    err = call(main, "--logs", tmp_path / "file", "hlg.train", code=2).err
    assert err.startswith(f"error: --logs: can't make {tmp_path / 'file'}/")
