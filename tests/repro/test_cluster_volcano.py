"""The jobs for Kubernetes with Volcano: valid for what reads them, their commands run by a real shell."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.support.clusters import DIGEST, IMAGE, ODD, begin_run, make, render_for, split, words, write_programs
from tests.support.processes import run_command

SCHEMA = json.loads((Path(__file__).parent / "fixtures/volcano/job.schema.json").read_text())
KUBERNETES = "1.28"  # the fields that are used are old enough for clusters that are


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
    assert_valid(render_for("volcano", "--device", device, *more))


def expand(text: str, variables: dict[str, str]) -> str:
    """As Kubernetes does it in arguments and variables: what it does not know stays."""
    return re.sub(r"\$\$|\$\(([^)]*)\)", lambda m: "$" if m[0] == "$$" else variables.get(m[1], m[0]), text)


def run_pod(text: str, folder: Path, index: int, **variables: str) -> tuple[int, str, list[str]]:
    """Run what a pod runs, with a stand-in for Python: (exit code, what it said, Python's words)."""
    (container,) = pod(documents(text)[1])["spec"]["containers"]
    assert "command" not in container  # it would take the place of the image's entry point
    given = {entry["name"]: expand(entry["value"], {}) for entry in container["env"] if "value" in entry}
    plugins = {"VC_TASK_INDEX": str(index), "VC_NODE_HOSTS": "127.0.0.1,n2", "VC_NODE_NUM": "2"}
    command = [expand(word, given | plugins) for word in container["args"]]
    env = {**given, **plugins, "PATH": write_programs(folder / "bin", {}), "OUT": str(folder), **variables}
    done = run_command(*command, env=env, inherit=False, timeout=30)
    return done.returncode, done.stdout + done.stderr, words(folder, index)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("device", ["ascend", "gpu"])
def test_each_pod_runs_what_the_makefile_would(device: str, tmp_path: Path) -> None:
    text = render_for("volcano", "--device", device, "--runs", str(tmp_path / "runs"), "--", "--seed=2")
    for index in range(2):
        code, said, got = run_pod(text, tmp_path, index)
        assert (code, said) == (0, "")
        arguments = ["NODES=2", f"NODE_RANK={index}", "MASTER=127.0.0.1", "seed=2", "IMAGENET=/data/imagenet"]
        expected = split(make(f"train-{device}8", *arguments, f"RUNS={tmp_path}/runs"))
        found = split(got)
        expected[0]["logs"] += f"/default-hlg-mobile/node-{index}"
        expected[1]["config_path"] = "/etc/hlg/hlg_mobile.yml"
        assert found == expected


def test_odd_paths_and_keys_reach_the_pod_unchanged(tmp_path: Path) -> None:
    key = "--no_weight_decay_filter=$(HOME) $(touch injected) $$ 'x' \"y\" #z: {} \\n"
    text = render_for("volcano", "--imagenet", ODD, "--", key, "--seed=2")
    assert_valid(text)
    _, _, got = run_pod(text, tmp_path, 0)
    assert got[-2:] == [key, "--seed=2"]
    assert split(got[:-2])[1]["dataset_path"] == f"{ODD}/train"
    mounts = {m["name"]: m["mountPath"] for m in pod(documents(text)[1])["spec"]["containers"][0]["volumeMounts"]}
    assert mounts["data"] == ODD


def test_a_job_that_is_started_again_goes_on_with_the_newest_run_of_its_name(tmp_path: Path) -> None:
    text = render_for("volcano", "--device", "gpu", "--runs", str(tmp_path / "runs"))
    run = [begin_run(tmp_path / "runs", "default-hlg-mobile", number) for number in (1, 2)][1]
    code, _, got = run_pod(text, tmp_path, 0)
    assert code == 0
    assert "resume" not in split(got)[1]  # there is no checkpoint yet
    (run / "checkpoints/last.ckpt").touch()
    keys = split(run_pod(text, tmp_path, 1)[2])[1]
    assert keys["resume"] == str(run)
    assert "config_path" not in keys
    (run / "SHA256SUMS").touch()
    (tmp_path / "words-1").unlink()
    assert run_pod(text, tmp_path, 1) == (0, f"{run} is finished\n", [])


def test_the_exit_code_of_the_launcher_is_the_pods(tmp_path: Path) -> None:
    assert run_pod(render_for("volcano"), tmp_path, 0, CODE="75")[0] == 75


@pytest.mark.parametrize("device", ["ascend", "gpu"])
def test_a_job_starts_all_pods_or_none_and_again_when_it_was_stopped(device: str) -> None:
    spec = documents(render_for("volcano", "--device", device, nodes=3))[1]["spec"]
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
    spec = pod(documents(render_for("volcano", "--device", device))[1])["spec"]
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


def test_the_chip_is_told_to_huaweis_scheduler() -> None:
    for more, label in (([], "ascend-910"), (["--chip", "910b"], "ascend-910b")):
        job = documents(render_for("volcano", *more))[1]
        assert job["metadata"]["labels"] == pod(job)["metadata"]["labels"] == {"ring-controller.atlas": label}


def test_the_recipe_travels_with_the_job(tmp_path: Path) -> None:
    own = tmp_path / "My_Recipe.yml"
    own.write_text("  \n# ünïcödé\nseed: 3\n---\n  lr_max: '@RUNS@'\n", encoding="utf-8")
    text = render_for("volcano", "--config", str(own))
    recipe, job = documents(text)
    assert recipe["data"]["My_Recipe.yml"].splitlines() == [line.rstrip() for line in own.read_text().splitlines()]
    assert job["metadata"]["name"] == "my-recipe"
    assert "--config_path /etc/hlg/My_Recipe.yml" in text


def test_a_digest_is_told_to_the_record_of_the_run() -> None:
    for image, expected in ((f"{IMAGE}@{DIGEST}", [DIGEST]), (IMAGE, [])):
        (container,) = pod(documents(render_for("volcano", image=image))[1])["spec"]["containers"]
        assert [entry["value"] for entry in container["env"] if entry["name"] == "HLG_IMAGE_DIGEST"] == expected
