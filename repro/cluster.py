"""Write what starts a run on several machines: a batch script for Slurm, a job for Kubernetes with Volcano.

    python -m repro.cluster --nodes 2 --imagenet /data/imagenet --runs /results --image registry/hlg-repro:1

The templates in docker/cluster are readable as they are. An ``@NAME@`` in them is a value, checked here and quoted for
its place: a word of the shell or text in YAML. A line whose value was not given is left out.

It runs on Python 3.8, for it is run before anything is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.files import replace_file

ROOT = Path(__file__).parents[1]
TEMPLATES = ROOT / "docker" / "cluster"
PLACE = re.compile(r"@([A-Z_]+)@")
TARGETS = {"ascend": "Ascend", "gpu": "GPU", "cpu": "CPU"}
GRES = {"ascend": "npu", "gpu": "gpu"}
NOTICE_S = 300  # a Slurm job is told to stop so long before its time limit
RECIPE_BYTES = 100_000
ENGINES = ("docker", "podman", "apptainer", "singularity")


class Form(NamedTuple):
    """The form of a value: a pattern for all of it, and the same in words."""

    pattern: str
    words: str


LABEL = r"[a-z]([-a-z0-9]{0,%d}[a-z0-9])?"
CLAIM = Form(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", "the name of a volume claim")
# In a path a comma or a colon would end a mount of docker's, and a dollar sign begin a variable of the configuration.
PATH = Form(r"/[^,:$]{1,1000}", "an absolute path without `,`, `:`, `$` and `..`")
FORMS = {
    "config": Form(r"(.*/)?[A-Za-z0-9][\w.-]{0,99}\.ya?ml", "a recipe whose name ends with .yml"),
    "imagenet": PATH,
    "runs": PATH,
    "image": Form(
        r"(docker://)?[\w.-]+(:\d+)?(/[\w.-]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?|/[^,:$]{1,1000}\.sif",
        "an image, such as registry/hlg-repro:1, or for Apptainer /path/hlg-repro.sif",
    ),
    "name": Form(LABEL % 48, "at most 50 lower-case letters, digits and hyphens, a letter first"),
    "time": Form(r"(\d{1,3}-)?\d{1,4}:[0-5]\d:[0-5]\d", "[days-]hours:minutes:seconds, such as 48:00:00"),
    "gres": Form(r"\w[\w.:,-]*", "what the cluster calls them, such as gpu:8"),
    "out": Form(r".+", "a folder"),
    "namespace": Form(LABEL % 61, "at most 63 lower-case letters, digits and hyphens, a letter first"),
    "data_claim": CLAIM,
    "results_claim": CLAIM,
    "memory": Form(r"[1-9]\d*(Mi|Gi|Ti)", "a size such as 512Gi"),
}
QUEUES = {
    "slurm": Form(r"\w[\w.,-]*", "the name of a partition"),
    "volcano": Form(CLAIM.pattern, "the name of a queue: lower-case letters, digits, hyphens and dots"),
}
KEY = Form(r"--[a-z_0-9]+=.*", "keys of the configuration, as --key=value")


def _check_options(o: argparse.Namespace) -> None:
    """Raise ReproError if an option is missing or impossible, alone or together with others."""
    for option, most in (("nodes", 100_000), ("cards", 1024), ("uid", 2**31 - 1), ("cpus", 100_000)):
        value = getattr(o, option)
        if value is not None and not 1 <= value <= most:
            raise ReproError(f"--{option}: found {str(value)[:40]}; allowed: a whole number >= 1, <= {most}")
    for option, form in FORMS.items():
        _check(f"--{option}", getattr(o, option), form)
    for scheduler in o.schedulers:
        _check("--queue", o.queue, QUEUES[scheduler])
    for key in o.keys:
        _check("a word behind the options", key, KEY)
    data, runs = (PurePosixPath(path) for path in (o.imagenet, o.runs))
    for option, path in (("imagenet", data), ("runs", runs)):
        if ".." in path.parts:
            raise ReproError(f"--{option}: found {str(path)!r}; allowed: {PATH.words}")
    if data in (runs, *runs.parents) or runs in data.parents:
        raise ReproError(f"--runs: found {o.runs!r}, --imagenet {o.imagenet!r}; neither may be within the other")
    if "volcano" in o.schedulers and o.device == "cpu":
        raise ReproError("--only: found volcano with --device cpu, a rehearsal under Slurm; allowed: ascend, gpu")
    if "volcano" in o.schedulers and not o.image:
        raise ReproError("--image: found nothing; allowed: one that Kubernetes can pull (or: --only slurm)")
    if o.engine and "volcano" in o.schedulers:
        raise ReproError(f"--engine: found {o.engine} with --only volcano, but Kubernetes has its own; leave it out")
    if o.image and o.image.startswith(("/", "docker://")) != (o.engine in ("apptainer", "singularity")):
        allowed = "a /path/hlg-repro.sif or docker://... with --engine apptainer, and another without"
        raise ReproError(f"--image: found {o.image!r}; allowed: {allowed}")
    days, _, rest = o.time.rpartition("-")
    hours, minutes, seconds = map(int, rest.split(":"))
    if ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds < 2 * NOTICE_S:
        raise ReproError(f"--time: found {o.time}; allowed: 00:10:00 or more, since the last 5 minutes are for saving")


def _check(option: str, value: str | None, form: Form) -> None:
    # What is not printable, line breaks among it, could end a line of the file.
    if value is not None and not (value.isprintable() and re.fullmatch(form.pattern, value, re.ASCII)):
        raise ReproError(f"{option}: found {value!r}; allowed: {form.words}")


def render_files(o: argparse.Namespace, made_by: str, commit: str) -> dict[str, str]:
    """Return the text of each file, by its name.

    Raises:
        ReproError: an option or a key is impossible, or the recipe can't be read.
    """
    _check_options(o)
    recipe = _recipe(Path(o.config))
    values = {option.upper(): str(value) for option, value in vars(o).items() if isinstance(value, (str, int))}
    values.update(TARGET=TARGETS[o.device], COMMAND=made_by, COMMIT=commit)
    for name, value in values.items():  # they stand in comments, which a line break would end
        if not value.isprintable():
            raise ReproError(f"{name.lower()}: found {value!r}; allowed: one line of printable characters")
    files = {}
    for scheduler in o.schedulers:
        name = "slurm.sh" if scheduler == "slurm" else f"volcano-{o.device}.yml"
        own = _slurm(o) if scheduler == "slurm" else _volcano(o, recipe)
        template = (TEMPLATES / name).read_text(encoding="utf-8")
        files[name] = fill_template(template, {**values, **own, "FILE": shlex.quote(str(Path(o.out) / name))})
    return files


def _slurm(o: argparse.Namespace) -> dict[str, str]:
    """Return the values of the batch script, as words of the shell."""
    python = ["docker/run.sh", "--devices", str(o.cards if o.device in GRES else 0), "--nodes", str(o.nodes)]
    python += ["--write", o.runs]
    for path in (o.config, f"{o.imagenet}/train", f"{o.imagenet}/val"):
        python += ["--read", path]
    python += [o.device, "python"]
    words = {name: shlex.quote(getattr(o, name.lower())) for name in ("IMAGENET", "RUNS", "CONFIG")}
    if o.image:
        words["IMAGE"] = shlex.quote(o.image)
    return {
        **words,
        "PYTHON": shlex.join(o.python or python),
        "KEYS": shlex.join(o.keys),
        "RUNS_TEXT": o.runs,
    }


def _volcano(o: argparse.Namespace, recipe: str) -> dict[str, str]:
    """Return the values of the job, as text in YAML, which reads JSON's.

    Values that _check_options allows to be nothing but a word stay bare.
    """
    values = {
        "RANKS": str(o.nodes * o.cards),
        "QUEUE": o.queue or "default",
        "CONFIG": Path(o.config).name,
        "RECIPE": recipe,
        **{name: _text(getattr(o, name.lower())) for name in ("IMAGENET", "RUNS", "IMAGE")},
    }
    if o.keys:
        # In arguments, Kubernetes puts a value in the place of $(NAME), and $ in that of $$.
        values["KEYS"] = "\n- ".join(_text(key.replace("$", "$$")) for key in o.keys)
    if "@" in o.image:
        values["DIGEST"] = _text(o.image.partition("@")[2])
    if o.host_network:
        values.update(HOST_NETWORK="true", DNS_POLICY="ClusterFirstWithHostNet")
    else:
        values.update(HOST_NETWORK="false", DNS_POLICY="ClusterFirst")
    return values


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """Fill a template with its values; those of several lines keep the indentation of the first."""
    lines = []
    for line in template.splitlines():
        if all(name in values for name in PLACE.findall(line)):
            indent = line[: len(line) - len(line.lstrip())]
            lines += PLACE.sub(lambda place: values[place[1]].replace("\n", "\n" + indent), line).split("\n")  # noqa: B023
    return "".join(line.rstrip() + "\n" for line in lines)


def _recipe(path: Path) -> str:
    """Read the recipe's text, fit for a block of YAML."""
    try:
        text = "\n".join(path.read_text(encoding="utf-8-sig").splitlines())
    except OSError as error:
        raise ReproError(f"--config: found {str(path)!r}, which can't be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ReproError(f"--config: found {str(path)!r}, which is not text in UTF-8") from None
    if len(text) > RECIPE_BYTES or not all(char.isprintable() or char in "\n\t" for char in text):
        raise ReproError(
            f"--config: found {str(path)!r}; allowed: a recipe of at most {RECIPE_BYTES} printable characters"
        )
    return text


def source_commit() -> str:
    """Return the commit that the files are made from, ``-dirty`` if tracked files differ, or why none is known."""
    try:
        command = ["bash", str(ROOT / "docker/revision.sh")]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "unknown: docker/revision.sh, which asks git, can't be run"
    return done.stdout.decode(errors="replace").strip()


def cluster_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; ``--help`` and what argparse refuses end the process."""
    parser = CommandParser(
        "python -m repro.cluster",
        description="Write what starts a run on several machines, for Slurm and for Kubernetes with Volcano.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--nodes", type=int, required=True, metavar="N", help="machines")
    add(
        "--device",
        choices=TARGETS,
        default="ascend",
        help="cpu, for Slurm alone: a rehearsal (default %(default)s)",
    )
    add("--cards", type=int, metavar="N", help="of each machine; ranks on cpu (default 8, 2 on cpu)")
    add("--config", default="configs/hlg_mobile.yml", metavar="FILE", help="the recipe (default %(default)s)")
    add("--imagenet", required=True, metavar="PATH", help="folder with train/ and val/, the same on every machine")
    add("--runs", required=True, metavar="PATH", help="folder for the runs, shared by all machines")
    add(
        "--image",
        metavar="NAME",
        help="image; Kubernetes needs one (default: what docker/build.sh built)",
    )
    add("--name", metavar="NAME", help="name of the job (default: the recipe's)")
    add("--queue", metavar="NAME", help="partition of Slurm, or queue of Volcano (default: the cluster's)")
    add("--only", choices=("slurm", "volcano"), help="write for this one alone")
    add("--out", default="build/cluster", metavar="PATH", help="folder for the files (default %(default)s)")
    slurm = parser.add_argument_group("Slurm").add_argument
    slurm("--time", default="48:00:00", help="time limit, after which the job is queued again (default %(default)s)")
    slurm("--gres", metavar="NAME:N", help="cards, as the cluster names them (default gpu:N, npu:N; none: '')")
    slurm("--engine", choices=ENGINES, help="what runs the image (default: docker or podman, the first that answers)")
    slurm("--python", nargs="+", metavar="WORD", help="run by this Python, such as .venv/bin/python, not in containers")
    volcano = parser.add_argument_group("Kubernetes with Volcano").add_argument
    volcano("--namespace", default="default", metavar="NAME", help="(default %(default)s)")
    volcano(
        "--data_claim",
        default="imagenet",
        metavar="NAME",
        help="volume claim of the data (default %(default)s)",
    )
    volcano(
        "--results_claim", default="hlg-results", metavar="NAME", help="volume claim of the runs (default %(default)s)"
    )
    volcano("--uid", type=int, default=1000, metavar="N", help="user and group in the pods (default %(default)s)")
    volcano("--chip", choices=("910", "910b"), default="910", help="Ascend's, 910b: Atlas A2 (default %(default)s)")
    volcano("--cpus", type=int, metavar="N", help="cores of each pod (default: no limit)")
    volcano("--memory", metavar="SIZE", help="memory of each pod, such as 512Gi (default: no limit)")
    volcano("--host_network", action="store_true", help="use the machines' own network, for RoCE and InfiniBand on GPU")
    add("keys", nargs="*", metavar="--key=value", help="behind a --: keys of the configuration, such as -- --seed=2")
    o = parser.parse_args(argv)
    if o.cards is None:
        o.cards = 2 if o.device == "cpu" else 8
    if o.gres is None and o.device in GRES:
        o.gres = f"{GRES[o.device]}:{o.cards}"
    o.gres = o.gres or None
    o.name = o.name or re.sub(r"[^a-z0-9]+", "-", Path(o.config).stem.lower())
    o.schedulers = (o.only,) if o.only else ("slurm",) if o.device == "cpu" or o.engine else ("slurm", "volcano")
    return o


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    o = cluster_options(words)
    try:
        files = render_files(o, shlex.join(["python", "-m", "repro.cluster", *words]), source_commit())
        for name, text in files.items():
            path = Path(o.out) / name
            replace_file(path, text)
            if name.endswith(".sh"):
                with contextlib.suppress(PermissionError):  # a storage without permissions
                    path.chmod(path.stat().st_mode | (path.stat().st_mode & 0o444) >> 2)  # whoever may read may run it
            tell(f"{path}: its head says how to submit, watch, stop and resume it")
    except ReproError as error:
        tell_error(error)
        return 2
    except OSError as error:
        tell_error(f"--out: can't write {error.filename} ({error.strerror})")
        return 2
    return 0


if __name__ == "__main__":
    run_tool(main)
