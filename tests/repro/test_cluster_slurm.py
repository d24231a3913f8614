"""The batch script for Slurm, run by a real shell with stand-ins for Slurm's commands."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.clusters import IMAGE, ODD, begin_run, make, render_for, split, words, write_programs
from tests.support.processes import run_command, start_command, wait_for

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
        self.folder, self.out, self.runs = folder, folder / "out", folder / "runs"
        self.out.mkdir()
        self.environment = {"HOSTS": "192.0.2.1 192.0.2.2", "SLURM_JOB_ID": "17", "SLURM_JOB_NODELIST": "n[1-2]"}
        self.environment |= {"PATH": write_programs(folder / "bin", PROGRAMS), "OUT": str(self.out)}

    def start(self, *more: str, **variables: str) -> subprocess.Popen[str]:
        script, python = self.folder / "slurm.sh", f"{self.folder}/bin/a python"
        script.write_text(render_for("slurm", "--runs", str(self.runs), "--python", python, *more))
        return start_command("bash", script, env=self.environment | variables)

    def run(self, *more: str, **variables: str) -> tuple[int, str]:
        """(exit code, all that was said)"""
        script = self.start(*more, **variables)
        out, err = script.communicate(timeout=30)
        return script.returncode, out + err

    def keys(self, node: int) -> dict[str, str]:
        """The keys of the configuration that the program got on a node."""
        return split(words(self.out, node))[1]

    def said(self, program: str) -> str:
        path = self.out / program
        return path.read_text() if path.exists() else ""


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path)


@pytest.mark.parametrize("device", ["ascend", "gpu", "cpu"])
def test_the_script_is_one_that_bash_and_shellcheck_accept(device: str, tmp_path: Path) -> None:
    script = tmp_path / "slurm.sh"
    script.write_text(render_for("slurm", "--device", device, "--queue", "big", "--", "--seed=2"))
    assert run_command("bash", "-n", script).returncode == 0
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = run_command(shellcheck, script)
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


def test_the_directives_are_these_options_of_sbatch() -> None:
    found = directives(render_for("slurm", "--queue", "big", "--time", "1-12:00:00"))
    assert [f"{name}={value}" for name, value in found.items()] == [
        *("job-name=hlg-mobile", "output=hlg-mobile-%j.log", "open-mode=append", "nodes=2", "ntasks-per-node=1"),
        *("exclusive=", "mem=0", "time=1-12:00:00", "signal=B:TERM@300", "requeue=", "gres=npu:8", "partition=big"),
    ]


ASKED = {"--device=gpu": "gpu:8", "--device=gpu --cards=4": "gpu:4", "--gres=ascend:910b:8": "ascend:910b:8"}


@pytest.mark.parametrize(("more", "gres"), [*ASKED.items(), ("--gres=", None), ("--device=cpu", None)])
def test_devices_are_asked_for_by_the_clusters_own_name(more: str, gres: str | None) -> None:
    found = directives(render_for("slurm", *more.split()))
    assert found.get("gres") == gres
    assert "partition" not in found


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("device", ["ascend", "gpu"])
def test_each_node_runs_what_the_makefile_would(device: str, slurm: Slurm) -> None:
    assert slurm.run("--device", device, "--", "--seed=2") == (0, "hostnames\n")
    for node in range(2):
        arguments = ["NODES=2", f"NODE_RANK={node}", "MASTER=192.0.2.1", "seed=2", "IMAGENET=/data/imagenet"]
        expected = split(make(f"train-{device}8", *arguments, f"RUNS={slurm.runs}"))
        found = split(words(slurm.out, node))
        assert expected[0].pop("logs") == f"{slurm.runs}/.ranks"
        assert found[0].pop("logs") == f"{slurm.runs}/.ranks/slurm-17/node-{node}"
        assert found == expected
    assert slurm.said("srun") == "--wait=360\n--cpu-bind=none\n--export=ALL\n"
    assert not slurm.said("scontrol")


def test_a_container_is_given_the_recipe_the_data_and_the_runs_and_no_more() -> None:
    text = render_for("slurm", "--runs", "/my results")
    (line,) = [line for line in text.splitlines() if line.startswith("python=(")]
    assert shlex.split(line.removeprefix("python=(").removesuffix(")")) == [
        *("docker/run.sh", "--devices", "8", "--nodes", "2", "--write", "/my results"),
        *("--read", "configs/hlg_mobile.yml", "--read", "/data/imagenet/train", "--read", "/data/imagenet/val"),
        *("ascend", "python"),
    ]
    text = render_for("slurm", "--engine", "apptainer", image="/my images/hlg.sif")
    assert "\nexport ENGINE=apptainer\nexport IMAGE='/my images/hlg.sif'\n" in text


def test_odd_paths_and_keys_reach_the_program_unchanged(slurm: Slurm) -> None:
    key = "--no_weight_decay_filter=$(touch injected); `touch injected` 'x' \"y\" #z"
    slurm.runs = slurm.folder / 'it\'s "a" #run'
    assert slurm.run("--imagenet", ODD, "--", key)[0] == 0
    launch, keys = split(words(slurm.out, 1))
    assert launch["logs"] == f"{slurm.runs}/.ranks/slurm-17/node-1"
    assert keys["save_checkpoint_path"] == str(slurm.runs)
    assert keys["dataset_path"] == f"{ODD}/train"
    assert words(slurm.out, 1)[-1] == key
    assert json.loads((slurm.out / "words-1").read_text())[1] == IMAGE
    assert not (ROOT / "injected").exists()


@pytest.mark.parametrize(
    ("code_stopped", "code", "said", "requeued"),
    [("75", 75, "stopped and saved, queued again\n", "requeue 17\n"), ("2", 2, "", "")],
    ids=["it saves", "it fails while it saves"],
)
def test_a_signal_to_the_script_is_passed_on_and_a_job_that_saves_is_queued_again(
    code_stopped: str, code: int, said: str, requeued: str, slurm: Slurm
) -> None:
    script = slurm.start(SECONDS_TO_RUN="60", CODE_STOPPED=code_stopped)
    wait_for(lambda: words(slurm.out, 0) and words(slurm.out, 1), "both nodes")
    script.send_signal(signal.SIGTERM)
    assert script.communicate(timeout=30) == (said, "hostnames\n")
    assert script.returncode == code
    assert slurm.said("signal-0") == slurm.said("signal-1") == "SIGTERM"
    assert slurm.said("scancel") == "--quiet --signal=TERM 17\n"
    assert slurm.said("scontrol") == requeued


@pytest.mark.parametrize(
    ("variables", "requeued"),
    [
        ({"CODE": "75"}, True),  # its tasks alone were signalled, as at preemption
        ({"CODE": "75", "STATE": "COMPLETING"}, False),  # somebody cancelled it
        *(({"CODE": code}, False) for code in ("2", "137")),  # it failed
    ],
)
def test_only_a_job_that_was_stopped_is_queued_again(variables: dict[str, str], requeued: bool, slurm: Slurm) -> None:
    assert slurm.run(**variables)[0] == int(variables["CODE"])
    assert slurm.said("scontrol") == ("requeue 17\n" if requeued else "")


def test_a_job_that_was_queued_again_goes_on_with_its_own_run_until_that_is_finished(slurm: Slurm) -> None:
    run = begin_run(slurm.runs, "slurm-17", checkpoint=True)
    assert slurm.run(SLURM_RESTART_COUNT="1")[0] == 0
    for node in range(2):
        keys = slurm.keys(node)
        assert keys["resume"] == str(run)
        assert "config_path" not in keys  # the run brings its own
    (slurm.out / "words-0").unlink()
    (run / "SHA256SUMS").touch()
    assert slurm.run(SLURM_RESTART_COUNT="1") == (0, f"{run} is finished\nhostnames\n")
    assert not slurm.said("words-0")


@pytest.mark.parametrize(("checkpoint", "restarts"), [(False, {"SLURM_RESTART_COUNT": "1"}), (True, {})])
def test_a_job_without_its_checkpoint_starts_anew(checkpoint: bool, restarts: dict[str, str], slurm: Slurm) -> None:
    begin_run(slurm.runs, "slurm-17", checkpoint=checkpoint)
    assert slurm.run(**restarts)[0] == 0
    keys = slurm.keys(0)
    assert keys["config_path"] == "configs/hlg_mobile.yml"
    assert "resume" not in keys


def test_a_run_can_be_named_to_go_on_with(slurm: Slurm) -> None:
    assert slurm.run(RESUME="/results/a run")[0] == 0
    assert slurm.keys(1)["resume"] == "/results/a run"


def test_a_first_host_that_nobody_else_can_reach_is_an_error(slurm: Slurm) -> None:
    code, said = slurm.run(HOSTS="localhost n2")
    assert code == 2
    assert "error: localhost finds itself at a loopback address (/etc/hosts): MASTER=<its address> sbatch ..." in said
    assert not slurm.said("words-0")
    assert slurm.run(HOSTS="localhost n2", MASTER="192.0.2.9")[0] == 0
    assert split(words(slurm.out, 0))[0]["master"] == "192.0.2.9"
