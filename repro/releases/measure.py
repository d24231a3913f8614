"""Measure a release in its own environment: fingerprint, short training, speed by turns with the default release.

Every stage is a program of hlg, started with the release's Python. What a finished stage found is kept in a folder
under build/, with the key that it holds for, so that a measurement that was stopped resumes behind its last stage.
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from repro.bench.logged import ProgramError, reason_in, run_logged
from repro.bench.pacing import pace_programs
from repro.check.workload import VARIABLES, workload_of
from repro.errors import ReproError
from repro.files import read_json, replace_file
from repro.records.fingerprint import read_fingerprint
from repro.records.run_folder import cpu_name, read_runs
from repro.records.schema import Run
from repro.releases.kept import FORMAT, MODES, WORKLOADS, compact_rows
from repro.statistics import median_interval

ROUNDS = 9  # by turns; fewer leave no interval of 95 % within the extremes
BATCH = 8  # images of a step and of a forward pass
RECIPE = "configs/check.yml"
STAMP = "installed-lock.sha256"  # in an environment: repro/bootstrap.py writes it last
FINGERPRINT_DONE = (0, 1, 3)  # all within bounds, not all, not all could be done


class CodeChangedError(Exception):
    """The code is no longer the one that the measurement was begun with."""


@dataclass(frozen=True)
class Site:
    """What is the same for all releases: where things are, the default's Python, this machine and this code."""

    default: str
    default_venv: Path
    base_python: str  # builds the environments
    build: Path  # a folder for each release's stages and log
    machine: Mapping[str, Any]  # cpu, cores, variables
    code: str
    commit: str

    def venv(self, release: str) -> Path:
        """Return the folder of a release's environment."""
        return self.default_venv if release == self.default else Path(f".venv-{release}")

    def python(self, release: str) -> str:
        """Return a release's Python."""
        return str(self.venv(release).absolute() / "bin" / "python")

    def key(self, release: str) -> dict[str, Any]:
        """Return what a measurement holds for: another value of any of it, and it is made again."""
        locks = {"lock": self._stamp(release), "default_lock": self._stamp(self.default)}
        return {**self.machine, **locks, "code": self.code, "rounds": ROUNDS, "batch": BATCH}

    def _stamp(self, release: str) -> str:
        try:
            return (self.venv(release) / STAMP).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return ""


def find_site(default: str, venv: Path, base_python: str, build: Path) -> Site:
    """Ask the default release's environment and git about this machine and this code.

    Raises:
        ReproError: the environment or git answers with an error.
    """
    python = str(venv.absolute() / "bin" / "python")
    program = "import json; from hlg.record.processor import processor_facts as f; print(json.dumps(f()))"
    facts = json.loads(_ask(python, "-c", program, advice="build the environment: make setup"))
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    machine = {"cpu": cpu_name("cpu", facts), "cores": facts["cores"], "variables": variables}
    commit = _ask("docker/revision.sh", advice="run make releases in the checkout")
    return Site(default, venv, base_python, build, machine, code_hash(), commit)


