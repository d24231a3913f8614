"""What the targets run, to the letter: make's own dry run, with the variables that people set."""

import os
import shutil

import pytest

from tests.support.processes import run_command

LAUNCH = ".venv/bin/python -m hlg.launch --logs results/runs/.ranks"
FINGERPRINT = ".venv/bin/python -m hlg.launch --logs results/fingerprint/.ranks"
RECIPE = "hlg.train --config_path configs/hlg_mobile.yml --save_checkpoint_path results/runs"
DATA = "--dataset_path /data/train --eval_path /data/val"


def commands(*arguments: str) -> list[str]:
    """What make would run after the set-up, one blank between words."""
    environment = {"PATH": os.environ["PATH"]}  # not the variables of a make that runs the tests
    done = run_command("make", "--dry-run", *arguments, env=environment, inherit=False)
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.replace("\\\n", " ").splitlines()]
    return [line for line in lines if "bootstrap.py" not in line]


pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "IMAGENET=/data", "seed=2"], f"{LAUNCH} {RECIPE} {DATA} --seed=2"),
        (["train", "SEEDS=1 2 3"], f'{LAUNCH} --seeds "1 2 3" {RECIPE}'),
        (
            ["train", "RESUME=results/runs/latest_tiny"],
            f"{LAUNCH} hlg.train --resume results/runs/latest_tiny --save_checkpoint_path results/runs",
        ),
        (
            ["train", "RESUME=run", "CONFIG=configs/tiny.yml", "max_epoch=9"],
            f"{LAUNCH} hlg.train --config_path configs/tiny.yml --resume run --save_checkpoint_path results/runs "
            "--max_epoch=9",
        ),
        (["train-gpu1", "CONTAINER=0"], f"{LAUNCH} {RECIPE} --device_target GPU"),
        (["train-gpu8", "CONTAINER=0"], f"{LAUNCH} --ranks $((8 * 1)) --nodes 1 {RECIPE} --device_target GPU"),
        (["train-ascend1", "CONTAINER=0"], f"{LAUNCH} {RECIPE} --device_target Ascend"),
        (
            ["train-ascend8", "CONTAINER=0", "IMAGENET=/data"],
            f"{LAUNCH} --ranks $((8 * 1)) --nodes 1 {RECIPE} {DATA} --device_target Ascend",
        ),
        (
            ["train-ascend8", "CONTAINER=0", "NODES=2", "NODE_RANK=1", "MASTER=10.0.0.1"],
            f"{LAUNCH} --ranks $((8 * 2)) --nodes 2 --node_rank 1 --master 10.0.0.1 {RECIPE} --device_target Ascend",
        ),
        (
            ["train-ascend8", "CONTAINER=0", "RANK_TABLE_FILE=hccl.json"],
            f"{LAUNCH} --rank_table hccl.json {RECIPE} --device_target Ascend",
        ),
        (
            ["eval-gpu", "CONTAINER=0", "PRETRAINED=hlg.ckpt", "IMAGENET=/data"],
            f'{LAUNCH} hlg.eval --pretrained "hlg.ckpt" --config_path configs/hlg_mobile.yml '
            f"--save_checkpoint_path results/runs {DATA} --device_target GPU --amp_level O0",
        ),
        (
            ["eval-cpu", "PRETRAINED=hlg.ckpt", "IMAGENET=/data"],
            f'{LAUNCH} hlg.eval --pretrained "hlg.ckpt" --config_path configs/hlg_mobile.yml '
            f"--save_checkpoint_path results/runs {DATA} --device_target CPU --amp_level O0",
        ),
        (
            ["eval-gpu", "CONTAINER=0", "CONFIG=hlg_eval.yml"],
            f"{LAUNCH} hlg.eval --config_path hlg_eval.yml --save_checkpoint_path results/runs --device_target GPU "
            "--amp_level O0",
        ),
        (
            ["imagenet", "ARCHIVES=/downloads", "OUT=/data/imagenet"],
            '.venv/bin/python -m hlg.data.imagenet --archives "/downloads" --out "/data/imagenet"',
        ),
        (
            ["imagenet-verify", "IMAGENET=/data", "REPORT=here"],
            '.venv/bin/python -m hlg.data.imagenet.verify --imagenet "/data" --report "here"',
        ),
        (
            ["predict", "IMAGES=a.jpg b.jpg", "PRETRAINED=hlg.ckpt", "IMAGENET=/data"],
            '.venv/bin/python -m hlg.predict a.jpg b.jpg --pretrained "hlg.ckpt" --config_path configs/hlg_mobile.yml '
            f"{DATA} --device_target CPU --amp_level O0 --run_distribute 0",
        ),
        (
            ["export", "PRETRAINED=hlg.ckpt"],
            '.venv/bin/python -m hlg.export --pretrained "hlg.ckpt" --config_path configs/hlg_export.yml '
            "--file_name results/export/hlg_mobile.mindir",
        ),
        (
            ["export", "PRETRAINED=hlg.ckpt", "CONFIG=own.yml", "file_format=ONNX", "file_name=/models/a.onnx"],
            '.venv/bin/python -m hlg.export --pretrained "hlg.ckpt" --config_path own.yml --file_name=/models/a.onnx '
            "--file_format=ONNX --file_name /models/a.onnx",
        ),
        (
            ["fingerprint", "AMP=O3", "context_mode=1"],
            f"{FINGERPRINT} --ranks $((1 * 1)) --nodes 1 hlg.fingerprint --amp_level O3 --out results/fingerprint "
            "--context_mode=1",
        ),
        (
            ["fingerprint", "DEVICE=gpu", "CONTAINER=0", "RANKS=8"],
            f"{FINGERPRINT} --ranks $((8 * 1)) --nodes 1 hlg.fingerprint --device_target GPU --amp_level O0 "
            "--out results/fingerprint",
        ),
        (
            ["fingerprint-diff", "A=here.json", "B=there.json"],
            '.venv/bin/python -m repro.fingerprint_diff "here.json" "there.json"',
        ),
    ],
)
def test_a_target_starts_what_its_line_says(arguments: list[str], expected: str) -> None:
    assert commands(*arguments) == [expected]


