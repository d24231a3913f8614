"""What targets and scripts tell Apptainer; ``make test-image ENGINE=apptainer`` tries an image with the real one."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.engines import APPTAINER, BUILD, RUN, UUID, Machines, told

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def test_apptainer_shows_a_program_what_is_named_and_gives_it_the_images_variables(machine: Machines) -> None:
    here = machine(apptainer=APPTAINER)
    sif = f"{here.checkout}/build/images/hlg-repro-cpu.sif"
    run = told(here, "eval CONTAINER=1 ENGINE=apptainer PRETRAINED=/hlg.ckpt RUN_OPTIONS=--cpus=4")[-1]
    assert run.options.keys() == {"--containall", "--pwd", "--scratch", "--net", "--network", "--mount", "--cpus"}
    assert (run.options["--pwd"], run.options["--scratch"]) == ([str(here.checkout)],) * 2
    assert run.mounts(writable=True) == {f"{here.checkout}/results/runs"}
    assert {f"{here.checkout}/configs", "/hlg.ckpt"} <= run.mounts(writable=False)
    kept = ["HOME=/dev/shm", "TMPDIR=/dev/shm", "HLG_ENGINE=apptainer 1.4.5", f"HLG_IMAGE={sif}"]
    assert run.rest[: run.rest.index("python")][:6] == [sif, "env", *kept]


@pytest.mark.parametrize(
    ("target", "masks", "given"),
    [
        ("train-gpu8", {}, "CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7"),
        (
            "train-gpu1",
            {"SLURM_JOB_GPUS": "6", "CUDA_VISIBLE_DEVICES": "0"},
            "CUDA_VISIBLE_DEVICES=0",
        ),  # within the job
        (f"train-gpu1 DEVICES={UUID}", {}, f"CUDA_VISIBLE_DEVICES={UUID}"),
        ("fingerprint DEVICE=ascend CARDS=2", {"ASCEND_RT_VISIBLE_DEVICES": "4,6"}, "ASCEND_RT_VISIBLE_DEVICES=4,6"),
    ],
)
def test_apptainer_hands_devices_over(target: str, masks: dict[str, str], given: str, machine: Machines) -> None:
    run = told(machine(), f"{target} ENGINE=apptainer", **masks)[-1]
    program = run.rest.index("python")
    assert given in run.rest[:program]
    assert not {"--net", "--network"} & run.options.keys()
    if "ASCEND" in given:
        assert {"/dev/davinci4", "/dev/davinci_manager", "/usr/local/dcmi"} <= run.mounts(writable=False)
        assert run.rest[program - 1] == "/opt/hlg-repro/docker/with_cann.sh"
    else:
        assert "--nv" in run.options
        assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in run.rest


def test_apptainer_builds_what_the_dockerfile_says(machine: Machines) -> None:
    variables = {"ENGINE": "apptainer", "DRY_RUN": "1", "BASE_IMAGE": "oci-archive:cann.tar"}
    code, text = machine().run(BUILD, "ascend", **variables)
    first, *definition = text.splitlines()
    assert (code, first.split()[:2], first.split()[-1]) == (0, ["apptainer", "build"], "definition")
    assert definition[:2] == ["Bootstrap: oci-archive", "From: cann.tar"]
    dockerfile = (ROOT / "docker/ascend.Dockerfile").read_text()
    steps = re.findall(r"(?m)^RUN (?:--\S+ )*(.*)", dockerfile)
    assert [line.strip() for line in definition if line.strip() in steps] == steps
    environment = text[text.index("%environment") : text.index("%labels")]
    assert (
        "export PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/hlg-repro${PYTHONPATH:+:$PYTHONPATH} HOME=/tmp" in environment
    )
    assert "export HLG_COMMIT=unknown\n" in environment
    assert "org.opencontainers.image.base.name oci-archive:cann.tar" in text
    assert "MINDSPORE='2.10.0'" in text


def test_apptainer_builds_once_and_the_hash_of_its_image_is_kept_beside_it(machine: Machines, tmp_path: Path) -> None:
    here = machine(apptainer=APPTAINER)
    for name in ("hlg", "repro", "LICENSE", ".dockerignore"):
        (here.checkout / name).symlink_to(ROOT / name)
    for _ in range(2):
        code, text = here.run(BUILD, "cpu", ENGINE="apptainer")
        assert code == 0, text
    assert text.endswith("hlg-repro-cpu.sif is up to date\n")
    assert here.asked() == ["built"]
    images = here.checkout / "build/images"
    assert sorted(path.name for path in images.iterdir()) == ["hlg-repro-cpu.sif", "hlg-repro-cpu.sif.sha256"]
    assert here.run(RUN, "cpu", "true", ENGINE="apptainer")[0] == 0
    digest = hashlib.sha256((images / "hlg-repro-cpu.sif").read_bytes()).hexdigest()
    assert f"HLG_IMAGE_DIGEST=sha256:{digest}" in here.asked()
