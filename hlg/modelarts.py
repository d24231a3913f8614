"""Train on ModelArts, Huawei's cloud: the boot file, which the service starts by its path, and nothing but options.

    python /any/where/hlg/modelarts.py --config_path=/any/where/configs/hlg_cloud.yml --enable_modelarts=True
        --data_url=s3://bucket/imagenet --train_url=s3://bucket/train
        [--checkpoint_url=s3://bucket/x.ckpt] [--program=hlg.eval] [--key=value ...]

It copies data_url to data_path and checkpoint_url beside it, unpacks archives there, runs the program, and sends what
that leaves in output_path to train_url: every ten minutes, and at the end, however the run ends. The exit code is the
run's; 1 where only the sending failed. To go on with a run of an earlier job, which the node no longer has:
--resume=<output_path>/<run>, and it is fetched from train_url.

The service starts this file in one of two ways, told apart by the environment:

- once for each device (Ascend-Powered-Engine, its own images; RANK_ID and ASCEND_DEVICE_ID are set, or what msrun or
  mpirun set: support.huaweicloud.com/intl/en-us/usermanual-standard-modelarts/develop-modelarts-1415.html). The process
  of the node's first device copies, the others wait for it; each runs its own rank.
- once for each node (images of one's own: .../usermanual-standard-modelarts/develop-modelarts-1416.html). hlg.launch
  starts the ranks, as many as MA_NUM_HOSTS and MA_NUM_GPUS say (.../develop-modelarts-0104.html). They find each other
  without a rank table: the service's is of an older format, and not complete when this file is started
  (support.huaweicloud.com/docker-modelarts/docker-modelarts-0092.html). A RANK_TABLE_FILE that is a file is used.

None of this was run on ModelArts: it is built on these pages and on the published code, and tested with a stand-in.
"""

import sys
from pathlib import Path

# Started by its path, the folder of this file is where Python looks first, and the project is nowhere.
HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent), *(entry for entry in sys.path if Path(entry).resolve() != HERE)]

import argparse  # noqa: E402
import contextlib  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator, Mapping, Sequence  # noqa: E402
from dataclasses import dataclass  # noqa: E402

from hlg.cloud.handover import Handover  # noqa: E402
from hlg.cloud.storage import Outbox, Storage, StorageError, fetch_run  # noqa: E402
from hlg.config import Config, load  # noqa: E402
from hlg.data.imagenet.archives import unpack_archives  # noqa: E402
from hlg.errors import UserError  # noqa: E402
from hlg.launch.supervise import Child, Supervisor, end_all  # noqa: E402
from hlg.runtime.signals import StopSignals  # noqa: E402

SEND_EVERY_S = 600.0  # the published run had a new checkpoint every eight minutes
PREPARE_S = 6 * 3600.0  # for a node's first process to copy and unpack 150 GB
LOGS = ".ranks"  # in output_path, with a folder a node
GRACE_S = 90.0  # for the run to end after SIGTERM; hlg.launch itself gives its ranks 60


@dataclass(frozen=True)
class Place:
    """Which process of the job this is: on the ``node``, one for it or (``each``) one of its devices'; the ``first``
    of a node does the copying."""

    node: int
    each: bool
    first: bool


def place(environment: Mapping[str, str]) -> Place:
    """Where the service's variables put this process."""
    get = environment.get
    each = any(get(name) for name in ("RANK_ID", "MS_ROLE", "OMPI_COMM_WORLD_LOCAL_RANK"))
    device = get("ASCEND_DEVICE_ID") or get("OMPI_COMM_WORLD_LOCAL_RANK") or get("DEVICE_ID") or "0"
    return Place(
        whole(environment, "VC_TASK_INDEX", 0), each, not each or (device == "0" and get("MS_ROLE") != "MS_SCHED")
    )


def whole(environment: Mapping[str, str], name: str, default: int) -> int:
    """A number that the service sets.

    Raises:
        UserError: it is none.
    """
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdigit()):
        raise UserError(f"{name}: found {text!r} in the environment, where ModelArts has a whole number")
    return int(text)


# ------------------------------------------------------------------------------------------------- before the run


def read(arguments: Sequence[str]) -> tuple[Config, str, list[str]]:
    """The configuration, the program's module and its options.

    Raises:
        UserError: a mistake in them, or one that only shows in the cloud.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--program", default="hlg.train")
    own, options = parser.parse_known_args(arguments)
    config, _ = load(options)
    if not config.enable_modelarts:
        raise UserError(
            "enable_modelarts: found 0; this is the boot file for ModelArts, so give --enable_modelarts=True, or "
            "start python -m hlg.train on a machine that has the data"
        )
    if not config.train_url:
        raise UserError("train_url: found nothing; say where the results go, for nothing outlives the node")
    if config.resume:
        run_of(config)
    # Results anywhere else would be lost.
    return config, own.program, [*options, "--enable_modelarts=0", option("save_checkpoint_path", config.output_path)]


def option(key: str, path: str) -> str:
    """An option that says a path as it is."""
    return f"--{key}={path.replace('$', '$$')}"


def run_of(config: Config) -> str:
    """The run folder's name in a path that is to be resumed.

    Raises:
        UserError: it does not lie in output_path, so that it can't be in train_url.
    """
    with contextlib.suppress(ValueError, IndexError):
        return Path(config.resume).relative_to(config.output_path).parts[0]
    raise UserError(
        f"resume: found {config.resume!r}; on ModelArts a run is named by its place in output_path, as "
        f"{config.output_path}/<run>, and fetched from {config.train_url}/<run>"
    )


def prepare(config: Config, storage: Storage) -> str:
    """Put data, checkpoint and the run to resume on this node; returns what ``pretrained`` is now.

    Raises:
        UserError: something is not in the storage, or an archive is bad.
    """
    data, output = Path(config.data_path), Path(config.output_path)
    if config.data_url:
        say(f"copying {config.data_url} to {data}")
        storage.download(config.data_url, data)
        for folder in (data, data / "train", data / "val"):
            unpack_archives(folder)
    if config.resume:
        say(f"copying {config.train_url}/{run_of(config)} to {output}")
        fetch_run(storage, config.train_url, output, run_of(config))
    if not config.checkpoint_url:
        return config.pretrained
    say(f"copying {config.checkpoint_url}")
    found = storage.download(config.checkpoint_url, data.with_name("checkpoint"))
    files = [found] if found.is_file() else sorted([*found.glob("*.ckpt"), *found.glob("checkpoints/*.ckpt")])
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise UserError(f"checkpoint_url: {config.checkpoint_url} holds not one checkpoint but {names}; name one file")
    return str(files[0])


def say(what: str) -> None:
    """A line in the job's log."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {what}", flush=True)


