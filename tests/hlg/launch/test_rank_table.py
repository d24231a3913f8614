"""The rank table: what Huawei's tools write is read, and every mistake in it is named before anything is started."""

import json
import re
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from hlg.errors import UserError
from hlg.launch.rank_table import own_server, read_rank_table

ELSEWHERE = ("240.0.0.1", "240.0.0.2")  # reserved for ever: no machine has them


def table(*servers: str, devices: int = 8) -> dict[str, Any]:
    """As hccl_tools.py writes it for one machine and merge_hccl.py for several."""
    return {
        "version": "1.0",
        "server_count": str(len(servers)),
        "server_list": [
            {
                "server_id": server,
                "device": [
                    {"device_id": str(i), "device_ip": f"192.168.{100 + i}.{node}", "rank_id": str(node * devices + i)}
                    for i in range(devices)
                ],
                "host_nic_ip": "reserve",
            }
            for node, server in enumerate(servers)
        ],
        "status": "completed",
    }


def write(folder: Path, content: Any) -> Path:
    path = folder / "hccl.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=4))
    return path


def test_two_machines_and_any_order_of_ranks_are_read_by_rank(tmp_path: Path) -> None:
    content = table(*ELSEWHERE, devices=2)
    for rank, (server, device) in zip("3120", [(0, 0), (0, 1), (1, 0), (1, 1)], strict=True):
        content["server_list"][server]["device"][device]["rank_id"] = rank
    ranks = [[(e.rank, e.device_id) for e in s.entries] for s in read_rank_table(write(tmp_path, content)).servers]
    assert ranks == [[(1, 1), (3, 0)], [(0, 1), (2, 0)]]


def super_pods(*pods: tuple[str, ...]) -> dict[str, Any]:
    """As Ascend Operator writes it for Atlas A3, whose machines form super pods; two devices on each machine."""
    content = table(*(server for pod in pods for server in pod), devices=2)
    for server in content["server_list"]:
        for device in server["device"]:
            device["super_device_id"] = str(1000 + int(device["rank_id"]))
    listed = [{"super_pod_id": str(i), "server_list": [{"server_id": s} for s in pod]} for i, pod in enumerate(pods)]
    return {**content, "version": "1.2", "super_pod_list": listed}


def without_addresses(content: dict[str, Any]) -> dict[str, Any]:
    for device in (device for server in content["server_list"] for device in server["device"]):
        del device["device_ip"]
    return content


def test_super_pods_are_read_and_devices_need_addresses_only_to_leave_their_pod(tmp_path: Path) -> None:
    two = super_pods(ELSEWHERE, ("240.0.0.3",))
    assert read_rank_table(write(tmp_path, two)).ranks == 6
    del two["server_count"]  # optional in this version
    assert read_rank_table(write(tmp_path, two)).ranks == 6
    assert read_rank_table(write(tmp_path, without_addresses(super_pods(ELSEWHERE)))).ranks == 4
    with pytest.raises(UserError, match=r"device\[0\] \(rank 0\): device_ip: found nothing; allowed: the address"):
        read_rank_table(write(tmp_path, without_addresses(two)))


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        ([], "super_pod_list: found an empty list"),
        ([ELSEWHERE], "server_list: server_id: found '240.0.0.3', which super_pod_list does not have"),
        ([(*ELSEWHERE, "240.0.0.3", "x")], "super_pod_list: server_id: found 'x', which server_list does not have"),
        ([ELSEWHERE, ("240.0.0.3", "240.0.0.1")], "which super_pod_list[0].server_list[0] has too; a machine is in"),
        ([("240.0.0.1", "240.0.0.3"), ("240.0.0.2",)], "server_list: found machines of super pods in turns"),
    ],
)
def test_super_pods_that_are_not_those_of_the_machines_are_named(pods: Any, said: str, tmp_path: Path) -> None:
    content = super_pods((*ELSEWHERE, "240.0.0.3"))
    with pytest.raises(UserError, match=re.escape(said)):
        read_rank_table(write(tmp_path, {**content, "super_pod_list": super_pods(*pods)["super_pod_list"]}))


def test_a_machine_that_is_alone_needs_no_address_and_no_node_rank(tmp_path: Path) -> None:
    alone = read_rank_table(write(tmp_path, without_addresses(table("node_0"))))
    assert own_server(alone).entries[7].rank == 7
    with pytest.raises(UserError, match="--node_rank: found 1; allowed: a machine of"):
        own_server(alone, 1)


