"""Train on ModelArts, Huawei's cloud: the boot file, which the service starts by its path with options alone.

    python /any/where/hlg/modelarts.py --config_path=/any/where/configs/hlg_cloud.yml --enable_modelarts=True
        --data_url=s3://bucket/imagenet --train_url=s3://bucket/train
        [--checkpoint_url=s3://bucket/x.ckpt] [--program=hlg.eval] [--key=value ...]

It copies data_url to data_path and checkpoint_url beside it, unpacks archives there, runs the program, and sends what
that leaves in output_path to train_url: every ten minutes, and at the end, however the run ends. The exit code is the
run's; 1 where only the sending failed. To resume a run of an earlier job, which the node no longer has:
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
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator, Mapping, Sequence  # noqa: E402
from dataclasses import dataclass  # noqa: E402

from hlg.cloud.handover import Handover  # noqa: E402
from hlg.cloud.storage import Outbox, Storage, StorageError, fetch_run  # noqa: E402
from hlg.cloud.unpacking import unpack_archives  # noqa: E402
from hlg.config import Config, load  # noqa: E402
from hlg.console import say, say_error  # noqa: E402
from hlg.errors import UserError  # noqa: E402
from hlg.launch.supervise import Child, Supervisor, end_all  # noqa: E402
from hlg.signals import StopSignals, run_main  # noqa: E402

SEND_EVERY_S = 600.0  # the published run had a new checkpoint every eight minutes
PREPARE_S = 6 * 3600.0  # for a node's first process to copy and unpack 150 GB
LOGS = ".ranks"  # in output_path, with a folder a node
GRACE_S = 90.0  # for the run to end after SIGTERM; hlg.launch itself gives its ranks 60


@dataclass(frozen=True)
class NodeProcess:
    """This process's place in the job.

    ``node`` is the number of its machine; ``per_device`` says that the service starts one process a device, not one a
    node; the ``first`` of a node does the copying.
    """

    node: int
    per_device: bool
    first: bool


def identify_process(environment: Mapping[str, str]) -> NodeProcess:
    """Tell from the service's variables which process of the job this is.

    Raises:
        UserError: a variable is no number.
    """
    get = environment.get
    node = read_number(environment, "VC_TASK_INDEX", 0)
    per_device = any(get(name) for name in ("RANK_ID", "MS_ROLE", "OMPI_COMM_WORLD_LOCAL_RANK"))
    device = get("ASCEND_DEVICE_ID") or get("OMPI_COMM_WORLD_LOCAL_RANK") or get("DEVICE_ID") or "0"
    return NodeProcess(node, per_device, not per_device or (device == "0" and get("MS_ROLE") != "MS_SCHED"))


def read_number(environment: Mapping[str, str], name: str, default: int) -> int:
    """Read a whole number that the service sets.

    Raises:
        UserError: it is none.
    """
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdigit()):
        raise UserError(f"{name}: found {text!r} in the environment, where ModelArts has a whole number")
    return int(text)


# ------------------------------------------------------------------------------------------------- before the run


def read_job(arguments: Sequence[str]) -> tuple[Config, str, list[str]]:
    """Read the job: the configuration, the program's module and its options.

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
        resumed_run(config)
    # Results anywhere else would be lost.
    return (
        config,
        own.program,
        [*options, "--enable_modelarts=0", path_option("save_checkpoint_path", config.output_path)],
    )


def path_option(key: str, path: str) -> str:
    """Write an option so that the path is taken as it is."""
    return f"--{key}={path.replace('$', '$$')}"


def resumed_run(config: Config) -> str:
    """Return the name of the run folder that is to be resumed.

    Raises:
        UserError: it does not lie in output_path, so that it can't be in train_url.
    """
    with contextlib.suppress(ValueError, IndexError):
        return Path(config.resume).relative_to(config.output_path).parts[0]
    raise UserError(
        f"resume: found {config.resume!r}; on ModelArts a run is named by its place in output_path, as "
        f"{config.output_path}/<run>, and fetched from {config.train_url}/<run>"
    )


