"""The boot file as ModelArts starts it: by its path, from anywhere, with options alone; its storage is a stand-in."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path
from unittest.mock import Mock

import pytest

from hlg import config, modelarts
from hlg.config import Config
from hlg.data.tiny.make import TinyRequest, make_tiny
from hlg.errors import UserError
from hlg.modelarts import NodeProcess, identify_process, launch_command
from tests.support import ROOT
from tests.support.archives import files_in, tar_of
from tests.support.cloud import STAND_INS
from tests.support.processes import start_command, wait_for
from tests.support.small_runs import SMALL

CONFIG = f"--config_path={ROOT / 'configs/hlg_cloud.yml'}"
FAKE = "tests.hlg.modelarts_program"
Boot = Callable[..., tuple[int, str]]


class Node:
    """A machine of the cloud that nothing lies on, and the storage."""

    def __init__(self, folder: Path, storage: Path) -> None:
        self.folder, self.storage = folder, storage
        self.cwd, self.output, self.data = folder / "cwd", folder / "cache/train", folder / "cache/datasets/imagenet"
        for path in (self.cwd, storage / "bucket"):
            path.mkdir(parents=True, exist_ok=True)
        self.processes: list[subprocess.Popen[str]] = []

    def arguments(self, *options: str, program: str = FAKE) -> list[str]:
        """The options that all have, and more."""
        places = [f"--data_path={self.data}", f"--output_path={self.output}", "--train_url=s3://bucket/train"]
        return [f"--program={program}", "--enable_modelarts=True", *places, *options]

    def start(self, *options: str, program: str = FAKE, **environment: str) -> subprocess.Popen[str]:
        """Start the boot file by its path."""
        paths = {"PYTHONPATH": str(STAND_INS), "STAND_IN_BUCKETS": str(self.storage)}
        command = sys.executable, ROOT / "hlg/modelarts.py", *self.arguments(*options, program=program)
        self.processes.append(start_command(*command, cwd=self.cwd, env={**os.environ, **paths, **environment}))
        return self.processes[-1]

    @property
    def sent(self) -> set[str]:
        """The names of the files in train_url."""
        folder = self.storage / "bucket/train"
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    def seen(self, rank: int = 0) -> dict[str, dict[str, str]]:
        """What the program of a rank was started with."""
        return json.loads((self.output / f"run/rank_{rank}.json").read_text())

    def put(self, name: str, content: str = "") -> None:
        """Put a file into the bucket."""
        path = self.storage / "bucket" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def end(process: subprocess.Popen[str], timeout: float = 60) -> tuple[int, str]:
    """(exit code, standard error) of a boot file."""
    out, err = process.communicate(timeout=timeout)
    print(out, err)
    return process.returncode, err


@pytest.fixture
def node(tmp_path: Path, buckets: Path) -> Iterator[Node]:
    node = Node(tmp_path / "node", buckets)
    yield node
    for process in node.processes:
        process.kill()
        process.communicate()


@pytest.fixture
def boot(node: Node, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Boot:
    """Run the boot file in this process, with these variables: (exit code, standard error)."""

    def run(*options: str, **environment: str) -> tuple[int, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return modelarts.main(node.arguments(*options)), capfd.readouterr().err

    return run


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with the tiny data set, packed as ImageNet is: train an archive of archives, val one of folders."""
    data, storage = tmp_path_factory.mktemp("data") / "tiny", tmp_path_factory.mktemp("storage")
    make_tiny(data, TinyRequest(classes=3, train=12, val=5))
    classes = {f"{folder.name}.tar": tar_of(files_in(folder)) for folder in (data / "train").iterdir()}
    for name, files in (("train", classes), ("val", files_in(data / "val"))):
        (storage / f"bucket/imagenet/{name}").mkdir(parents=True)
        (storage / f"bucket/imagenet/{name}/imagenet_{name}.tar").write_bytes(tar_of(files))
    return storage


def keys(node: Node) -> list[str]:
    """The options of a small run of real training, in which nothing is compiled."""
    paths = {"dataset_path": node.data / "train", "eval_path": node.data / "val", "device_target": "CPU"}
    options = {**SMALL, **paths, "max_epoch": 3, "stall_timeout": 300, "amp_level": "O0", "run_distribute": 0}
    options |= {"data_url": "s3://bucket/imagenet", "context_mode": 1}
    return [CONFIG, *(f"--{key}={value}" for key, value in options.items())]


