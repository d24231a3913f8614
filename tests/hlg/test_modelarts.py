"""The boot file as ModelArts starts it: by its path, from anywhere, with options alone; its storage is a stand-in."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlg import modelarts
from hlg.config import Config
from hlg.data.tiny.make import TinyRequest, make_tiny
from hlg.errors import UserError
from hlg.modelarts import NodeProcess, identify_process, launch_command
from tests.drills.faults.job import KEYS
from tests.support import ROOT
from tests.support.processes import run_module, wait_for

WAIT_S = 60  # for what takes a moment, on a machine that is busy

# Writes what it was started with into a run folder; what it does then, the option --data_url=... of a test cannot say,
# so the variable DOES does.
PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path

options = dict(o.removeprefix("--").partition("=")[::2] for o in sys.argv[1:])
rank = os.environ.get("RANK_ID", "0")
run = Path(options["save_checkpoint_path"], "run")
(run / "checkpoints").mkdir(parents=True, exist_ok=True)
names = ("RANK_ID", "RANK_SIZE", "DEVICE_ID", "RANK_TABLE_FILE", "MS_ROLE", "MS_SCHED_HOST")
seen = {"options": options, "environment": {name: os.environ.get(name) for name in names}, "data": []}
data = Path(options["data_path"])
seen["data"] = sorted(path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file())
def stop(number, frame):
    (run / f"stopped_{rank}").touch()
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
partial = run / f".rank_{rank}.json"
partial.write_text(json.dumps(seen))
if os.environ.get("MS_ROLE") != "MS_SCHED":
    partial.rename(run / f"rank_{rank}.json")
does = os.environ.get("DOES", "0")
if does == "wait":
    time.sleep(60)
elif does == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(does))
"""


