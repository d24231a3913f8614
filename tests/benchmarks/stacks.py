r"""A training step and a forward pass of one network by the authors' code, by ours and by PyTorch, each on two stacks.

    PYTHONPATH=FOLDER_WITH_EASYDICT python -m tests.benchmarks.stacks --torch /venv/bin/python \
        --authors .venv-authors --first models/research/cv/hlg --published later/research/cv/hlg \
        --older .venv-2.7.0/bin/python --out results/benchmarks/stacks.json

All take turns, ours also with fused kernels. ``--first`` is the authors' code as first published, which runs on the
MindSpore 1.7.0 of ``--authors`` (make published) and does not import on a newer one; ``--published`` a later commit of
it, which runs on this one. ``--older`` is a Python with an older MindSpore (make setup MINDSPORE=2.7.0). A quarter of
an hour on two cores that have nothing else to do.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from hlg.record.environment import environment_facts
from repro.authors.checkout import recognize
from repro.authors.stack import Stack
from repro.bench.pacing import pace_programs, summarize_turns
from tests.benchmarks.measure import BATCH, PEERS, TURNS

WHATS = "step", "forward"
# The version of the one package of this name, whatever stands behind it, such as mindspore-gpu.
VERSION = """
import sys
from importlib.metadata import distributions
print(next(it.version for it in distributions() if it.metadata["Name"].replace("_", "-").startswith(sys.argv[1])))
"""


def version(python: str, package: str) -> str:
    """Which version of a package this Python has."""
    done = subprocess.run([python, "-c", VERSION, package], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def programs(given: argparse.Namespace) -> dict[str, list[str]]:
    """Each program's command by its name, which lacks what it repeats; the first one is what ratios refer to."""
    stack = Stack(given.authors.absolute(), "", "", (given.authors / "stub").is_dir())
    python39 = ["env", *(f"{name}={value}" for name, value in stack.variables().items()), str(stack.python)]
    ours, theirs = ["-m", "hlg.bench", "--paced", f"--batch_size={BATCH}"], [str(PEERS / "published_hlg.py"), "--code"]
    torch, batch = [given.torch, str(PEERS / "torch_hlg.py")], f"--batch={BATCH}"
    new, older = version(sys.executable, "mindspore"), version(given.older, "mindspore")
    old, eager = version(str(stack.python), "mindspore"), version(given.torch, "torch")
    first, later = (recognize(folder).words for folder in (given.first, given.published))
    return {
        f"Ours, MindSpore {new}": [sys.executable, *ours],
        f"Ours, MindSpore {new}, fused kernels": [sys.executable, *ours, "--graph_kernel=1"],
        f"Ours, MindSpore {older}": [given.older, *ours],
        f"Theirs, MindSpore {old}: {first}": [*python39, *theirs, str(given.first), batch],
        f"Theirs, MindSpore {new}: {later}": [sys.executable, *theirs, str(given.published), batch],
        f"PyTorch {eager}": [*torch, batch],
        f"PyTorch {eager}, compiled": [*torch, "--compile", batch],
    }


def by_stack(given: argparse.Namespace) -> dict[str, Any]:
    """Step and forward pass of all programs by turns, and on which machine."""
    commands = programs(given)
    found: dict[str, Any] = {"batch": BATCH, "environment": environment_facts({"target": "CPU"})}
    for what in WHATS:
        turns = {name: shlex.join([*command, what]) for name, command in commands.items()}
        found[what] = summarize_turns(pace_programs(turns, given.rounds))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", required=True, metavar="PYTHON")
    parser.add_argument("--authors", required=True, type=Path, metavar="VENV")
    parser.add_argument("--first", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--published", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--older", required=True, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=TURNS)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE")
    given = parser.parse_args()
    found = by_stack(given)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
