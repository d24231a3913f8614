"""What the targets run, as DRY_RUN=1 prints it, with the variables that people set."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from repro.stacks.releases import read_releases
from tests.support.processes import run_command, run_make

PYTHON = ".venv/bin/python -m"
LAUNCH = f"{PYTHON} hlg.launch --logs results/runs/.ranks"
ON_GPU = f"docker/with_cuda.sh .venv-gpu {LAUNCH.replace('.venv', '.venv-gpu')}"
ON_ASCEND = f"docker/with_cann.sh {LAUNCH.replace('.venv', '.venv-ascend')}"
FINGERPRINT = "--logs results/fingerprint/.ranks --ranks 8 --nodes 1 hlg.fingerprint --device_target GPU"
RECIPE = "--config_path configs/hlg_mobile.yml"
RUNS = "--save_checkpoint_path results/runs"
DATA = "--dataset_path /data/train --eval_path /data/val"
ON_CPU = "--device_target CPU --amp_level O0"
ENTRY = "docker/with_cuda.sh .venv-gpu .venv-gpu/bin/python"
ASCEND_ENTRY = "docker/with_cann.sh .venv-ascend/bin/python -m"
DRAWN = "--dataset_path= --eval_path="
CHECKED = "docker/with_cuda.sh .venv-gpu docker/check_libraries.sh gpu .venv-gpu"
DEFAULT = next(iter(read_releases()))
EXPORTED = "results/export/hlg_mobile.mindir"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def commands(target: str) -> list[str]:
    """What make would run after the set-up."""
    done = run_make("DRY_RUN=1", *shlex.split(target))
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if "bootstrap.py" not in line]


# What is typed behind `make`, and what that starts.
STARTED = f"""
train IMAGENET=/data seed=2
    {LAUNCH} hlg.train {RECIPE} {RUNS} {DATA} --seed=2
train SEEDS='1 2 3'
    {LAUNCH} --seeds '1 2 3' hlg.train {RECIPE} {RUNS}
train RESUME=results/runs/last
    {LAUNCH} hlg.train --resume results/runs/last {RUNS}
train RESUME=run CONFIG=configs/tiny.yml max_epoch=9
    {LAUNCH} hlg.train --config_path configs/tiny.yml --resume run {RUNS} --max_epoch=9
train DEVICE=cpu CARDS=2
    {LAUNCH} --ranks 2 --nodes 1 hlg.train {RECIPE} {RUNS} {ON_CPU}
train-cpu2
    {LAUNCH} --ranks 2 --nodes 1 hlg.train --config_path configs/tiny.yml --batch_size 8 {RUNS}
train-gpu CONTAINER=0
    {ON_GPU} hlg.train {RECIPE} {RUNS} --device_target GPU
train-gpu CONTAINER=0 DEVICES=0,2,5
    env CUDA_VISIBLE_DEVICES=0,2,5 {ON_GPU} --ranks 3 --nodes 1 hlg.train {RECIPE} {RUNS} --device_target GPU
train DEVICE=gpu CONTAINER=0 CARDS=4 MINDSPORE=2.9.0
    {ON_GPU.replace("gpu", "gpu-2.9.0")} --ranks 4 --nodes 1 hlg.train {RECIPE} {RUNS} --device_target GPU
train-ascend CONTAINER=0 CARDS=4 NODES=2 NODE_RANK=1 MASTER=10.0.0.1
    {ON_ASCEND} --ranks 8 --nodes 2 --node_rank 1 --master 10.0.0.1 hlg.train {RECIPE} {RUNS} --device_target Ascend
train-ascend8 CONTAINER=0 RANK_TABLE_FILE=hccl.json
    {ON_ASCEND} --rank_table hccl.json hlg.train {RECIPE} {RUNS} --device_target Ascend
eval-gpu CONTAINER=0 CARDS=8 PRETRAINED=a.ckpt IMAGENET=/data
    {ON_GPU} --ranks 8 --nodes 1 hlg.eval --pretrained a.ckpt {RECIPE} {RUNS} {DATA} --device_target GPU --amp_level O0
eval-ascend CONTAINER=0 DEVICES=7
    env ASCEND_RT_VISIBLE_DEVICES=7 {ON_ASCEND} hlg.eval {RECIPE} {RUNS} --device_target Ascend