def _ask(*command: str, advice: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReproError(f"{command[0]}: {error}; {advice}") from None
    if done.returncode:
        raise ReproError(f"{command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}; {advice}")
    return done.stdout.strip()


def code_hash() -> str:
    """Hash what decides the numbers: hlg/ without its pages, and the recipe. Another commit may have the same."""
    files = [path for path in sorted(Path("hlg").rglob("*")) if path.is_file() and path.suffix not in (".md", ".pyc")]
    hashed = hashlib.sha256()
    for path in (*files, Path(RECIPE)):
        hashed.update(f"{path.as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return hashed.hexdigest()


# ------------------------------------------------------------------------------------------------- stages


@dataclass
class Measurement:
    """The stages of one release."""

    release: str
    site: Site
    key: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of its stages and its log."""
        return self.site.build / self.release

    @property
    def log(self) -> Path:
        """What the programs said."""
        return self.folder / "log"

    def stages(self) -> dict[str, Callable[[], tuple[dict[str, Any], str]]]:
        """Return what there is to do, by name, in order; each returns what it found, and that in a few words."""
        return {
            "environment": self._environment,
            **{f"fingerprint, {mode} mode": partial(self._fingerprint, mode) for mode in MODES},
            "short run": self._short_run,
            **{f"{what} by turns": partial(self._by_turns, what) for what in WORKLOADS},
        }

    def run_stage(self, name: str) -> tuple[dict[str, Any], str, float]:
        """Run a stage, or take what it has found before; return that, in words, and the seconds if it was run now.

        Raises:
            ProgramError: its program failed.
        """
        kept = self.folder / f"{name.replace(', ', ' ').replace(' ', '_')}.json"
        if name != "environment":  # building one again says at once that nothing is to do
            with suppress(ReproError):
                before = read_json(kept)
                if before.get("key") == self.key:
                    return before["found"], before["words"], 0.0
        start = time.monotonic()
        found, words = self.stages()[name]()
        seconds = time.monotonic() - start
        if code_hash() != self.site.code:
            raise CodeChangedError("hlg/ or the recipe changed while it was measured; type make releases again")
        if name == "environment":
            self.key = self.site.key(self.release)
        replace_file(kept, json.dumps({"key": self.key, "found": found, "words": words}) + "\n")
        return found, words, seconds

    def _run(self, *command: str, done: Sequence[int] = (0,)) -> None:
        run_logged(command, self.log, done)

    def _environment(self) -> tuple[dict[str, Any], str]:
        site = self.site
        if self.release != site.default:
            options = ("--venv", str(site.venv(self.release)), "--lock", "docker/dev.lock")
            self._run(site.base_python, "repro/bootstrap.py", *options, "--mindspore", self.release)
        size = size_on_disk(site.venv(self.release))
        return {"size_bytes": size}, f"{size / 1e9:.1f} GB"

    def _fingerprint(self, mode: str) -> tuple[dict[str, Any], str]:
        out = self.folder / "fingerprint"
        path = out / f"cpu_o0_{mode.lower()}.json"
        path.unlink(missing_ok=True)
        command = ("-m", "hlg.fingerprint", "--device_target", "CPU", "--amp_level", "O0", "--out", str(out))
        python = self.site.python(self.release)
        self._run(python, *command, "--context_mode", str(MODES.index(mode)), done=FINGERPRINT_DONE)
        if not path.exists():  # an error that nobody foresaw ends with 1 as well
            raise ProgramError(reason_in(self.log, 1))
        found = read_fingerprint(path)
        out_of = [label for label, row in found.rows.items() if row.verdict == "out"]
        done = sum(row.verdict != "not done" for row in found.rows.values())
        words = f"{done - len(out_of)} of {done} rows within bounds" + (f", first out: {out_of[0]}" if out_of else "")
        return {"cause": found.cause, "rows": compact_rows(found.rows)}, words

    def _short_run(self) -> tuple[dict[str, Any], str]:
        runs = self.folder / "runs"
        shutil.rmtree(runs, ignore_errors=True)
        options = ("--config_path", RECIPE, "--device_target", "CPU", "--save_checkpoint_path", str(runs))
        start = time.monotonic()
        self._run(self.site.python(self.release), "-m", "hlg.train", *options)
        seconds = time.monotonic() - start
        finished = read_runs(runs)[0]
        if not finished:
            raise ProgramError(reason_in(self.log, 0))
        run = finished[-1]
        shutil.rmtree(runs, ignore_errors=True)  # its checkpoints are 100 MB
        return _training_facts(run, seconds), f"{len(run.steps.loss)} steps, last loss {run.steps.loss[-1]:.4f}"

    def _by_turns(self, what: str) -> tuple[dict[str, Any], str]:
        default = self.site.default
        sides = {default: default, f"{self.release} {'again' if self.release == default else ''}".strip(): self.release}
        files = [self.folder / f"{what}_{number}.json" for number in range(len(sides))]
        commands = {}
        for (name, release), file in zip(sides.items(), files, strict=True):
            file.unlink(missing_ok=True)
            device = ("--device_target", "CPU", "--amp_level", "O0", "--batch_size", str(BATCH))
            words = (self.site.python(release), "-m", "hlg.bench", what, "--paced", "--json", str(file), *device)
            commands[name] = shlex.join(("sh", "-c", f"exec {shlex.join(words)} 2>>{shlex.quote(str(self.log))}"))
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            times = pace_programs(commands, ROUNDS)
            if not all(file.exists() and file.stat().st_size for file in files):
                raise ReproError("measured, but its result was not written")
            base, own = (read_json(file) for file in files)
        except ReproError as error:
            raise ProgramError(f"{error} ({reason_in(self.log)})") from None
        first, second = times.values()
        ratios = [round(mine / other, 4) for mine, other in zip(second, first, strict=True)]
        facts = {
            "ratios": ratios,
            "median_s": own["median_s"],
            "compile_s": round(own["compile_time_s"], 2),
            "peak_bytes": own["peak_memory_bytes"],
            "default_median_s": base["median_s"],
            "default_compile_s": round(base["compile_time_s"], 2),
        }
        low, high = median_interval(ratios)
        return facts, f"{own['median_s']:.3f} s, {low:.2f} to {high:.2f} of the time of {default}"


def assemble(measurement: Measurement, found: Mapping[str, Any], failed: Mapping[str, str]) -> dict[str, Any]:
    """Put together the kept file of a release, from what its stages found."""
    return {
        "format": FORMAT,
        "release": measurement.release,
        "default": measurement.site.default,
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": measurement.site.commit,
        "key": measurement.key or measurement.site.key(measurement.release),
        "failed": dict(failed),
        "size_bytes": found.get("environment", {}).get("size_bytes"),
        "speed": {what: found[f"{what} by turns"] for what in WORKLOADS if f"{what} by turns" in found},
        "short_run": found.get("short run"),
        "fingerprint": {
            mode: found[f"fingerprint, {mode} mode"] for mode in MODES if f"fingerprint, {mode} mode" in found
        },
    }


def _training_facts(run: Run, seconds: float) -> dict[str, Any]:
    losses = [loss if abs(loss) < float("inf") else str(loss) for loss in run.steps.loss]
    return {"seconds": round(seconds, 1), "losses": losses, "workload": workload_of(run)}


def size_on_disk(folder: Path) -> int:
    """Return the bytes that a folder takes on its disk; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    size = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found = Path(root, name).lstat()
                if (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    size += 512 * found.st_blocks
    return size