class Node:
    """A machine of the cloud that nothing lies on, and the storage."""

    def __init__(self, folder: Path, storage: Path) -> None:
        self.folder, self.storage = folder, storage
        self.cwd, self.output, self.data = folder / "cwd", folder / "cache/train", folder / "cache/datasets/imagenet"
        for path in (self.cwd, storage / "bucket"):
            path.mkdir(parents=True, exist_ok=True)
        (folder / "fake.py").write_text(PROGRAM)
        self.processes: list[subprocess.Popen[str]] = []

    def start(
        self, *options: str, program: str = "fake", environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start the boot file; ``options`` go before those that all have."""
        common = {
            "program": program,
            "enable_modelarts": "True",
            "data_path": self.data,
            "output_path": self.output,
            "train_url": "s3://bucket/train",
        }
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "hlg/modelarts.py"), *(f"--{k}={v}" for k, v in common.items()), *options],
            cwd=self.cwd,
            env={
                **inherited,
                "PYTHONPATH": f"{ROOT / 'tests/support/stand_ins'}:{self.folder}",
                "STAND_IN_BUCKETS": str(self.storage),
                **(environment or {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, *options: str, program: str = "fake", environment: dict[str, str] | None = None) -> tuple[int, str]:
        """Start it and wait for its end; returns the exit code and what it said on standard error."""
        return end(self.start(*options, program=program, environment=environment))

    @property
    def sent(self) -> set[str]:
        """The names of the files in train_url."""
        folder = self.storage / "bucket/train"
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    def seen(self, rank: int = 0) -> dict[str, dict[str, str]]:
        """What the program of a rank was started with."""
        found: dict[str, dict[str, str]] = json.loads((self.output / f"run/rank_{rank}.json").read_text())
        return found

    def calls(self, name: str) -> list[list[str]]:
        """The arguments of all calls of this name, behind the number of the process that made it."""
        record = self.storage / "calls.jsonl"
        lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
        return [[line[0], *line[2:]] for line in lines if line[1] == name]


def end(process: subprocess.Popen[str], timeout: float = WAIT_S) -> tuple[int, str]:
    out, err = process.communicate(timeout=timeout)
    print(out, err)
    return process.returncode, err


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "node", tmp_path / "storage")
    yield node
    for process in node.processes:
        process.kill()
        process.communicate()


def put(node: Node, name: str, content: str = "") -> None:
    """A file in the bucket."""
    path = node.storage / "bucket" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def pack(archive: Path, folder: Path, names: list[str]) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w") as tar:
        for name in names:
            tar.add(folder / name, name)


# ------------------------------------------------------------------------------------------------- real runs


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with the tiny data set, packed as ImageNet is: train an archive of archives, val one of folders."""
    data, storage = tmp_path_factory.mktemp("data") / "tiny", tmp_path_factory.mktemp("storage")
    make_tiny(data, TinyRequest(classes=3, train=12, val=5))
    classes = sorted(path.name for path in (data / "train").iterdir())
    for name in classes:
        pack(data / f"{name}.tar", data / "train" / name, [p.name for p in (data / "train" / name).iterdir()])
    pack(storage / "bucket/imagenet/train/imagenet_train.tar", data, [f"{name}.tar" for name in classes])
    pack(storage / "bucket/imagenet/val/imagenet_val.tar", data / "val", classes)
    return storage


def keys(node: Node) -> list[str]:
    """The options of a small run of real training."""
    paths = {"dataset_path": node.data / "train", "eval_path": node.data / "val", "device_target": "CPU"}
    config = {**KEYS, **paths, "amp_level": "O0", "run_distribute": 0, "data_url": "s3://bucket/imagenet"}
    return [f"--config_path={ROOT / 'configs/hlg_cloud.yml'}", *(f"--{key}={value}" for key, value in config.items())]


def test_a_job_that_is_stopped_goes_on_as_another_job_on_another_node_and_its_checkpoint_is_evaluated(
    bucket: Path, tmp_path: Path
) -> None:
    first = Node(tmp_path / "first", bucket)
    process = first.start(*keys(first), program="tests.support.narrow.train")
    wait_for(lambda: list(first.output.glob("2*/checkpoints/last.ckpt")), "a checkpoint", 240)
    assert not list(first.data.rglob("*.tar"))
    process.send_signal(signal.SIGTERM)
    code, _ = end(process, 240)
    assert code == 75
    (run,) = first.output.glob("2*")
    assert f"{run.name}/checkpoints/last.ckpt" not in first.sent
    assert f"{run.name}/train.log" in first.sent
    shutil.rmtree(first.folder)

    second = Node(tmp_path / "first", bucket)  # another, with the same names
    code, err = end(second.start(*keys(second), f"--resume={run}", program="tests.support.narrow.train"), 240)
    assert code == 0, err
    assert {f"{run.name}/SHA256SUMS", f"{run.name}/checkpoints/hlg_mobile-0003.ckpt"} <= second.sent
    events = (bucket / f"bucket/train/{run.name}/metrics.jsonl").read_text()
    assert '"event": "resume"' in events
    assert '"repeated_steps": 0' in events

    third = Node(tmp_path / "third", bucket)
    checkpoint = f"--checkpoint_url=s3://bucket/train/{run.name}/checkpoints/hlg_mobile-0003.ckpt"
    code, err = end(third.start(*keys(third), checkpoint, program="tests.support.narrow.eval"), 240)
    assert code == 0, err
    (evaluation,) = third.output.glob("2*")
    assert f"{evaluation.name}/eval.json" in third.sent
    config = (evaluation / "config.yml").read_text()
    assert f"pretrained: {third.data.parent}/checkpoint/hlg_mobile-0003.ckpt" in config
    assert "enable_modelarts: 0" in config


# ------------------------------------------------------------------------------------------------- how a run ends


@pytest.mark.parametrize(("does", "code"), [("0", 0), ("1", 1), ("2", 2), ("3", 3), ("75", 75), ("kill", 1)])
def test_results_are_sent_and_the_exit_code_is_kept_however_the_run_ends(does: str, code: int, node: Node) -> None:
    assert node.run("--run_distribute=0", environment={"DOES": does})[0] == code
    assert "run/rank_0.json" in node.sent


def test_a_rank_that_the_service_started_and_that_is_killed_is_named(node: Node) -> None:
    code, err = node.run(environment={"DOES": "kill", "RANK_ID": "0", "ASCEND_DEVICE_ID": "0"})
    assert code == 1
    assert re.search(r"error: fake \(pid \d+\): killed by SIGKILL", err)
    assert "run/rank_0.json" in node.sent


@pytest.mark.parametrize("started", [{}, {"RANK_ID": "0", "RANK_SIZE": "1", "ASCEND_DEVICE_ID": "0"}])
def test_sigterm_reaches_the_run_and_the_results_are_sent_after_it(started: dict[str, str], node: Node) -> None:
    process = node.start(environment={"DOES": "wait", **started})
    wait_for((node.output / "run/rank_0.json").exists, "the run")
    process.send_signal(signal.SIGTERM)
    assert end(process)[0] == 75
    assert "run/stopped_0" in node.sent


@pytest.mark.parametrize(("does", "code"), [("0", 1), ("3", 3)])
def test_results_that_cannot_be_sent_are_an_error_that_does_not_hide_the_runs_own(
    does: str, code: int, node: Node
) -> None:
    found, err = node.run(environment={"DOES": does, "STAND_IN_FAILS": "copy_parallel .* s3://bucket/train"})
    assert found == code
    assert "error: results not sent: moxing.file.copy_parallel(" in err
    assert "Traceback" not in err


def test_results_are_sent_meanwhile_too(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    class Box:
        sent = 0

        def send(self) -> None:
            self.sent += 1
            if self.sent == 1:
                raise OSError("no route")

    box = Box()
    with modelarts.sending_results(box, 0.05):  # type: ignore[arg-type]
        wait_for(lambda: box.sent > 2, "a third time, after the first had failed")


# ------------------------------------------------------------------------------------------------- what comes before


def test_the_run_finds_everything_on_the_node_and_knows_nothing_of_the_cloud(node: Node) -> None:
    put(node, "imagenet/train/n01/a.JPEG")
    put(node, "x.ckpt", "weights")
    code, err = node.run("--data_url=s3://bucket/imagenet/", "--checkpoint_url=s3://bucket/x.ckpt", "--seed=7")
    assert code == 0, err
    options = node.seen()["options"]
    assert options["enable_modelarts"] == "0"
    assert Path(options["pretrained"]).read_text() == "weights"
    assert options["save_checkpoint_path"] == str(node.output)
    assert (options["seed"], options["run_distribute"]) == ("7", "0")
    assert node.seen()["data"] == ["train/n01/a.JPEG"]
    assert not list(node.cwd.iterdir())


def test_a_checkpoint_may_be_the_only_one_in_a_folder(node: Node) -> None:
    put(node, "run/checkpoints/x.ckpt")
    assert node.run("--checkpoint_url=s3://bucket/run")[0] == 0
    assert node.seen()["options"]["pretrained"].endswith("/checkpoints/x.ckpt")
    put(node, "run/checkpoints/y.ckpt")
    code, err = node.run("--checkpoint_url=s3://bucket/run")
    assert code == 2
    assert err == (
        "error: checkpoint_url: s3://bucket/run holds not one checkpoint but x.ckpt, y.ckpt; name one file\n"
    )


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--data_url=s3://bucket/none"], 1, "error: s3://bucket/none: no such file or folder in the storage\n"),
        (["--train_url="], 2, "error: train_url: found nothing; say where the results go"),
        (["--enable_modelarts=0"], 2, "error: enable_modelarts: found 0; this is the boot file for ModelArts"),
        (["--batch=3"], 2, "error: --batch: unknown key 'batch'; closest known key: 'batch_size'"),
        (["--run_distribute=1"], 2, "error: run_distribute: found 1, but MA_NUM_GPUS, by which ModelArts says"),
    ],
)
def test_a_mistake_is_one_line(options: list[str], code: int, said: str, node: Node) -> None:
    found, err = node.run(*options)
    assert (found, err.count("\n")) == (code, 1)
    assert err.startswith(said)
    assert not (node.output / "run").exists()