def download_inputs(config: Config, storage: Storage) -> str:
    """Copy data, checkpoint and the run to resume to this node; returns what ``pretrained`` is now.

    Raises:
        UserError: something is not in the storage, or an archive is bad.
    """
    data, output = Path(config.data_path), Path(config.output_path)
    if config.data_url:
        log_line(f"copying {config.data_url} to {data}")
        storage.download(config.data_url, data)
        for folder in (data, data / "train", data / "val"):
            unpack_archives(folder)
    if config.resume:
        log_line(f"copying {config.train_url}/{resumed_run(config)} to {output}")
        fetch_run(storage, config.train_url, output, resumed_run(config))
    if not config.checkpoint_url:
        return config.pretrained
    log_line(f"copying {config.checkpoint_url}")
    found = storage.download(config.checkpoint_url, data.with_name("checkpoint"))
    files = [found] if found.is_file() else sorted([*found.glob("*.ckpt"), *found.glob("checkpoints/*.ckpt")])
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise UserError(f"checkpoint_url: {config.checkpoint_url} holds not one checkpoint but {names}; name one file")
    return str(files[0])


def log_line(what: str) -> None:
    """Write a line to the job's log."""
    say(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {what}")


# ------------------------------------------------------------------------------------------------- the run


def launch_command(config: Config, at: NodeProcess, environment: Mapping[str, str]) -> list[str]:
    """Return what goes before the program's module: nothing for a rank, or the launcher of all ranks of a node."""
    if at.per_device:
        return []
    launch = ["hlg.launch", f"--logs={config.output_path}/{LOGS}/node_{at.node}"]
    if not config.run_distribute:
        return launch
    table = environment.get("RANK_TABLE_FILE", "")
    if Path(table).is_file():
        return [*launch, f"--rank_table={table}", f"--node_rank={at.node}"]
    nodes, devices = read_number(environment, "MA_NUM_HOSTS", 1), read_number(environment, "MA_NUM_GPUS", 0)
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


def run_supervised(module: Sequence[str], environment: Mapping[str, str], stop: StopSignals) -> int:
    """Run the program, pass signals on to it, and return its exit code (1: none of its own)."""
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
        say_error(ending.problem)
    return ending.code


@contextlib.contextmanager
def sending_results(outbox: Outbox, every_s: float) -> Iterator[None]:
    """Send what is new every ``every_s`` seconds, in a thread, while used as a context."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(every_s):
            send_results(outbox, "warning")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def send_results(outbox: Outbox, grade: str) -> bool:
    """Send what is new and return whether it arrived; a failure is one line, and the run goes on."""
    try:
        outbox.send()
    except (StorageError, OSError) as error:
        say(f"{grade}: results not sent: {error}", file=sys.stderr)
        return False
    return True


def boot(arguments: Sequence[str]) -> int:
    """Copy the inputs, run the program, send the results; returns the exit code.

    Raises:
        UserError: the run can't begin.
    """
    config, program, options = read_job(arguments)
    environment = dict(os.environ)
    at = identify_process(environment)
    module = [*launch_command(config, at, environment), program, *options]
    handover = Handover(Path(f"{config.data_path}.state"))
    if not at.first:
        pretrained = handover.wait(PREPARE_S)
        with StopSignals() as stop:
            return run_supervised([*module, path_option("pretrained", pretrained)], environment, stop)
    handover.begin()
    try:
        storage = Storage()
        pretrained = download_inputs(config, storage)
        own = f"{LOGS}/node_{at.node}" if at.node else ""  # the run folder is rank 0's
        outbox = Outbox(storage, Path(config.output_path, own), f"{config.train_url.rstrip('/')}/{own}")
    except BaseException as error:
        handover.fail(str(error) or type(error).__name__)
        raise
    handover.succeed(pretrained)
    code = 1
    with StopSignals() as stop:
        try:
            with sending_results(outbox, SEND_EVERY_S):
                code = run_supervised([*module, path_option("pretrained", pretrained)], environment, stop)
        finally:
            log_line(f"sending what is new to {config.train_url}")
            code = code if send_results(outbox, "error") else code or 1
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if "--help" in arguments:
        say(__doc__)
    try:
        return boot(arguments)
    except UserError as error:
        say_error(error)
        return error.exit_code
    except OSError as error:  # a full disk, or one that can't be written to
        say_error(f"{error.filename or 'this node'}: {error.strerror or error}")
        return StorageError.exit_code


if __name__ == "__main__":
    run_main(main)
