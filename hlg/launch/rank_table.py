"""Read and check the rank table: the devices and machines of a run on Ascend (``RANK_TABLE_FILE``).

Huawei's ``hccl_tools.py`` writes it, ``merge_hccl.py`` joins those of several machines. HCCL reads it inside every rank
and tells a mistake by a number, after minutes; so all of it is checked here, before anything is started. Version 1.2 is
that of Atlas A3, whose machines form super pods (the manual of HCCL in gitcode.com/cann/hcomm, "rank table").
"""

import ipaddress
import json
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from hlg.errors import UserError
from hlg.files import load_json

VERSIONS = ("1.0", "1.2")
WHOLE = re.compile(r"0|[1-9]\d{0,5}", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """One rank and its device. ``where`` is the entry's place in the file, for messages.

    Devices that reach each other without the network need no ``device_ip``.
    """

    rank: int
    device_id: int
    device_ip: str | None
    where: str


@dataclass(frozen=True)
class Server:
    """One machine: its place in ``server_list``, from 0, and its entries by rank."""

    node: int
    server_id: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class RankTable:
    """A complete and consistent rank table."""

    path: Path
    servers: tuple[Server, ...]

    @property
    def ranks(self) -> int:
        """The number of ranks on all machines."""
        return sum(len(server.entries) for server in self.servers)


def read_rank_table(path: Path) -> RankTable:
    """Read the rank table in a file.

    Raises:
        UserError: the file can't be read, is no rank table of version 1.0 or 1.2, or is incomplete or contradicts
            itself.
    """
    try:
        table = load_json(path)
    except OSError as error:
        raise UserError(f"{path}: this rank table cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: this rank table is not JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: this rank table is not text in UTF-8: {error.reason}") from None
    except ValueError as error:
        raise UserError(f"{path}: this rank table is not JSON: {error}") from None
    try:
        return RankTable(path, _servers(table))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def own_server(table: RankTable, node_rank: int | None = None) -> Server:
    """Find this machine in a rank table: the only one, or by its server_id, an address of it, or by ``node_rank``.

    Raises:
        UserError: nothing tells.
    """
    if len(table.servers) == 1 and not node_rank:
        return table.servers[0]
    own = [server for server in table.servers if _is_own_address(server.server_id)]
    if len(own) == 1:
        return own[0]
    listed = ", ".join(f"{server.node}: {server.server_id}" for server in table.servers)
    if node_rank is None:
        found = "more than one server_id is" if own else "no server_id is"
        raise UserError(f"{table.path}: {found} an address of this machine; say by --node_rank which it is ({listed})")
    if node_rank >= len(table.servers):
        raise UserError(f"--node_rank: found {node_rank}; allowed: a machine of {table.path} ({listed})")
    return table.servers[node_rank]


def _servers(table: Any) -> tuple[Server, ...]:
    if not isinstance(table, dict):
        raise UserError(f"found {_kind(table)}; allowed: an object with version, server_count, server_list and status")
    if "group_list" in table:
        raise UserError(
            "group_list: this is the older format of rank tables, which is not read here; make the file anew with "
            "hccl_tools.py, so that it has version 1.0 and server_list"
        )
    if "server_group_list" in table:
        raise UserError(
            "server_group_list: this is a global rank table, of several jobs; give the hccl.json of this job, which "
            "has server_list"
        )
    if table.get("version") not in VERSIONS:
        raise UserError(f"version: {_found(table, 'version')}; allowed: {' or '.join(map(repr, VERSIONS))}")
    if table.get("status") != "completed":
        raise UserError(f"status: {_found(table, 'status')}; allowed: 'completed', which says that the file is whole")
    servers = tuple(
        Server(node, _server_id(server, f"server_list[{node}]"), _entries(server, f"server_list[{node}]"))
        for node, server in enumerate(_list(table, "server_list", "server_list"))
    )
    optional = table["version"] == "1.2" and "server_count" not in table
    if not optional and _whole(table, "server_count", "server_count") != len(servers):
        raise UserError(f"server_count: found {table['server_count']!r}, but server_list has {len(servers)}")
    _check_together(servers)
    pods = table["version"] == "1.2" and "super_pod_list" in table
    networked = _check_super_pods(table, servers) if pods else len(servers)
    for entry in (entry for server in servers for entry in server.entries):
        if networked > 1 and entry.device_ip is None:
            raise UserError(f"{entry.where}: device_ip: found nothing; {_allowed_address(entry.device_id)}")
    return servers


def _check_super_pods(table: dict[str, Any], servers: Sequence[Server]) -> int:
    """Check that each machine is in one super pod, and that those of a pod are listed together; returns how many."""
    pod_of: dict[str, int] = {}
    ids, listed = [], []
    for i, pod in enumerate(_list(table, "super_pod_list", "super_pod_list")):
        where = f"super_pod_list[{i}]"
        if not isinstance(pod, dict) or not isinstance(pod.get("super_pod_id"), str):
            raise UserError(
                f"{where}: super_pod_id: found no text; allowed: an object with super_pod_id and server_list"
            )
        ids.append((pod["super_pod_id"], where))
        for j, server in enumerate(_list(pod, "server_list", f"{where}.server_list")):
            listed.append((_server_id(server, f"{where}.server_list[{j}]"), f"{where}.server_list[{j}]"))
            pod_of[listed[-1][0]] = i
    _unique("super_pod_id", "a super pod is listed once", ids)
    _unique("server_id", "a machine is in one super pod", listed)
    for server_id in pod_of.keys() ^ {server.server_id for server in servers}:
        lists = ("super_pod_list", "server_list") if server_id in pod_of else ("server_list", "super_pod_list")
        raise UserError(f"{lists[0]}: server_id: found {server_id!r}, which {lists[1]} does not have")
    if len(list(groupby(pod_of[server.server_id] for server in servers))) > len(ids):
        raise UserError("server_list: found machines of super pods in turns; list those of a super pod together")
    return len(ids)


def _server_id(server: Any, where: str) -> str:
    if not isinstance(server, dict):
        raise UserError(f"{where}: found {_kind(server)}; allowed: an object with server_id and device")
    server_id = server.get("server_id")
    if not isinstance(server_id, str) or not server_id.strip():
        raise UserError(f"{where}.server_id: {_found(server, 'server_id')}; allowed: the machine's address, as text")
    return server_id


def _entries(server: dict[str, Any], where: str) -> tuple[Entry, ...]:
    entries = []
    for i, device in enumerate(_list(server, "device", f"{where}.device")):
        place = f"{where}.device[{i}]"
        if not isinstance(device, dict):
            raise UserError(f"{place}: found {_kind(device)}; allowed: an object with device_id, device_ip and rank_id")
        place += f" (rank {device['rank_id']})" if "rank_id" in device else ""
        rank = _whole(device, "rank_id", f"{place}: rank_id")
        device_id = _whole(device, "device_id", f"{place}: device_id")
        entries.append(Entry(rank, device_id, _address(device, f"{place}: device_ip"), place))
    return tuple(sorted(entries, key=lambda entry: entry.rank))


def _address(device: dict[str, Any], where: str) -> str | None:
    text = device.get("device_ip")
    if "device_ip" not in device:
        return None
    try:
        # ip_address also takes whole numbers, which JSON has too
        return str(ipaddress.ip_address(text if isinstance(text, str) else ""))
    except ValueError:
        raise UserError(
            f"{where}: {_found(device, 'device_ip')}; {_allowed_address(int(device['device_id']))}"
        ) from None


def _allowed_address(device_id: int) -> str:
    return f"allowed: the address of the device's own network port (hccn_tool -i {device_id} -ip -g prints it)"


def _check_together(servers: Iterable[Server]) -> None:
    """Check that what must be unique is, and that no rank is missing."""
    servers = tuple(servers)
    entries = [entry for server in servers for entry in server.entries]
    _unique("server_id", "a machine is listed once", [(s.server_id, f"server_list[{s.node}]") for s in servers])
    for server in servers:
        _unique("device_id", "a device is one rank", [(str(e.device_id), e.where) for e in server.entries])
    addresses = [(e.device_ip, e.where) for e in entries if e.device_ip is not None]
    _unique("device_ip", "each device has its own address", addresses)
    _unique("rank_id", "each device is a rank of its own", [(str(e.rank), e.where) for e in entries])
    for entry in entries:
        if entry.rank >= len(entries):
            missing = min(set(range(len(entries))) - {e.rank for e in entries})
            raise UserError(
                f"{entry.where}: rank_id: found '{entry.rank}', but the table lists {len(entries)} devices: their "
                f"ranks are 0 to {len(entries) - 1}, and {missing} is missing"
            )


def _unique(key: str, rule: str, values: Iterable[tuple[str, str]]) -> None:
    first: dict[str, str] = {}
    for value, where in values:
        if value in first:
            raise UserError(f"{where}: {key}: found {value!r}, which {first[value]} has too; {rule}")
        first[value] = where


def _list(parent: dict[str, Any], key: str, where: str) -> list[Any]:
    if not isinstance(parent.get(key), list) or not parent[key]:
        raise UserError(f"{where}: {_found(parent, key)}; allowed: a list with at least one entry")
    items: list[Any] = parent[key]
    return items


def _whole(parent: dict[str, Any], key: str, where: str) -> int:
    text = parent.get(key)
    if not isinstance(text, str) or not WHOLE.fullmatch(text):
        raise UserError(
            f'{where}: {_found(parent, key)}; allowed: a whole number of up to 6 digits as text, such as "0"'
        )
    return int(text)


def _found(parent: dict[str, Any], key: str) -> str:
    if key not in parent:
        return "found nothing"
    value = parent[key]
    if isinstance(value, dict | list):
        return f"found {_kind(value)}"
    return f"found {value!r}" if isinstance(value, str) else f"found {json.dumps(value)}, which is not text"


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return json.dumps(value)


def _is_own_address(server_id: str) -> bool:
    """Tell whether the text is an address of this machine, to which a socket can be bound."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(server_id).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((server_id, 0))
        return True
    except (ValueError, OSError):  # the first: a name
        return False