def test_a_job_that_is_stopped_goes_on_on_another_node(bucket: Path, tmp_path: Path) -> None:
    first = Node(tmp_path / "first", bucket)
    process = first.start(*keys(first), program="tests.support.narrow.train")
    wait_for(lambda: list(first.output.glob("2*/checkpoints/last.ckpt")), "a checkpoint", 240)
    assert not list(first.data.rglob("*.tar"))
    process.send_signal(signal.SIGTERM)
    assert end(process, 240)[0] == 75
    (run,) = first.output.glob("2*")
    assert f"{run.name}/checkpoints/last.ckpt" not in first.sent
    assert f"{run.name}/train.log" in first.sent
    assert "enable_modelarts: 0" in (run / "config.yml").read_text()
    shutil.rmtree(first.folder)

    second = Node(tmp_path / "first", bucket)  # another, with the same names
    code, err = end(second.start(*keys(second), f"--resume={run}", program="tests.support.narrow.train"), 240)
    assert code == 0, err
    assert {f"{run.name}/SHA256SUMS", f"{run.name}/checkpoints/hlg_mobile-0003.ckpt"} <= second.sent
    events = (bucket / f"bucket/train/{run.name}/metrics.jsonl").read_text()
    assert '"event": "resume"' in events
    assert '"repeated_steps": 0' in events


@pytest.mark.parametrize(("does", "code"), [("0", 0), ("1", 1), ("2", 2), ("3", 3), ("75", 75), ("kill", 1)])
def test_results_are_sent_however_the_run_ends(does: str, code: int, node: Node, boot: Boot) -> None:
    found, err = boot("--run_distribute=0", DOES=does, RANK_ID="0", ASCEND_DEVICE_ID="0")
    assert found == code
    assert bool(re.search(rf"error: {FAKE} \(pid \d+\): killed by SIGKILL", err)) == (does == "kill")
    assert "run/rank_0.json" in node.sent


@pytest.mark.parametrize(("does", "code"), [("0", 1), ("3", 3)])
def test_results_that_are_not_sent_are_an_error_beside_the_runs_own(does: str, code: int, boot: Boot) -> None:
    found, err = boot(DOES=does, STAND_IN_FAILS="copy_parallel .* s3://bucket/train")
    assert found == code
    said = r"error: results not sent: moxing\.file\.copy_parallel\(.*\) failed: .* errorCode:AccessDenied\n"
    assert re.search(said, err)


