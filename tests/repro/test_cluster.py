"""Files for clusters: what each machine is told to run, by shells that really run it; valid for what reads them."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from repro import cluster

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((Path(__file__).parent / "fixtures/volcano/job.schema.json").read_text())
KUBERNETES = "1.28"  # the fields that are used are old enough for clusters that are
IMAGE = "registry.example:5000/hlg-repro:1"
ODD = '/data/it\'s "a" #folder `x` (y) \\n ü @RUNS@'  # what a path can hold
DIGEST = "sha256:" + "ab" * 32

# The long options of sbatch 22.05 that have a directive, without those that make no sense in one.
SBATCH = frozenset(
    """account acctg-freq array batch begin chdir clusters comment constraint contiguous core-spec cores-per-socket
    cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency distribution error exclude exclusive export
    export-file extra-node-info get-user-env gid gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task gres
    gres-flags hold input job-name kill-on-invalid-dep licenses mail-type mail-user mcs-label mem mem-per-cpu
    mem-per-gpu mincpus network nice no-kill no-requeue nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-node
    ntasks-per-socket open-mode output overcommit oversubscribe parsable partition power priority profile propagate qos
    quiet reboot requeue reservation signal sockets-per-node spread-job switches thread-spec threads-per-core time
    time-min tmp uid use-min-nodes verbose wait wait-all-nodes wckey""".split()  # noqa: SIM905
)


def options(*more: str, nodes: int = 2, image: str = IMAGE) -> Any:
    """The options of a complete command line; later ones go before earlier ones."""
    base = ["--nodes", str(nodes), "--imagenet", "/data/imagenet", "--runs", "/results", "--image", image]
    return cluster.read_options([*base, *more])


def render(*more: str, **known: Any) -> dict[str, str]:
    return cluster.render(options(*more, **known), "python -m repro.cluster ...", "c0ffee")


def split(command: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The options of the launcher and the keys of the program in a command."""
    launch, program = command.index("hlg.launch"), command.index("hlg.train")
    return _pairs(command[launch + 1 : program]), _pairs(command[program + 1 :])