eval-cpu CONFIG=hlg_eval.yml
    {LAUNCH} hlg.eval --config_path hlg_eval.yml {RUNS} --device_target CPU --amp_level O0
imagenet ARCHIVES=/downloads OUT=/data/imagenet LINK=1
    {PYTHON} hlg.data.imagenet --archives /downloads --out /data/imagenet --link
imagenet-verify IMAGENET=/data REPORT=here
    {PYTHON} hlg.data.imagenet.verify --imagenet /data --report here
predict IMAGES='a.jpg b.jpg' PRETRAINED=hlg.ckpt IMAGENET=/data
    {PYTHON} hlg.predict a.jpg b.jpg --pretrained hlg.ckpt {RECIPE} {DATA} {ON_CPU} --run_distribute 0
export PRETRAINED=hlg.ckpt
    {PYTHON} hlg.export --pretrained hlg.ckpt --config_path configs/hlg_export.yml --file_name {EXPORTED}
export CONFIG=own.yml file_format=ONNX file_name=/models/a.onnx
    {PYTHON} hlg.export --config_path own.yml --file_format=ONNX --file_name=/models/a.onnx --file_name /models/a.onnx
fingerprint DEVICE=gpu CONTAINER=0 AMP=O3 CARDS=8 context_mode=1
    {ON_GPU.partition(" --logs")[0]} {FINGERPRINT} --amp_level O3 --out results/fingerprint --context_mode=1
fingerprint-diff A=here.json B=there.json
    {PYTHON} repro.fingerprint_diff here.json there.json
compare A=one B='the other' TARGET_TOP1=75
    {PYTHON} repro.compare one 'the other' --target-top1 75
compare RUN='one two three'
    {PYTHON} repro.compare one two three
releases VERSIONS='2.7.0 2.10.0'
    {PYTHON} repro.releases --releases '2.7.0 2.10.0' --venv .venv --python python3
release-diff A=2.8.0 B=2.10.0
    {PYTHON} repro.releases.diff 2.8.0 2.10.0
plan STEP_MS=400 CARDS=8 NODES=4 batch_size=64
    {PYTHON} repro.plan --cards 8 --nodes 4 --step-ms 400 --batch 64 --json build/plan/plan.json
profile PROFILE=p
    {PYTHON} hlg.bench step --steps 5 --profile p {RECIPE} {DRAWN} --run_distribute 0 {ON_CPU} --batch_size 8
cluster-files DEVICE=gpu CONTAINER=0 CARDS=4 NODES=2 RUNS=/r
    python3 -m repro.cluster --nodes 2 --cards 4 --device gpu {RECIPE.replace("_path", "")} --runs /r --python {ENTRY}
audit RUN='one two'
    {PYTHON} repro.audit one two
published PUBLISHED=models/research/cv/hlg PYTHON39=python3.9 REPEAT=2
    {PYTHON} repro.authors --published models/research/cv/hlg --python39 python3.9 --repeat 2
export-runs FORMAT=mlflow RUN='one two' OUT=build/here
    {PYTHON} repro.report.trackers one two --format mlflow --runs results/runs --out build/here
trend TREND=kept
    {PYTHON} repro.trend --trend kept
bench-cpu BATCHES='1 8' CARDS=2 AMP=O0 seed=2
    {PYTHON} repro.bench.device --device cpu --batches '1 8' --amp O0 --cards 2 --steps 100 -- --seed=2
bench-gpu CONTAINER=0 CARDS=8 STEPS=20 IMAGENET=/data
    {ENTRY} -m repro.bench.device --device gpu --cards 8 --steps 20 --imagenet /data
bench-ascend CONTAINER=0 DEVICES=0,3 STEPS=9 RESUME=one
    env ASCEND_RT_VISIBLE_DEVICES=0,3 {ASCEND_ENTRY} repro.bench.device --device ascend --cards 2 --steps 9 --resume one
bench-compare A=main B=.
    {PYTHON} repro.bench.compare main . --what step --rounds 8 -- --batch_size 8