# ------------------------------------------------------------------------------------------------- the run


def command(config: Config, at: Place, environment: Mapping[str, str]) -> list[str]:
    """What stands in front of the program's module: nothing for a rank, or the launcher of all of a node's."""
    if at.each:
        return []
    launch = ["hlg.launch", f"--logs={config.output_path}/{LOGS}/node_{at.node}"]
    if not config.run_distribute:
        return launch
    table = environment.get("RANK_TABLE_FILE", "")
    if Path(table).is_file():
        return [*launch, f"--rank_table={table}", f"--node_rank={at.node}"]
    nodes, devices = whole(environment, "MA_NUM_HOSTS", 1), whole(environment, "MA_NUM_GPUS", 0)
    if not devices:
        raise UserError(
            "run_distribute: found 1, but MA_NUM_GPUS, by which ModelArts says how many devices a node has, is not "
            "set: set it in the job's environment, or run_distribute to 0"
        )
    launch.append(f"--ranks={nodes * devices}")
    if nodes > 1:
        master = environment.get("VC_WORKER_HOSTS", "").split(",")[0]
        # The nodes come together when the slowest has its data.
        launch += [
            f"--nodes={nodes}",
            f"--node_rank={at.node}",
            f"--master={master}",
            f"--join_timeout={PREPARE_S:.0f}",
        ]
    return launch


def run(module: Sequence[str], environment: Mapping[str, str], stop: StopSignals) -> int:
    """Run the program and pass signals on to it; returns its exit code (1: none of its own)."""
    paths = [str(HERE.parent), *filter(None, [environment.get("PYTHONPATH")])]
    inherited = {**environment, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    if device := environment.get("ASCEND_DEVICE_ID"):
        inherited.setdefault("DEVICE_ID", device)  # the service is to give up this older name
    child = Child(module[0], [sys.executable, "-m", *module], inherited, None)
    try:
        ending = Supervisor([child], None, stop, GRACE_S).run()
    finally:
        end_all([child])
    if ending.problem and (child.code is None or child.code < 0):  # else it has said itself what is wrong
        print(f"error: {ending.problem}", file=sys.stderr, flush=True)
    return ending.code


@contextlib.contextmanager
def sending(outbox: Outbox, every_s: float) -> Iterator[None]:
    """Send what is new every so often meanwhile."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(every_s):
            send(outbox, "warning")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def send(outbox: Outbox, grade: str) -> bool:
    """Send what is new; returns whether it arrived. A failure is a line, for the run goes before it."""
    try:
        outbox.send()
    except (StorageError, OSError) as error:
        print(f"{grade}: results not sent: {error}", file=sys.stderr, flush=True)
        return False
    return True


def boot(arguments: Sequence[str]) -> int:
    """All that this file does; returns the exit code.

    Raises:
        UserError: the run can't begin.
    """
    config, program, options = read(arguments)
    environment = dict(os.environ)
    at = place(environment)
    front = command(config, at, environment)
    handover = Handover(Path(f"{config.data_path}.state"))
    if not at.first:
        pretrained = handover.wait(PREPARE_S)
        with StopSignals() as stop:
            return run([*front, program, *options, option("pretrained", pretrained)], environment, stop)
    handover.begin()
    try:
        storage = Storage()
        pretrained = prepare(config, storage)
        own = f"{LOGS}/node_{at.node}" if at.node else ""  # the run folder is rank 0's
        outbox = Outbox(storage, Path(config.output_path, own), f"{config.train_url.rstrip('/')}/{own}")
    except BaseException as error:
        handover.fail(str(error) or type(error).__name__)
        raise
    handover.succeed(pretrained)
    code = 1
    with StopSignals() as stop:
        try:
            with sending(outbox, SEND_EVERY_S):
                code = run([*front, program, *options, option("pretrained", pretrained)], environment, stop)
        finally:
            say(f"sending what is new to {config.train_url}")
            code = code if send(outbox, "error") else code or 1
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if "--help" in arguments:
        print(__doc__)
    try:
        return boot(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a full disk, or one that can't be written to
        print(f"error: {error.filename or 'this node'}: {error.strerror or error}", file=sys.stderr)
        return StorageError.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