PLANNED = "--json build/plan/{0}.json --config_path configs/hlg_mobile.yml {1} --run_distribute 0 {2}"


def test_without_a_device_a_plan_measures_nothing() -> None:
    assert commands("plan", "STEP_MS=400", "CARDS=64", "batch_size=64", "CONTAINER=0") == [
        '.venv/bin/python -m repro.plan --cards "64" --step-ms "400" --batch "64" --json build/plan/plan.json'
    ]


def test_without_a_device_a_plan_measures_the_images_of_imagenet() -> None:
    of_cpu = "--device_target CPU --amp_level O0 --batch_size 8"
    assert commands("plan", "IMAGENET=/data") == [
        f".venv/bin/python -m hlg.bench input --steps 8 {PLANNED.format('input', DATA, of_cpu)}",
        ".venv/bin/python -m repro.plan --input build/plan/input.json --json build/plan/plan.json",
    ]


def test_on_a_device_a_plan_measures_what_is_not_given() -> None:
    drawn, device = "--dataset_path= --eval_path=", "--device_target Ascend"
    bench = ".venv/bin/python -m hlg.bench"
    assert commands("plan", "DEVICE=ascend", "CORES=96") == [
        f"{bench} step --steps 10 {PLANNED.format('step', drawn, device)}",
        f"{bench} evaluate --steps 2 {PLANNED.format('evaluate', drawn, device)}",
        f"{bench} input --steps 8 {PLANNED.format('input', drawn, device)}",
        ".venv/bin/python -m repro.plan --step build/plan/step.json --evaluate build/plan/evaluate.json "
        '--input build/plan/input.json --cores "96" --json build/plan/plan.json',
    ]


def test_two_ranks_on_a_cpu_share_the_batch_of_the_tiny_recipe() -> None:
    assert commands("train-cpu2")[-1] == (
        f"{LAUNCH} --ranks $((2 * 1)) --nodes 1 hlg.train --config_path configs/tiny.yml --batch_size 8 "
        "--save_checkpoint_path results/runs"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tiny", "CONTAINER=yes"], "CONTAINER: found 'yes'; allowed: 0 or 1"),
        (["fingerprint", "AMP=O1"], "AMP: found 'O1'; allowed: O0, O2 or O3"),
        (["train-gpu1", "CONTAINER=0", "DEVICES=3"], "set CUDA_VISIBLE_DEVICES or ASCEND_RT_VISIBLE_DEVICES instead"),
    ],
)
def test_a_variable_that_would_do_nothing_is_an_error(arguments: list[str], said: str) -> None:
    done = run_command("make", "--dry-run", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_too_few_seeds_are_refused_before_any_is_trained() -> None:
    done = run_command("make", "convergence", "DRY_RUN=1", "SEEDS=1 2 3 4 5 6 7 8 9 9")
    assert "error: SEEDS: found 9; allowed: 10 different ones or more" in done.stderr
    assert "hlg.train" not in done.stdout
