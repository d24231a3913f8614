"""Train the authors' own code, as it is, on the stack of their evaluation, on this CPU: `make published`.

    python -m repro.authors --published models/research/cv/hlg --python39 python3.9 --repeat 5

The folder is theirs, of a clone; nothing of it is in this repository. Finished repetitions are not repeated. Exit
codes: 0 done, 2 a mistake, or a program that fails, 130 Ctrl-C.
"""

import sys
from collections.abc import Sequence

from repro.authors.options import BUILD, RECIPE, add_options, job_of
from repro.authors.trainings import draw_data, repeat_theirs
from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.markdown import columns

HEADER = ("repetition", "top-1", "last loss", "code")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.authors", description=__doc__.splitlines()[0])
    options = add_options(parser).parse_args(argv)
    try:
        job = job_of(options, BUILD / "authors")
        draw_data(RECIPE)
        done = repeat_theirs(job, options.repeat)
    except ReproError as error:
        tell_error(error)
        return 2
    except OSError as error:
        tell_error(f"{error.filename}: {error.strerror}; what is finished is kept, type it again when this is mended")
        return 2
    except KeyboardInterrupt:
        tell("stopped by Ctrl-C: finished repetitions are kept, the one that ran is lost", file=sys.stderr)
        return 130
    rows = [(str(it.folder), f"{it.top1_pct:.2f} %", f"{it.losses[-1]:.3f}", job.code.words) for it in done]
    tell(columns([HEADER, *rows]))
    return 0


if __name__ == "__main__":
    run_tool(main)