MISSING = object()
DEVICE = "server_list 0 device 3"
PLACE = "server_list[0].device[3]"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("version", MISSING, "version: found nothing; allowed: '1.0' or '1.2'"),
        ("version", "2.0", "version: found '2.0'; allowed: '1.0' or '1.2'"),
        ("server_group_list", [], "server_group_list: this is a global rank table, of several jobs; give"),
        ("status", "initializing", "status: found 'initializing'; allowed: 'completed'"),
        ("group_list", [], "group_list: this is the older format of rank tables"),
        ("server_list", {}, "server_list: found an object; allowed: a list with at least one entry"),
        ("server_count", "3", "server_count: found '3', but server_list has 2"),
        ("server_count", 2, "server_count: found 2, which is not text; allowed: a whole number of up to 6 digits as"),
        ("server_count", "1" * 5000, "server_count: found '1111"),
        ("server_list 1", "240.0.0.2", 'server_list[1]: found "240.0.0.2"; allowed: an object'),
        ("server_list 1 server_id", MISSING, "server_list[1].server_id: found nothing; allowed: the machine's"),
        ("server_list 1 server_id", "240.0.0.1", "server_list[1]: server_id: found '240.0.0.1', which server_list[0]"),
        ("server_list 1 device", [], "server_list[1].device: found an empty list; allowed: a list with"),
        ("server_list 1 device 0 device_ip", "192.168.103.0", f"device_ip: found '192.168.103.0', which {PLACE}"),
        ("server_list 1 device 0 rank_id", "3", f"(rank 3): rank_id: found '3', which {PLACE} (rank 3) has too"),
        (DEVICE, [], f"{PLACE}: found an empty list; allowed: an object with device_id"),
        (f"{DEVICE} rank_id", MISSING, f"{PLACE}: rank_id: found nothing"),
        (f"{DEVICE} rank_id", "16", "but the table lists 16 devices: their ranks are 0 to 15, and 3 is missing"),
        (f"{DEVICE} device_id", MISSING, f"{PLACE} (rank 3): device_id: found nothing"),
        (f"{DEVICE} device_id", "2", f"{PLACE} (rank 3): device_id: found '2', which server_list[0].device[2]"),
        (f"{DEVICE} device_ip", MISSING, f"{PLACE} (rank 3): device_ip: found nothing; allowed: the address of the"),
        (f"{DEVICE} device_ip", "192.168.1", f"{PLACE} (rank 3): device_ip: found '192.168.1'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_and_entry(path: str, value: Any, said: str, tmp_path: Path) -> None:
    content: Any = table(*ELSEWHERE)
    *steps, last = (int(step) if step.isdigit() else step for step in path.split())
    place = reduce(lambda part, step: part[step], steps, content)
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    file = write(tmp_path, content)
    with pytest.raises(UserError, match=f"^{re.escape(str(file))}: .*{re.escape(said)}"):
        read_rank_table(file)


def test_a_file_that_is_missing_no_json_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.json: this rank table cannot be read: No such file"):
        read_rank_table(tmp_path / "missing.json")
    with pytest.raises(UserError, match=r"hccl\.json:3: this rank table is not JSON: "):
        read_rank_table(write(tmp_path, '{\n"version": "1.0",\n// as in the manual\n"status": "completed"}'))
    with pytest.raises(UserError, match=r"hccl\.json: found an empty list; allowed: an object"):
        read_rank_table(write(tmp_path, "[]"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe{")
    with pytest.raises(UserError, match="binary: this rank table is not text in UTF-8"):
        read_rank_table(tmp_path / "binary")


HERE_TWICE = ("127.0.0.1", "127.0.1.1")


@pytest.mark.parametrize(
    ("servers", "node_rank", "found"),
    [
        (("240.0.0.1", "127.0.0.1"), None, 1),  # by its address
        (("240.0.0.1", "127.0.0.1"), 0, 1),  # whatever its node rank
        (ELSEWHERE, 1, 1),
        (("node_0", "node_1"), 0, 0),
        (HERE_TWICE, 1, 1),
        (ELSEWHERE, None, "hccl.json: no server_id is an address of this machine; say by --node_rank which it is ("),
        (HERE_TWICE, None, "hccl.json: more than one server_id is an address of this machine"),
        (ELSEWHERE, 2, "--node_rank: found 2; allowed: a machine of"),
    ],
)
def test_this_machine_is_found_by_its_address_or_its_node_rank_or_all_are_listed(
    servers: tuple[str, ...], node_rank: int | None, found: int | str, tmp_path: Path
) -> None:
    content = read_rank_table(write(tmp_path, table(*servers)))
    if isinstance(found, int):
        assert own_server(content, node_rank).node == found
        return
    with pytest.raises(UserError) as error:
        own_server(content, node_rank)
    assert found in str(error.value)
    assert f"(0: {servers[0]}, 1: {servers[1]})" in str(error.value)