def test_a_run_to_resume_is_named_by_its_place_on_the_node(node: Node) -> None:
    config = f"--config_path={ROOT / 'configs/hlg_cloud.yml'}"
    code, err = node.run(config, "--resume=/elsewhere/run", "--data_url=", "--run_distribute=0")
    assert code == 2
    assert err.startswith(
        "error: resume: found '/elsewhere/run'; on ModelArts a run is named by its place in output_path"
    )
    code, err = node.run(config, f"--resume={node.output}/run", "--data_url=", "--run_distribute=0")
    assert (code, err) == (1, "error: s3://bucket/train/run: no such file or folder in the storage\n")


def test_a_damaged_archive_is_one_line_that_names_it(node: Node) -> None:
    put(node, "imagenet/train/imagenet_train.tar", "half an archive")
    code, err = node.run("--data_url=s3://bucket/imagenet")
    assert code == 2
    assert err.startswith(f"error: {node.data}/train/imagenet_train.tar: damaged or no tar archive")


def test_a_machine_without_moxing_is_one_line(node: Node) -> None:
    code, err = node.run(environment={"PYTHONPATH": str(node.folder)})
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("error: moxing, ModelArts' library for its storage, is not here (No module named 'moxing')")


@pytest.mark.parametrize("program", ["hlg.train", "hlg.eval"])
def test_a_program_that_is_started_itself_says_how_to_start_it_on_modelarts(program: str) -> None:
    file = ROOT / "tests/hlg/fixtures/published/hlg_cloud.yml"
    done = run_module(program, "--config_path", file)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {file}:1: enable_modelarts: found 1, but the boot file alone copies from and to ModelArts' storage: "
        "start python hlg/modelarts.py with these options, or set it to 0 where the data are at hand\n"
    )