"""


@pytest.mark.parametrize(("target", "expected"), re.findall(r"(?m)^(\S.*)\n +(.*)$", STARTED))
def test_a_target_starts_what_its_line_says(target: str, expected: str) -> None:
    assert [line for line in commands(target) if "hlg.data.tiny" not in line] == [expected]


def test_of_a_trainings_keys_the_fingerprint_before_it_takes_those_that_it_knows() -> None:
    started = commands("start batch_size=8 context_mode=1 batchsize=64")
    (fingerprint,) = [line for line in started if " hlg.fingerprint " in line]
    assert fingerprint.endswith(" --out results/fingerprint --batchsize=64 --context_mode=1")  # which it refuses
    measured = [line for line in started if " hlg.bench " in line]
    assert len(measured) == 3
    assert all(line.endswith(" --batch_size=8 --batchsize=64 --context_mode=1") for line in measured)


@pytest.mark.parametrize(("device", "then"), [("gpu", f" --then {CHECKED}"), ("ascend", "")])
def test_without_a_container_an_accelerator_has_an_environment_of_its_own(device: str, then: str) -> None:
    built = run_make("DRY_RUN=1", "setup", f"DEVICE={device}", "CONTAINER=0").stdout.splitlines()
    options = f"--venv .venv-{device} --lock docker/{device}.lock --mindspore {DEFAULT}"
    assert built == [f"python3 repro/bootstrap.py {options}{then}"]


def test_its_programs_find_the_libraries_that_are_in_it(tmp_path: Path) -> None:
    site = tmp_path / "my venv/lib/python3.11/site-packages"
    for folder in ("nvidia/cuda_runtime/lib", "nvidia/cublas/lib", "nvidia_cuda_runtime_cu11-11.8.89.dist-info"):
        (site / folder).mkdir(parents=True)
    command = ("docker/with_cuda.sh", tmp_path / "my venv", "printenv", "CUDA_HOME", "LD_LIBRARY_PATH")
    for _ in range(2):
        home, places = run_command(*command, env={"LD_LIBRARY_PATH": "/own"}).stdout.splitlines()
    assert home == f"{site}/nvidia/cuda_runtime"
    assert (site / "nvidia/cuda_runtime/lib/libcudart.so.11.8.89").readlink() == Path("libcudart.so.11.0")
    first, second, *_, last = places.split(":")
    assert (first, second, last) == (f"{site}/nvidia/cublas/lib", f"{site}/nvidia/cuda_runtime/lib", "/own")


def test_no_key_changes_what_is_checked() -> None:
    assert commands("check seed=7 config_path=own.yml")[-2:] == [
        f"{LAUNCH} hlg.train --config_path=own.yml --seed=7 --config_path configs/check.yml {RUNS}",
        f"{PYTHON} repro.check results/runs/latest_check",
    ]


PLANNED = "--json build/plan/{0}.json --config_path configs/hlg_mobile.yml {1} --run_distribute 0 {2}"


def test_without_a_device_a_plan_measures_the_images_of_imagenet() -> None:
    assert commands("plan IMAGENET=/data") == [
        f"{PYTHON} hlg.bench input --steps 8 {PLANNED.format('input', DATA, f'{ON_CPU} --batch_size 8')}",
        f"{PYTHON} repro.plan --input build/plan/input.json --json build/plan/plan.json",
    ]


def test_on_a_device_a_plan_measures_what_is_not_given() -> None:
    device, python = "--device_target Ascend", ON_ASCEND.partition(" hlg")[0]
    assert commands("plan DEVICE=ascend CONTAINER=0 CORES=96") == [
        f"{python} hlg.bench step --steps 10 {PLANNED.format('step', DRAWN, device)}",
        f"{python} hlg.bench evaluate --steps 2 {PLANNED.format('evaluate', DRAWN, device)}",
        f"{python} hlg.bench input --steps 8 {PLANNED.format('input', DRAWN, device)}",
        f"{python} repro.plan --step build/plan/step.json --evaluate build/plan/evaluate.json "
        "--input build/plan/input.json --cores 96 --json build/plan/plan.json",
    ]


def test_start_ends_with_a_plan_and_the_command_of_the_training() -> None:
    *_, last = commands("start IMAGENET=/data/a\\ b CARDS=2 CORES=8 max_epoch=9 AMP=O2")
    measured = " ".join(f"--{what} build/plan/{what}.json" for what in ("step", "evaluate", "input"))
    assert shlex.split(last) == shlex.split(
        f"{PYTHON} repro.plan {measured} --cards 2 --cores 8 --epochs 9 --training "
        """ "make train DEVICE=cpu 'IMAGENET=/data/a b' CARDS=2 max_epoch=9" --json build/plan/plan.json"""
    )


def test_start_predicts_one_card_unless_the_training_has_more() -> None:
    assert " --cards 1 " in commands("start IMAGENET=/data")[-1]
    assert "--cards" not in commands("plan IMAGENET=/data")[-1]  # which takes the published eight


def test_start_measures_one_of_several_devices_and_trains_on_all() -> None:
    given = commands("start DEVICE=gpu CONTAINER=0 DEVICES=2,3 IMAGENET=/data")
    assert [line.split()[1] for line in given[1:]] == [
        f"CUDA_VISIBLE_DEVICES={devices}" for devices in ("2,3", *"2222")
    ]
    assert "'make train DEVICE=gpu IMAGENET=/data CONTAINER=0 DEVICES=2,3'" in given[-1]


REFUSED = """
tiny CONTAINER=yes
    CONTAINER: found 'yes'; allowed: 0 or 1
