"""What the boot file starts in tests: writes what it was given into a run folder, then does what $DOES says.

$DOES is an exit code or ``kill``.
"""

import json
import os
import signal
import sys
from pathlib import Path

SEEN = ("RANK_ID", "RANK_SIZE", "DEVICE_ID", "RANK_TABLE_FILE", "MS_ROLE", "MS_SCHED_HOST")

options = dict(option.removeprefix("--").partition("=")[::2] for option in sys.argv[1:])
rank, does = os.environ.get("RANK_ID", "0"), os.environ.get("DOES", "0")
run, data = Path(options["save_checkpoint_path"], "run"), Path(options["data_path"])
run.mkdir(parents=True, exist_ok=True)

seen = {
    "options": options,
    "environment": {name: os.environ.get(name) for name in SEEN},
    "data": sorted(path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()),
}
if os.environ.get("MS_ROLE") != "MS_SCHED":
    (run / f".rank_{rank}.json").write_text(json.dumps(seen))
    (run / f".rank_{rank}.json").rename(run / f"rank_{rank}.json")
if does == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(does))