def test_results_are_sent_meanwhile_too() -> None:
    box = Mock(send=Mock(side_effect=chain([OSError("no route")], repeat(None))))
    with modelarts.sending_results(box, 0.05):
        wait_for(lambda: box.send.call_count > 2, "a third time, after the first had failed")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ("--data_url=s3://bucket/none", 1, "s3://bucket/none: no such file or folder in the storage\n"),
        ("--data_url=s3://bucket/bad", 2, "DATA/train/imagenet_train.tar: damaged, or no tar archive"),
        ("--checkpoint_url=s3://bucket/two", 2, "checkpoint_url: s3://bucket/two holds not one checkpoint but x.ckpt"),
        ("--train_url=", 2, "train_url: found nothing; say where the results go"),
        ("--enable_modelarts=0", 2, "enable_modelarts: found 0; this is the boot file for ModelArts"),
        ("--run_distribute=1", 2, "run_distribute: found 1, but MA_NUM_GPUS, by which ModelArts says"),
        ("CONFIG --resume=/other/run", 2, "resume: found '/other/run'; on ModelArts a run is named by its place in"),
        ("CONFIG --resume=OUTPUT/run", 1, "s3://bucket/train/run: no such file or folder in the storage\n"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(options: str, code: int, said: str, node: Node, boot: Boot) -> None:
    for name in ("bad/train/imagenet_train.tar", "two/checkpoints/x.ckpt", "two/checkpoints/y.ckpt"):
        node.put(name, "half an archive")
    words = options.replace("CONFIG", f"{CONFIG} --data_url= --run_distribute=0").replace("OUTPUT", str(node.output))
    found, err = boot(*words.split())
    assert (found, err.count("\n")) == (code, 1)
    assert err.startswith(f"error: {said.replace('DATA', str(node.data))}")
    assert not (node.output / "run").exists()


def test_a_program_that_is_started_itself_says_how_to_start_it_on_modelarts() -> None:
    file = ROOT / "tests/hlg/fixtures/published/hlg_cloud.yml"
    with pytest.raises(UserError) as error:
        config.load(["--config_path", str(file)], need=("dataset_path",))
    assert str(error.value) == (
        f"{file}:1: enable_modelarts: found 1, but the boot file alone copies from and to ModelArts' storage: "
        "start python hlg/modelarts.py with these options, or set it to 0 where the data are at hand"
    )


def two(node: Node, **environment: str) -> list[subprocess.Popen[str]]:
    """Start the boot file for each of two devices, as the service does; the first one last."""
    options = ("--data_url=s3://bucket/imagenet/", "--checkpoint_url=s3://bucket/run", "--run_distribute=1", "--seed=7")
    ranks = [{"RANK_ID": rank, "RANK_SIZE": "2", "ASCEND_DEVICE_ID": rank} for rank in ("1", "0")]
    return [node.start(*options, **rank, **environment) for rank in ranks][::-1]


def test_of_two_processes_one_copies_and_each_is_a_rank_that_knows_nothing_of_the_cloud(node: Node) -> None:
    node.put("imagenet/train/n01/a.JPEG")
    node.put("run/checkpoints/x.ckpt", "weights")
    node.put("table.json")
    ends = [end(process) for process in two(node, RANK_TABLE_FILE=str(node.storage / "bucket/table.json"))]
    assert [code for code, _ in ends] == [0, 0]
    copied = (node.storage / "calls.jsonl").read_text().count('"copy_parallel"')
    assert copied == 3  # data, checkpoint, results
    for rank in (0, 1):
        seen = node.seen(rank)
        assert seen["data"] == ["train/n01/a.JPEG"]
        assert seen["environment"]["RANK_ID"] == seen["environment"]["DEVICE_ID"] == str(rank)
        assert seen["environment"]["RANK_TABLE_FILE"]
        options = seen["options"]
        assert [options[key] for key in ("run_distribute", "enable_modelarts", "seed")] == ["1", "0", "7"]
        assert Path(options["pretrained"]).read_text() == "weights"
        assert options["save_checkpoint_path"] == str(node.output)
    assert not list(node.cwd.iterdir())


def test_a_download_that_fails_is_told_to_the_process_that_waits(node: Node) -> None:
    (first, own), (second, told) = map(end, two(node))
    assert (first, second) == (1, 1)
    assert own == "error: s3://bucket/imagenet: no such file or folder in the storage\n"
    assert re.fullmatch(r"error: the first process of this node \(pid \d+\) has failed: s3://bucket/.*\n", told)


def test_where_the_service_starts_one_process_a_node_it_starts_the_ranks(node: Node, boot: Boot) -> None:
    code, err = boot("--run_distribute=1", MA_NUM_GPUS="2", RANK_TABLE_FILE="/user/config")
    assert code == 0, err
    assert [node.seen(rank)["environment"]["DEVICE_ID"] for rank in (0, 1)] == ["0", "1"]
    assert node.seen(1)["environment"]["RANK_TABLE_FILE"] is None  # a folder: hlg.launch needs none
    assert [name for name in node.sent if re.fullmatch(r"\.ranks/node_0/[^/]+/rank_1\.log", name)]


def test_another_node_sends_the_logs_of_its_ranks_and_no_run_folder(node: Node, boot: Boot) -> None:
    code, err = boot("--run_distribute=0", VC_TASK_INDEX="1")
    assert code == 0, err
    logs = node.output / ".ranks/node_1"
    assert node.sent == {path.relative_to(node.output).as_posix() for path in logs.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, False, True)),
        ({"RANK_TABLE_FILE": "/user/config", "VC_TASK_INDEX": "3"}, (3, False, True)),
        ({"RANK_ID": "8", "ASCEND_DEVICE_ID": "0", "VC_TASK_INDEX": "1"}, (1, True, True)),
        ({"RANK_ID": "9", "ASCEND_DEVICE_ID": "1", "VC_TASK_INDEX": "1"}, (1, True, False)),
        ({"RANK_ID": "3", "DEVICE_ID": "3"}, (0, True, False)),
        ({"MS_ROLE": "MS_WORKER", "DEVICE_ID": "0"}, (0, True, True)),
        ({"MS_ROLE": "MS_SCHED"}, (0, True, False)),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "0"}, (0, True, True)),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "1"}, (0, True, False)),
    ],
)
def test_variables_say_which_process_this_is(environment: dict[str, str], expected: tuple[int, bool, bool]) -> None:
    assert identify_process(environment) == NodeProcess(*expected)
    with pytest.raises(UserError, match="VC_TASK_INDEX: found 'two' in the environment"):
        identify_process({**environment, "VC_TASK_INDEX": "two"})


def test_the_launcher_is_told_of_sixteen_ranks_on_two_nodes_or_of_a_rank_table_that_is_a_file() -> None:
    settings, at = Config(run_distribute=True, output_path="/cache/train"), NodeProcess(1, per_device=False, first=True)
    service = {"MA_NUM_HOSTS": "2", "MA_NUM_GPUS": "8", "VC_WORKER_HOSTS": "a.example,b.example"}
    launch = ["hlg.launch", "--logs=/cache/train/.ranks/node_1"]
    nodes = ["--ranks=16", "--nodes=2", "--node_rank=1", "--master=a.example", "--join_timeout=21600"]
    assert launch_command(settings, at, service) == [*launch, *nodes]
    table = [f"--rank_table={__file__}", "--node_rank=1"]
    assert launch_command(settings, at, {**service, "RANK_TABLE_FILE": __file__}) == [*launch, *table]