# ------------------------------------------------------------------------------------------------- several devices


def two(node: Node, **environment: str) -> list[tuple[int, str]]:
    """Start the boot file for each of two devices, as the service does, and wait for both."""
    started = [
        node.start(
            "--data_url=s3://bucket/imagenet",
            "--run_distribute=1",
            environment={"RANK_ID": rank, "RANK_SIZE": "2", "ASCEND_DEVICE_ID": rank, **environment},
        )
        for rank in ("1", "0")
    ]
    return [end(process) for process in reversed(started)]


def test_of_two_processes_that_the_service_starts_one_copies_and_each_is_its_own_rank(node: Node) -> None:
    put(node, "imagenet/train/n01/a.JPEG")
    put(node, "table.json")
    ends = two(node, RANK_TABLE_FILE=str(node.storage / "bucket/table.json"))
    assert [code for code, _ in ends] == [0, 0]
    assert len(node.calls("copy_parallel")) == 2  # there and back
    for rank in (0, 1):
        seen = node.seen(rank)
        assert seen["data"] == ["train/n01/a.JPEG"]
        assert seen["environment"]["RANK_ID"] == seen["environment"]["DEVICE_ID"] == str(rank)
        assert seen["environment"]["RANK_TABLE_FILE"]
        assert seen["options"]["run_distribute"] == "1"


def test_a_download_that_fails_is_told_to_the_process_that_waits(node: Node) -> None:
    (first, own), (second, told) = two(node)
    assert (first, second) == (1, 1)
    assert own == "error: s3://bucket/imagenet: no such file or folder in the storage\n"
    assert re.fullmatch(
        r"error: the first process of this node \(pid \d+\) has failed: s3://bucket/imagenet: .*\n", told
    )


def test_a_first_process_that_is_killed_while_it_copies_is_not_waited_for(node: Node) -> None:
    put(node, "imagenet/train/n01/a.JPEG")
    ranks = [{"RANK_ID": rank, "RANK_SIZE": "2", "ASCEND_DEVICE_ID": rank} for rank in ("0", "1")]
    first, second = (
        node.start("--data_url=s3://bucket/imagenet", environment={**rank, "STAND_IN_HANGS": "copy_parallel"})
        for rank in ranks
    )
    wait_for(lambda: node.calls("copy_parallel"), "the copying")
    first.kill()
    code, err = end(second)
    assert code == 1
    assert re.fullmatch(r"error: the first process of this node \(pid \d+\) is gone\n", err)


