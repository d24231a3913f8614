"""Record a baseline: what repeated short runs gave on this machine, for `make check` to compare with.

    python -m repro.check.baseline build/baseline          # all runs in this folder; also: make baseline

Exit codes: 0 written, 2 the runs make no baseline.
"""

from collections.abc import Sequence
from pathlib import Path

from repro.check.baselines import Baseline, make_baseline, write_baseline
from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.files import pointed_path
from repro.records.run_folder import read_folders, read_runs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.check.baseline", description="Keep what these runs gave.")
    parser.add_argument(
        "runs", metavar="FOLDER", nargs="+", type=Path, help="one folder of run folders, or run folders"
    )
    parser.add_argument("--out", type=Path, default=Path("results/baselines"), help="folder of the baselines")
    options = parser.parse_args(argv)
    try:
        one = len(options.runs) == 1 and not (pointed_path(options.runs[0]) / "config.yml").exists()
        runs, unfinished = read_runs(options.runs[0]) if one else read_folders(options.runs)
        if unfinished:
            folder = unfinished[0]
            raise ReproError(f"{folder}: not finished; remove it, or finish it: make train RESUME={folder}")
        baseline = make_baseline(runs, options.out)
        write_baseline(baseline)
    except (ReproError, OSError) as error:
        tell_error(error)
        return 2
    tell(_describe(baseline))
    return 0


def _describe(baseline: Baseline) -> str:
    """Describe a baseline in lines for a terminal."""
    kept = {
        "losses": f"{len(baseline.losses)} steps, the same in {len(baseline.runs)} runs",
        "accuracy": f"{baseline.top1_pct:.3f} % of {baseline.images} images",
        "speed": f"a step takes {baseline.fastest:.2f} to {baseline.slowest:.2f} calibrations "
        f"(n = {len(baseline.speeds)} runs)",
        "band": "none: in another environment losses can be the same, or not be compared",
    }
    if baseline.band:
        how = "; ".join(baseline.band.variants)
        kept["band"] = f"losses part by up to {baseline.band.losses[-1]:.3g} where rounding differs ({how})"
    return "\n".join([str(baseline.path), *(f"  {name}: {text}" for name, text in kept.items())])


if __name__ == "__main__":
    run_tool(main)