def _pairs(words: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        pairs[name] = value if equals else next(rest)
    return pairs


# ------------------------------------------------------------------------------------------------------------- Slurm


# Python, as the nodes run it. It notes its words, waits if told so, and notes the signals that come.
PYTHON = """#!{python}
import json, os, pathlib, signal, sys, time
out, node = pathlib.Path(os.environ["OUT"]), os.environ.get("SLURM_NODEID", os.environ.get("VC_TASK_INDEX"))
def stop(number, frame):
    (out / f"signal-{{node}}").write_text(signal.Signals(number).name)
    sys.exit(int(os.environ.get("CODE_STOPPED", "75")))
signal.signal(signal.SIGTERM, stop)
partial = out / f".words-{{node}}"
partial.write_text(json.dumps([sys.argv[1:], os.environ.get("IMAGE")]))
partial.rename(out / f"words-{{node}}")
end = time.monotonic() + float(os.environ.get("SECONDS_TO_RUN", "0"))
while time.monotonic() < end:
    time.sleep(0.02)
sys.exit(int(os.environ.get("CODE", "0")))
"""
# Slurm's programs: srun starts a task a node and ends with the highest code, and dies of a signal with its tasks.
PROGRAMS = {
    "scontrol": """
        if [ "$1" = show ]; then echo "$2" >&2; printf '%s\\n' $HOSTS; else echo "$*" >> "$OUT/scontrol"; fi""",
    "squeue": 'echo "${STATE:-RUNNING}"',
    "scancel": 'echo "$*" >> "$OUT/scancel"; kill -TERM $(cat "$OUT/tasks")',
    "srun": """
        while [ "${1#--}" != "$1" ]; do echo "$1" >> "$OUT/srun"; shift; done
        node=0
        for host in $HOSTS; do SLURM_NODEID=$node "$@" & echo $! >> "$OUT/tasks"; node=$((node + 1)); done
        code=0
        for task in $(cat "$OUT/tasks"); do wait $task || { found=$?; [ $found -le $code ] || code=$found; }; done
        exit $code""",
}


class Slurm:
    """Runs a rendered script as Slurm would, with stand-ins for its programs and for Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.runs = folder / "runs"
        bin = folder / "bin"
        bin.mkdir()
        self.out.mkdir()
        for name, text in PROGRAMS.items():
            (bin / name).write_text(f"#!/bin/bash\n{text}\n")
        self.python = bin / "a python"
        self.python.write_text(PYTHON.format(python=sys.executable))
        for path in bin.iterdir():
            path.chmod(0o755)
        self.environment = {
            "PATH": f"{bin}:{os.environ['PATH']}",
            "OUT": str(self.out),
            "HOSTS": "192.0.2.1 192.0.2.2",
            "SLURM_JOB_ID": "17",
            "SLURM_JOB_NODELIST": "n[1-2]",
        }

    def start(self, *more: str, **variables: str) -> subprocess.Popen[str]:
        text = render("--runs", str(self.runs), "--python", str(self.python), "--only", "slurm", *more)["slurm.sh"]
        (self.folder / "slurm.sh").write_text(text)
        return subprocess.Popen(
            ["bash", str(self.folder / "slurm.sh")],
            cwd=ROOT,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *more: str, **variables: str) -> tuple[int, str]:
        """(exit code, all that was said)"""
        script = self.start(*more, **variables)
        out, err = script.communicate(timeout=30)
        return script.returncode, out + err

    def words(self, node: int) -> list[str]:
        found: list[str] = json.loads((self.out / f"words-{node}").read_text())[0]
        return found

    def said(self, program: str) -> str:
        path = self.out / program
        return path.read_text() if path.exists() else ""

    def wait_for(self, *names: str) -> None:
        end = time.monotonic() + 20
        while not all((self.out / name).exists() for name in names):
            assert time.monotonic() < end, f"waited for {names}"
            time.sleep(0.02)

    def began(self, *, checkpoint: bool = True, finished: bool = False) -> Path:
        """A run that this job began before it was queued again."""
        run = self.runs / "20260101T000000Z_it"
        (run / "checkpoints").mkdir(parents=True)
        logs = self.runs / ".ranks/slurm-17/node-0/20260101T000000Z_1"
        logs.mkdir(parents=True)
        (logs / "run_folder").write_text(f"{run}\n")
        if checkpoint:
            (run / "checkpoints/last.ckpt").touch()
        if finished:
            (run / "SHA256SUMS").touch()
        return run


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path)


@pytest.mark.parametrize("device", ["ascend", "gpu", "cpu"])
def test_the_script_is_one_that_bash_and_shellcheck_accept(device: str, tmp_path: Path) -> None:
    text = render("--device", device, "--queue", "big", "--", "--seed=2")["slurm.sh"]
    (tmp_path / "slurm.sh").write_text(text)
    subprocess.run(["bash", "-n", str(tmp_path / "slurm.sh")], check=True)
    beside = Path(sys.executable).parent / "shellcheck"
    shellcheck = str(beside) if beside.exists() else shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([shellcheck, str(tmp_path / "slurm.sh")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def directives(text: str) -> dict[str, str]:
    """The options in the directives, as sbatch reads them: up to the first command."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            break
        if line.startswith("#SBATCH"):
            (word,) = shlex.split(line.removeprefix("#SBATCH"))
            name, _, value = word.removeprefix("--").partition("=")
            found[name] = value
    assert text.count("#SBATCH") == len(found)
    return found


def test_the_directives_are_options_of_sbatch() -> None:
    found = directives(render("--queue", "big", "--time", "1-12:00:00")["slurm.sh"])
    assert not set(found) - set(SBATCH)
    assert found == {
        "job-name": "hlg-mobile",
        "output": "hlg-mobile-%j.log",
        "open-mode": "append",
        "nodes": "2",
        "ntasks-per-node": "1",
        "exclusive": "",
        "mem": "0",
        "time": "1-12:00:00",
        "signal": "B:TERM@300",
        "requeue": "",
        "gres": "npu:8",
        "partition": "big",
    }


@pytest.mark.parametrize(
    ("more", "gres"),
    [
        (["--device", "gpu"], "gpu:8"),
        (["--device", "gpu", "--devices", "4"], "gpu:4"),
        (["--gres", "ascend:910b:8"], "ascend:910b:8"),
        (["--gres", ""], None),
        (["--device", "cpu"], None),
    ],
)
def test_devices_are_asked_for_by_the_clusters_own_name(more: list[str], gres: str | None) -> None:
    found = directives(render(*more)["slurm.sh"])
    assert found.get("gres") == gres
    assert "partition" not in found


def make(target: str, *arguments: str) -> list[str]:
    """The words of the command that a target of the Makefile runs, from the first -m on."""
    done = subprocess.run(
        ["make", "--dry-run", target, "CONTAINER=0", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = [line for line in done.stdout.replace("\\\n", " ").splitlines() if "hlg.train" in line]
    said = subprocess.run(["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
    words = said.stdout.splitlines()
    return words[words.index("-m") :]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("device", ["ascend", "gpu"])
def test_each_node_runs_what_the_makefile_would(device: str, slurm: Slurm) -> None:
    assert slurm.run("--device", device, "--", "--seed=2") == (0, "hostnames\n")
    for node in range(2):
        arguments = ["NODES=2", f"NODE_RANK={node}", "MASTER=192.0.2.1", "seed=2", "IMAGENET=/data/imagenet"]
        expected = split(make(f"train-{device}8", *arguments, f"RUNS={slurm.runs}"))
        found = split(slurm.words(node))
        assert expected[0].pop("logs") == f"{slurm.runs}/.ranks"
        assert found[0].pop("logs") == f"{slurm.runs}/.ranks/slurm-17/node-{node}"
        assert found == expected
    assert slurm.said("srun") == "--wait=360\n--cpu-bind=none\n--export=ALL\n"
    assert not slurm.said("scontrol")


def test_a_container_is_given_the_recipe_the_data_and_the_runs_and_no_more() -> None:
    text = render("--runs", "/my results")["slurm.sh"]
    (line,) = [line for line in text.splitlines() if line.startswith("python=(")]
    assert shlex.split(line.removeprefix("python=(").removesuffix(")")) == [
        *("docker/run.sh", "--devices", "8", "--nodes", "2", "--write", "/my results"),
        *("--read", "configs/hlg_mobile.yml", "--read", "/data/imagenet/train", "--read", "/data/imagenet/val"),
        *("ascend", "python"),
    ]


@pytest.mark.skipif(shutil.which("docker") is None and shutil.which("podman") is None, reason="no container engine")
def test_the_container_is_one_that_run_sh_knows_how_to_start() -> None:
    text = render("--device", "cpu")["slurm.sh"]
    (line,) = [line for line in text.splitlines() if line.startswith("python=(")]
    command = [*shlex.split(line.removeprefix("python=(").removesuffix(")")), "-m", "hlg.launch"]
    environment = {**os.environ, "DRY_RUN": "1", "IMAGE": IMAGE}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if "no container engine answers" in done.stderr:
        pytest.skip("no container engine answers")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-4:] == [IMAGE, "python", "-m", "hlg.launch"]


def test_odd_paths_and_keys_reach_the_program_unchanged(slurm: Slurm) -> None:
    key = "--no_weight_decay_filter=$(touch injected); `touch injected` 'x' \"y\" #z"
    slurm.runs = slurm.folder / 'it\'s "a" #run'
    assert slurm.run("--imagenet", ODD, "--", key)[0] == 0
    launch, keys = split(slurm.words(1))
    assert launch["logs"] == f"{slurm.runs}/.ranks/slurm-17/node-1"
    assert keys["save_checkpoint_path"] == str(slurm.runs)
    assert keys["dataset_path"] == f"{ODD}/train"
    assert slurm.words(1)[-1] == key
    assert not (ROOT / "injected").exists()


def test_the_image_reaches_the_engine(slurm: Slurm) -> None:
    slurm.run()
    assert json.loads((slurm.out / "words-0").read_text())[1] == IMAGE


def test_a_signal_to_the_script_is_passed_on_and_the_job_queued_again(slurm: Slurm) -> None:
    script = slurm.start(SECONDS_TO_RUN="60")
    slurm.wait_for("words-0", "words-1")
    script.send_signal(signal.SIGTERM)
    out, err = script.communicate(timeout=30)
    assert (script.returncode, out, err) == (75, "stopped and saved, queued again\n", "hostnames\n")
    assert slurm.said("signal-0") == slurm.said("signal-1") == "SIGTERM"
    assert slurm.said("scancel") == "--quiet --signal=TERM 17\n"
    assert slurm.said("scontrol") == "requeue 17\n"


def test_a_job_whose_tasks_alone_were_signalled_as_at_preemption_is_queued_again(slurm: Slurm) -> None:
    assert slurm.run(CODE="75")[0] == 75
    assert slurm.said("scontrol") == "requeue 17\n"


def test_a_job_that_somebody_cancelled_is_not_queued_again(slurm: Slurm) -> None:
    assert slurm.run(CODE="75", STATE="COMPLETING")[0] == 75
    assert not slurm.said("scontrol")


@pytest.mark.parametrize("code", [1, 2, 3, 137])
def test_a_job_that_failed_is_not_queued_again(code: int, slurm: Slurm) -> None:
    assert slurm.run(CODE=str(code))[0] == code
    assert not slurm.said("scontrol")


def test_a_job_that_fails_while_it_saves_is_not_queued_again(slurm: Slurm) -> None:
    script = slurm.start(SECONDS_TO_RUN="60", CODE_STOPPED="2")
    slurm.wait_for("words-0", "words-1")
    script.send_signal(signal.SIGTERM)
    script.communicate(timeout=30)
    assert script.returncode == 2
    assert not slurm.said("scontrol")


def test_a_job_that_was_queued_again_goes_on_with_its_own_run(slurm: Slurm) -> None:
    run = slurm.began()
    assert slurm.run(SLURM_RESTART_COUNT="1")[0] == 0
    for node in range(2):
        keys = split(slurm.words(node))[1]
        assert keys["resume"] == str(run)
        assert "config_path" not in keys  # the run brings its own


def test_a_job_that_was_queued_again_before_its_first_checkpoint_starts_anew(slurm: Slurm) -> None:
    slurm.began(checkpoint=False)
    assert slurm.run(SLURM_RESTART_COUNT="1")[0] == 0
    keys = split(slurm.words(0))[1]
    assert keys["config_path"] == "configs/hlg_mobile.yml"
    assert "resume" not in keys


def test_a_job_that_was_queued_again_after_its_end_trains_no_more(slurm: Slurm) -> None:
    run = slurm.began(finished=True)
    assert slurm.run(SLURM_RESTART_COUNT="1") == (0, f"{run} is finished\nhostnames\n")
    assert not slurm.said("words-0")


def test_a_new_job_with_the_number_of_an_old_one_starts_anew(slurm: Slurm) -> None:
    slurm.began()
    assert slurm.run()[0] == 0
    assert "resume" not in split(slurm.words(0))[1]


def test_a_run_can_be_named_to_go_on_with(slurm: Slurm) -> None:
    assert slurm.run(RESUME="/results/a run")[0] == 0
    assert split(slurm.words(1))[1]["resume"] == "/results/a run"


def test_a_first_host_that_nobody_else_can_reach_is_an_error(slurm: Slurm) -> None:
    code, said = slurm.run(HOSTS="localhost n2")
    assert code == 2
    assert "error: localhost finds itself at a loopback address (/etc/hosts): MASTER=<its address> sbatch ..." in said
    assert not slurm.said("words-0")
    assert slurm.run(HOSTS="localhost n2", MASTER="192.0.2.9")[0] == 0
    assert split(slurm.words(0))[0]["master"] == "192.0.2.9"


# -------------------------------------------------------------------------------------------------------- Kubernetes


def documents(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    recipe, job = yaml.safe_load_all(text)
    return recipe, job


def pod(job: dict[str, Any]) -> dict[str, Any]:
    """The pod of a job, as Volcano makes it."""
    template: dict[str, Any] = job["spec"]["tasks"][0]["template"]
    metadata = {"name": "a-pod", **template.get("metadata", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def assert_valid(text: str) -> None:
    """Nothing is missing, unknown or of the wrong type for Volcano and for Kubernetes."""
    recipe, job = documents(text)
    jsonschema.Draft202012Validator(SCHEMA).validate(job)
    kubernetes_validate.validate(recipe, KUBERNETES, strict=True)
    kubernetes_validate.validate(pod(job), KUBERNETES, strict=True)
    spec = pod(job)["spec"]
    (container,) = spec["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}


EVERYTHING = [
    *("--name", "run-7", "--namespace", "research", "--queue", "big.queue", "--cpus", "96", "--memory", "512Gi"),
    *("--uid", "1234", "--data_claim", "imagenet-2012", "--results_claim", "results.of.all", "--host_network"),
    *("--imagenet", ODD, "--runs", "/- {b} %c", "--", "--seed=2", "--no_weight_decay_filter=': #\"'"),
]


@pytest.mark.parametrize("more", [[], EVERYTHING], ids=["little", "everything"])
@pytest.mark.parametrize("device", ["ascend", "gpu"])
def test_a_job_is_valid_for_volcano_and_its_pods_for_kubernetes(device: str, more: list[str]) -> None:
    assert_valid(render("--device", device, *more)[f"volcano-{device}.yml"])


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (lambda job: job["spec"], "unexpected"),
        (lambda job: job["spec"]["tasks"][0], "unexpected"),
        (lambda job: job["spec"]["policies"][0], "unexpected"),
        (lambda job: job["spec"]["tasks"][0]["template"]["spec"]["containers"][0], "unexpected"),
    ],
)
def test_an_unknown_field_would_be_found(place: Callable[[Any], dict[str, Any]], said: str) -> None:
    recipe, job = documents(render()["volcano-ascend.yml"])
    place(job)["imagePullPolcy"] = "Always"
    with pytest.raises(jsonschema.ValidationError, match=said):
        assert_valid(yaml.safe_dump_all([recipe, job]))


def strict(schema: Any) -> Any:
    """A schema of Kubernetes' kind, in which a field that it does not know is an error."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(part) for key, part in schema.items()}
    if found.pop("x-kubernetes-int-or-string", False):
        return {"type": ["integer", "string"]}
    if found.get("type") == "object" and isinstance(found.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found


@pytest.mark.skipif("VOLCANO_CRD" not in os.environ, reason="VOLCANO_CRD is not set: see fixtures/volcano/README.md")
def test_volcanos_own_definition_agrees() -> None:
    definition = yaml.safe_load(Path(os.environ["VOLCANO_CRD"]).read_text())
    (version,) = [v for v in definition["spec"]["versions"] if v["name"] == "v1alpha1"]
    theirs = strict(version["schema"]["openAPIV3Schema"])
    theirs["properties"]["metadata"] = {"type": "object"}
    for device in ("ascend", "gpu"):
        for more in ([], EVERYTHING):
            _, job = documents(render("--device", device, *more)[f"volcano-{device}.yml"])
            jsonschema.Draft202012Validator(theirs).validate(job)
    for own, known in (
        (SCHEMA["properties"]["spec"], theirs["properties"]["spec"]),
        (SCHEMA["$defs"]["task"], theirs["properties"]["spec"]["properties"]["tasks"]["items"]),
        (SCHEMA["$defs"]["policies"]["items"], theirs["properties"]["spec"]["properties"]["policies"]["items"]),
    ):
        assert set(own["properties"]) == set(known["properties"])
    events = theirs["properties"]["spec"]["properties"]["policies"]["items"]["properties"]["event"]["enum"]
    assert set(SCHEMA["$defs"]["event"]["enum"]) < set(events)


def expand(text: str, variables: dict[str, str]) -> str:
    """As Kubernetes does it in arguments and variables: what it does not know stays."""
    return re.sub(r"\$\$|\$\(([^)]*)\)", lambda m: "$" if m[0] == "$$" else variables.get(m[1], m[0]), text)


def run_pod(text: str, folder: Path, index: int, **variables: str) -> tuple[int, str, list[str]]:
    """Run what a pod runs, with a stand-in for Python: (exit code, what it said, Python's words)."""
    (container,) = pod(documents(text)[1])["spec"]["containers"]
    assert "command" not in container  # it would take the place of the image's entry point
    (folder / "bin").mkdir(exist_ok=True)
    python = folder / "bin/python"
    python.write_text(PYTHON.format(python=sys.executable))
    python.chmod(0o755)
    given = {entry["name"]: expand(entry["value"], {}) for entry in container["env"] if "value" in entry}
    plugins = {"VC_TASK_INDEX": str(index), "VC_NODE_HOSTS": "127.0.0.1,n2", "VC_NODE_NUM": "2"}
    done = subprocess.run(
        [expand(word, given | plugins) for word in container["args"]],
        env={**given, **plugins, "PATH": f"{folder}/bin:{os.environ['PATH']}", "OUT": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    words = folder / f"words-{index}"
    return done.returncode, done.stdout + done.stderr, json.loads(words.read_text())[0] if words.exists() else []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("device", ["ascend", "gpu"])
def test_each_pod_runs_what_the_makefile_would(device: str, tmp_path: Path) -> None:
    text = render("--device", device, "--runs", str(tmp_path / "runs"), "--", "--seed=2")[f"volcano-{device}.yml"]
    for index in range(2):
        code, said, words = run_pod(text, tmp_path, index)
        assert (code, said) == (0, "")
        arguments = ["NODES=2", f"NODE_RANK={index}", "MASTER=127.0.0.1", "seed=2", "IMAGENET=/data/imagenet"]
        expected = split(make(f"train-{device}8", *arguments, f"RUNS={tmp_path}/runs"))
        found = split(words)
        expected[0]["logs"] += f"/default-hlg-mobile/node-{index}"
        expected[1]["config_path"] = "/etc/hlg/hlg_mobile.yml"
        assert found == expected


def test_odd_paths_and_keys_reach_the_pod_unchanged(tmp_path: Path) -> None:
    key = "--no_weight_decay_filter=$(HOME) $(touch injected) $$ 'x' \"y\" #z: {} \\n"
    text = render("--imagenet", ODD, "--", key, "--seed=2")["volcano-ascend.yml"]
    assert_valid(text)
    _, _, words = run_pod(text, tmp_path, 0)
    assert words[-2:] == [key, "--seed=2"]
    assert split(words[:-2])[1]["dataset_path"] == f"{ODD}/train"
    mounts = {m["name"]: m["mountPath"] for m in pod(documents(text)[1])["spec"]["containers"][0]["volumeMounts"]}
    assert mounts["data"] == ODD


def test_a_job_that_is_started_again_goes_on_with_the_newest_run_of_its_name(tmp_path: Path) -> None:
    text = render("--device", "gpu", "--runs", str(tmp_path / "runs"))["volcano-gpu.yml"]
    for number in (1, 2):
        run = tmp_path / f"runs/run-{number}"
        logs = tmp_path / f"runs/.ranks/default-hlg-mobile/node-0/2026010{number}T000000Z_7"
        (run / "checkpoints").mkdir(parents=True)
        logs.mkdir(parents=True)
        (logs / "run_folder").write_text(f"{run}\n")
    code, _, words = run_pod(text, tmp_path, 0)
    assert code == 0
    assert "resume" not in split(words)[1]  # there is no checkpoint yet
    (run / "checkpoints/last.ckpt").touch()
    keys = split(run_pod(text, tmp_path, 1)[2])[1]
    assert keys["resume"] == str(run)
    assert "config_path" not in keys
    (run / "SHA256SUMS").touch()
    (tmp_path / "words-1").unlink()
    assert run_pod(text, tmp_path, 1) == (0, f"{run} is finished\n", [])


def test_the_exit_code_of_the_launcher_is_the_pods(tmp_path: Path) -> None:
    assert run_pod(render()["volcano-ascend.yml"], tmp_path, 0, CODE="75")[0] == 75


@pytest.mark.parametrize("device", ["ascend", "gpu"])
def test_a_job_starts_all_pods_or_none_and_again_when_it_was_stopped(device: str) -> None:
    spec = documents(render("--device", device, nodes=3)[f"volcano-{device}.yml"])[1]["spec"]
    assert (spec["minAvailable"], spec["tasks"][0]["replicas"]) == (3, 3)
    assert spec["policies"] == [  # Volcano takes the first that fits
        {"exitCode": 75, "action": "RestartJob"},
        {"event": "PodEvicted", "action": "RestartJob"},
        {"event": "PodFailed", "action": "AbortJob"},
    ]
    assert spec["tasks"][0]["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["tasks"][0]["name"] == "node"  # VC_NODE_HOSTS


@pytest.mark.parametrize(("device", "resource"), [("ascend", "huawei.com/Ascend910"), ("gpu", "nvidia.com/gpu")])
def test_a_pod_has_its_devices_shared_memory_and_no_rights(device: str, resource: str) -> None:
    spec = pod(documents(render("--device", device)[f"volcano-{device}.yml"])[1])["spec"]
    (container,) = spec["containers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    read_only = {mount["name"] for mount in container["volumeMounts"] if mount.get("readOnly")}
    assert container["resources"]["limits"] == {resource: 8}
    assert volumes["shm"]["emptyDir"]["medium"] == "Memory"
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "imagenet", "readOnly": True}
    assert {"data", "recipe"} <= read_only
    assert read_only >= {name for name, volume in volumes.items() if "hostPath" in volume}
    assert not {"results", "work", "shm"} & read_only
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] == 1000
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert not spec["hostNetwork"]


def test_both_templates_are_one_but_for_the_devices() -> None:
    pods = [pod(documents(render("--device", device)[f"volcano-{device}.yml"])[1]) for device in ("ascend", "gpu")]
    for one in pods:
        one["metadata"].pop("labels", None)
        (container,) = one["spec"]["containers"]
        container["resources"] = {}
        container["args"] = [word.replace("Ascend", "GPU") for word in container["args"]]
        container["env"] = [entry for entry in container["env"] if entry["name"] != "HCCL_IF_IP"]
        host = {volume["name"] for volume in one["spec"]["volumes"] if "hostPath" in volume}
        for part, key in ((container, "volumeMounts"), (one["spec"], "volumes")):
            part[key] = [entry for entry in part[key] if entry["name"] not in host]
    assert pods[0] == pods[1]


def test_the_chip_is_told_to_huaweis_scheduler() -> None:
    for more, label in (([], "ascend-910"), (["--chip", "910b"], "ascend-910b")):
        job = documents(render(*more)["volcano-ascend.yml"])[1]
        assert job["metadata"]["labels"] == pod(job)["metadata"]["labels"] == {"ring-controller.atlas": label}


def test_the_recipe_travels_with_the_job(tmp_path: Path) -> None:
    own = tmp_path / "My_Recipe.yml"
    own.write_text("  \n# ünïcödé\nseed: 3\n---\n  lr_max: '@RUNS@'\n", encoding="utf-8")
    text = render("--config", str(own))["volcano-ascend.yml"]
    recipe, job = documents(text)
    assert recipe["data"]["My_Recipe.yml"].splitlines() == [line.rstrip() for line in own.read_text().splitlines()]
    assert job["metadata"]["name"] == "my-recipe"
    assert "--config_path /etc/hlg/My_Recipe.yml" in text


def test_a_digest_is_told_to_the_record_of_the_run() -> None:
    def variables(text: str) -> dict[str, str]:
        return {e["name"]: e.get("value", "") for e in pod(documents(text)[1])["spec"]["containers"][0]["env"]}

    assert variables(render(image=f"{IMAGE}@{DIGEST}")["volcano-ascend.yml"])["HLG_IMAGE_DIGEST"] == DIGEST
    assert "HLG_IMAGE_DIGEST" not in variables(render()["volcano-ascend.yml"])


# ---------------------------------------------------------------------------------------------------------- all files


@pytest.mark.parametrize("device", ["ascend", "gpu", "cpu"])
def test_a_file_says_how_it_was_made_and_how_to_use_it(device: str) -> None:
    files = render("--device", device)
    assert set(files) == {"slurm.sh"} | ({f"volcano-{device}.yml"} if device != "cpu" else set())
    for name, text in files.items():
        head = text[: text.index("\n\n#SBATCH" if name == "slurm.sh" else "\napiVersion")]
        for word in ("Made by  python -m repro.cluster ...", "From     c0ffee", "Submit", "Watch", "Stop", "Go on"):
            assert f"\n# {word}" in head
        assert not cluster.PLACE.search(text)
        assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_the_program_writes_the_files_and_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "build/cluster"
    argv = ["--nodes", "2", "--imagenet", "/data", "--runs", "/it's", "--image", IMAGE, "--out", str(out)]
    assert cluster.main(argv) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        str(out / "slurm.sh"),
        str(out / "volcano-ascend.yml"),
    ]
    assert os.access(out / "slurm.sh", os.X_OK)
    assert f"python -m repro.cluster {shlex.join(argv)}" in (out / "slurm.sh").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--nodes", "0"], "--nodes: found 0; allowed: a whole number >= 1"),
        (["--devices", "0"], "--devices: found 0; allowed: a whole number >= 1"),
        (["--uid", "0"], "--uid: found 0; allowed: a whole number >= 1"),
        (["--imagenet", "data"], "--imagenet: found 'data'; allowed: an absolute path"),
        (["--imagenet", "/data/$USER"], "--imagenet: found '/data/$USER'; allowed: an absolute path"),
        (["--imagenet", "/data\nrm -rf x"], "--imagenet: found '/data\\nrm -rf x'; allowed: an absolute path"),
        (["--imagenet", "/data/../x"], "--imagenet: found '/data/../x'; allowed: an absolute path"),
        (["--imagenet", "/a\udcff"], "--imagenet: found '/a\\udcff'; allowed: an absolute path"),
        (["--runs", "/"], "--runs: found '/'; allowed: an absolute path"),
        (["--runs", "results/runs"], "--runs: found 'results/runs'; allowed: an absolute path"),
        (
            ["--runs", "/data/imagenet/runs"],
            "--runs: found '/data/imagenet/runs', --imagenet '/data/imagenet'; neither",
        ),
        (["--image", "a b"], "--image: found 'a b'; allowed: an image"),
        (["--name", "Run_1"], "--name: found 'Run_1'; allowed: at most 50 lower-case letters"),
        (["--name", "1st"], "--name: found '1st'; allowed: at most 50 lower-case letters"),
        (["--name", "a" * 51], f"--name: found '{'a' * 51}'; allowed: at most 50"),
        (["--namespace", "a.b"], "--namespace: found 'a.b'; allowed: at most 63"),
        (["--data_claim", "Data"], "--data_claim: found 'Data'; allowed: the name of a volume claim"),
        (["--memory", "512G"], "--memory: found '512G'; allowed: a size such as 512Gi"),
        (["--queue", "a b"], "--queue: found 'a b'; allowed: the name of a partition"),
        (["--queue", "Big_1", "--only", "volcano"], "--queue: found 'Big_1'; allowed: the name of a queue"),
        (["--gres", "gpu 8"], "--gres: found 'gpu 8'; allowed: what the cluster calls them"),
        (["--time", "48"], "--time: found '48'; allowed: [days-]hours:minutes:seconds"),
        (["--time", "00:09:59"], "--time: found 00:09:59; allowed: 00:10:00 or more"),
        (["--config", "no.yml"], "--config: found 'no.yml', which can't be read (No such file or directory)"),
        (["--config", "Makefile"], "--config: found 'Makefile'; allowed: a recipe whose name ends with .yml"),
        (["--only", "volcano", "--device", "cpu"], "--only: found volcano with --device cpu"),
        (["--", "seed=2"], "a word behind the options: found 'seed=2'; allowed: keys of the configuration"),
    ],
)
def test_what_is_impossible_is_one_line_and_nothing_is_written(
    more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--nodes", "2", "--imagenet", "/data/imagenet", "--runs", "/results", "--image", IMAGE]
    assert cluster.main([*base, "--out", str(tmp_path / "out"), *more]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {said}")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_kubernetes_without_an_image_is_an_error_and_slurm_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--nodes", "2", "--imagenet", "/data", "--runs", "/results", "--out", "/proc/no"]
    assert cluster.main(base) == 2
    assert capsys.readouterr().err == (
        "error: --image: found nothing; allowed: one that Kubernetes can pull (or: --only slurm)\n"
    )
    assert cluster.main([*base, "--only", "slurm"]) == 2
    assert capsys.readouterr().err.startswith("error: --out: can't write /proc/no")


def test_a_recipe_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    for content in (b"\xff\xfe", b"seed: 1\x07\n"):
        (tmp_path / "it.yml").write_bytes(content)
        with pytest.raises(cluster.ReproError, match=r"^--config: found '.*/it\.yml'"):
            render("--config", str(tmp_path / "it.yml"))
