"""The files for clusters: what they say of themselves, and what is refused."""

import os
import shlex
from pathlib import Path

import pytest

from repro import cluster
from tests.support.clusters import IMAGE, render
from tests.support.programs import Call


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


def test_the_program_writes_the_files_and_names_them(tmp_path: Path, call: Call) -> None:
    out = tmp_path / "build/cluster"
    argv = ["--nodes", "2", "--imagenet", "/data", "--runs", "/it's", "--image", IMAGE, "--out", str(out)]
    named = [line.split(":")[0] for line in call(cluster.main, *argv).out.splitlines()]
    assert named == [str(out / "slurm.sh"), str(out / "volcano-ascend.yml")]
    assert os.access(out / "slurm.sh", os.X_OK)
    assert f"python -m repro.cluster {shlex.join(argv)}" in (out / "slurm.sh").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--nodes", "0"], "--nodes: found 0; allowed: a whole number >= 1"),
        (["--uid", "0"], "--uid: found 0; allowed: a whole number >= 1"),
        (["--imagenet", "/data/$USER"], "--imagenet: found '/data/$USER'; allowed: an absolute path"),
        (["--imagenet", "/data\nrm -rf x"], "--imagenet: found '/data\\nrm -rf x'; allowed: an absolute path"),
        (["--imagenet", "/data/../x"], "--imagenet: found '/data/../x'; allowed: an absolute path"),
        (["--runs", "/"], "--runs: found '/'; allowed: an absolute path"),
        (["--runs", "/data/imagenet/a"], "--runs: found '/data/imagenet/a', --imagenet '/data/imagenet'; neither"),
        (["--image", "a b"], "--image: found 'a b'; allowed: an image"),
        (["--name", "Run_1"], "--name: found 'Run_1'; allowed: at most 50 lower-case letters"),
        (["--namespace", "a.b"], "--namespace: found 'a.b'; allowed: at most 63"),
        (["--data_claim", "Data"], "--data_claim: found 'Data'; allowed: the name of a volume claim"),
        (["--memory", "512G"], "--memory: found '512G'; allowed: a size such as 512Gi"),
        (["--queue", "a b"], "--queue: found 'a b'; allowed: the name of a partition"),
        (["--queue", "Big_1", "--only", "volcano"], "--queue: found 'Big_1'; allowed: the name of a queue"),
        (["--gres", "gpu 8"], "--gres: found 'gpu 8'; allowed: what the cluster calls them"),
        (["--time", "48"], "--time: found '48'; allowed: [days-]hours:minutes:seconds"),
        (["--time", "00:09:59"], "--time: found 00:09:59; allowed: 00:10:00 or more"),
        (
            ["--engine", "apptainer", "--only", "volcano"],
            "--engine: found apptainer with --only volcano, but Kubernetes",
        ),
        (["--engine", "apptainer"], f"--image: found '{IMAGE}'; allowed: a /path/hlg-repro.sif or"),
        (
            ["--image", "/hlg.sif"],
            "--image: found '/hlg.sif'; allowed: a /path/hlg-repro.sif or",
        ),
        (["--config", "no.yml"], "--config: found 'no.yml', which can't be read (No such file or directory)"),
        (["--config", "Makefile"], "--config: found 'Makefile'; allowed: a recipe whose name ends with .yml"),
        (["--only", "volcano", "--device", "cpu"], "--only: found volcano with --device cpu"),
        (["--nodes", "2\n"], 'command: found "python -m repro.cluster'),
        (["--", "--file_name=a\nb"], "a word behind the options: found '--file_name=a\\nb'; allowed: keys of the"),
        (["--", "seed=2"], "a word behind the options: found 'seed=2'; allowed: keys of the configuration"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(more: list[str], said: str, tmp_path: Path, call: Call) -> None:
    base = ["--nodes", "2", "--imagenet", "/data/imagenet", "--runs", "/results", "--image", IMAGE]
    err = call(cluster.main, *base, "--out", tmp_path / "out", *more, code=2).err
    assert err.startswith(f"error: {said}")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_kubernetes_without_an_image_is_an_error_and_slurm_is_not(call: Call) -> None:
    base = ["--nodes", "2", "--imagenet", "/data", "--runs", "/results", "--out", "/proc/no"]
    said = call(cluster.main, *base, code=2).err
    assert said == "error: --image: found nothing; allowed: one that Kubernetes can pull (or: --only slurm)\n"
    assert call(cluster.main, *base, "--only", "slurm", code=2).err.startswith("error: --out: can't write /proc/no")


def test_a_recipe_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    for content in (b"\xff\xfe", b"seed: 1\x07\n"):
        (tmp_path / "it.yml").write_bytes(content)
        with pytest.raises(cluster.ReproError, match=r"^--config: found '.*/it\.yml'"):
            render("--config", str(tmp_path / "it.yml"))