fingerprint AMP=O1
    AMP: found 'O1'; allowed: O0, O2 or O3
check DEVICE=npu
    DEVICE: found 'npu'; allowed: cpu, gpu or ascend
train DRY_RUN=yes
    DRY_RUN: found 'yes'; allowed: 1, or leave it out
bench-ascend CARDS=two
    CARDS: found 'two'; allowed: 1 or more
train-gpu8 NODES=2x
    NODES: found '2x'; allowed: 1 or more
baseline REPEAT=1
    REPEAT: found '1'; allowed: 2 or more
convergence SEEDS='1 2 3 4 5 6 7 8 9 9'
    SEEDS: found 9; allowed: 10 different ones or more
profile WHAT=steps
    WHAT: found 'steps'; allowed: step, forward or evaluate
train-gpu CARDS=0
    CARDS: found '0'; allowed: 1 or more
train-gpu CARDS=2 DEVICES=3
    CARDS and DEVICES: found '2' and '3', which are 1; type one, or as many
train-gpu8 CONTAINER=0 DEVICES=0,1
    DEVICES: found '0,1'; allowed: 8 with commas between them
train-ascend RANK_TABLE_FILE=hccl.json
    CARDS: found nothing; name how many cards of this machine hccl.json lists: CARDS=8
train RANK_TABLE_FILE=hccl.json
    RANK_TABLE_FILE: found 'hccl.json', but it is for Ascends; type DEVICE=ascend
eval DEVICE=gpu device_target=CPU
    device_target: found 'CPU', but DEVICE is gpu, and the two are one; type one
train DEVICES=3
    DEVICES: found '3', but DEVICE is cpu
train IMAGE=hlg:1
    IMAGE: found 'hlg:1', but CONTAINER is not 1
train CONTAINER=1 IMAGE=hlg:1 PYTHON=python3.12
    PYTHON: found 'python3.12', but CONTAINER is 1
plan batch_size=64 IMAGENET=/data
    batch_size: found '64' without the time of its step; add STEP_MS=...
plan seed=2
    seed: found '2', but nothing is measured without DEVICE=... or IMAGENET=...
published
    PUBLISHED: found nothing; name the authors' code, such as PUBLISHED=models/research/cv/hlg
predict
    IMAGES: found nothing; name one, such as IMAGES=cat.jpg
clean VENV=docker
    VENV: found 'docker', which is no virtual environment
"""


@pytest.mark.parametrize(("target", "said"), re.findall(r"(?m)^(\S.*)\n +(.*)$", REFUSED))
def test_a_variable_that_cannot_be_meant_is_an_error_before_anything_is_trained(target: str, said: str) -> None:
    done = run_make("DRY_RUN=1", *shlex.split(target))
    assert done.returncode == 2
    assert f"error: {said}" in done.stderr
    assert "hlg.train" not in done.stdout


def test_cards_and_devices_that_disagree_are_refused_before_an_image_is_built() -> None:
    assert run_make("DRY_RUN=1", "train-gpu", "CARDS=4", "DEVICES=0,1").stdout == ""
