"""Train the authors' own code, as it is, on the stack of their evaluation, on this CPU: `make published`.

    python -m repro.authors --published models/research/cv/hlg --python39 python3.9 --repeat 5

The folder is theirs, of a clone; nothing of it is in this repository. Finished repetitions are not repeated. Exit
codes: 0 done, 2 a mistake, or a program that fails, 130 Ctrl-C, 143 SIGTERM.
"""

from collections.abc import Sequence

from repro.authors.options import BUILD, KEEPS, RECIPE, add_options, job_of
from repro.authors.trainings import draw_data, repeat_theirs
from repro.errors import CommandParser, resumable, run_tool, tell
from repro.markdown import columns

HEADER = ("repetition", "top-1", "last loss", "code")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.authors", description=__doc__.splitlines()[0])
    options = add_options(parser).parse_args(argv)

    def work() -> int:
        job = job_of(options, BUILD / "authors")
        draw_data(RECIPE)
        done = repeat_theirs(job, options.repeat)
        rows = [(str(it.folder), f"{it.top1_pct:.2f} %", f"{it.losses[-1]:.3f}", job.code.words) for it in done]
        tell(columns([HEADER, *rows]))
        return 0

    return resumable(work, KEEPS)


if __name__ == "__main__":
    run_tool(main)
