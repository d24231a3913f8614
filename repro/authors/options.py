"""The options that both programs of this room have."""

import argparse
from pathlib import Path

from repro.authors.checkout import recognize
from repro.authors.repetition import AuthorsJob
from repro.authors.stack import build_stack
from repro.errors import ReproError, tell

BUILD = Path("build/reproduce")
RECIPE = Path("configs/reproduce.yml")
VENV = Path(".venv-authors")
KEEPS = "finished trainings are kept, and the next call trains the rest"


def add_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add what says which code is trained, on which Python and how often."""
    parser.add_argument("--published", metavar="FOLDER", type=Path, help="the authors' code: models/research/cv/hlg")
    parser.add_argument("--python39", metavar="PYTHON", default="python3.9", help="(%(default)s)")
    parser.add_argument("--repeat", metavar="N", default="5", help="trainings of the authors' code (%(default)s)")
    return parser


def job_of(options: argparse.Namespace, runs: Path) -> AuthorsJob:
    """Check the options, and build the environment.

    Raises:
        ReproError: one of them is wrong, or the environment can't be built.
    """
    if not options.repeat.isdecimal() or not 1 <= int(options.repeat) <= 1000:
        raise ReproError(f"--repeat: found {options.repeat!r}; allowed: 1 to 1000")
    options.repeat = int(options.repeat)
    if not options.published or not str(options.published):
        raise ReproError("--published: found nothing; name the authors' code: PUBLISHED=models/research/cv/hlg")
    code = recognize(options.published)
    tell(f"{options.published}: {code.words}")
    return AuthorsJob(code, build_stack(VENV, options.python39), RECIPE, runs)