def test_where_the_service_starts_one_process_a_node_it_starts_the_ranks(node: Node) -> None:
    code, err = node.run("--run_distribute=1", environment={"MA_NUM_GPUS": "2", "RANK_TABLE_FILE": "/user/config"})
    assert code == 0, err
    assert [node.seen(rank)["environment"]["DEVICE_ID"] for rank in (0, 1)] == ["0", "1"]
    assert node.seen(1)["environment"]["RANK_TABLE_FILE"] is None  # a folder: hlg.launch needs none
    assert [name for name in node.sent if re.fullmatch(r"\.ranks/node_0/[^/]+/rank_1\.log", name)]


def test_a_rank_table_that_is_a_file_says_which_ranks_there_are(node: Node) -> None:
    devices = [{"device_id": str(i + 4), "device_ip": f"192.0.2.{i}", "rank_id": str(i)} for i in range(2)]
    server = {"server_id": "127.0.0.1", "device": devices}
    table = {"version": "1.0", "status": "completed", "server_count": "1", "server_list": [server]}
    put(node, "table.json", json.dumps(table))
    file = str(node.storage / "bucket/table.json")
    code, err = node.run("--run_distribute=1", environment={"RANK_TABLE_FILE": file})
    assert code == 0, err
    assert node.seen(1)["environment"] == {
        "RANK_ID": "1", "RANK_SIZE": "2", "DEVICE_ID": "5", "RANK_TABLE_FILE": file, "MS_ROLE": None,
        "MS_SCHED_HOST": None,
    }  # fmt: skip


def test_another_node_sends_the_logs_of_its_ranks_and_no_run_folder(node: Node) -> None:
    code, err = node.run("--run_distribute=0", environment={"VC_TASK_INDEX": "1"})
    assert code == 0, err
    logs = node.output / ".ranks/node_1"
    assert node.sent == {path.relative_to(node.output).as_posix() for path in logs.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, NodeProcess(0, per_device=False, first=True)),
        ({"RANK_TABLE_FILE": "/user/config", "VC_TASK_INDEX": "3"}, NodeProcess(3, per_device=False, first=True)),
        ({"RANK_ID": "8", "ASCEND_DEVICE_ID": "0", "VC_TASK_INDEX": "1"}, NodeProcess(1, per_device=True, first=True)),
        ({"RANK_ID": "9", "ASCEND_DEVICE_ID": "1", "VC_TASK_INDEX": "1"}, NodeProcess(1, per_device=True, first=False)),
        ({"RANK_ID": "3", "DEVICE_ID": "3"}, NodeProcess(0, per_device=True, first=False)),
        ({"MS_ROLE": "MS_WORKER", "DEVICE_ID": "0"}, NodeProcess(0, per_device=True, first=True)),
        ({"MS_ROLE": "MS_SCHED"}, NodeProcess(0, per_device=True, first=False)),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "0"}, NodeProcess(0, per_device=True, first=True)),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "1"}, NodeProcess(0, per_device=True, first=False)),
    ],
)
def test_the_services_variables_say_which_process_this_is(environment: dict[str, str], expected: NodeProcess) -> None:
    assert identify_process(environment) == expected


def test_a_variable_of_the_service_that_is_no_number_is_named() -> None:
    with pytest.raises(UserError, match="VC_TASK_INDEX: found 'two' in the environment"):
        identify_process({"VC_TASK_INDEX": "two"})


def test_two_nodes_of_eight_devices_are_sixteen_ranks() -> None:
    service = {"MA_NUM_HOSTS": "2", "MA_NUM_GPUS": "8", "VC_WORKER_HOSTS": "a.example,b.example"}
    assert launch_command(
        Config(run_distribute=True, output_path="/cache/train"), NodeProcess(1, False, True), service
    ) == [
        "hlg.launch",
        "--logs=/cache/train/.ranks/node_1",
        "--ranks=16",
        "--nodes=2",
        "--node_rank=1",
        "--master=a.example",
        "--join_timeout=21600",
    ]
