"""Print the known releases of MindSpore and what belongs to each: `make stacks`."""

from repro.errors import CommandParser, run_tool, tell
from repro.markdown import columns
from repro.stacks.table import HEADER, stack_rows


def main() -> int:
    """Run the program and return its exit code."""
    CommandParser(prog="python -m repro.stacks", description="Known releases of MindSpore.").parse_args()
    tell(columns([HEADER, *stack_rows()]))
    tell("Choose one on any target: make tiny MINDSPORE=2.7.0")
    return 0


if __name__ == "__main__":
    run_tool(main)
