"""A rank or scheduler that does what a test says: ``0:wait 1:fail s:deaf``; without a word for it, it ends well.

It tells its pid only when its signal handlers are set. The scheduler ends when all ranks are over, as MindSpore's does.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

OUT = Path(os.environ["OUT"])
RANK = "s" if os.environ.get("MS_ROLE") == "MS_SCHED" else os.environ.get("RANK_ID", "0")
NAME = "scheduler" if RANK == "s" else f"rank_{RANK}"
WORDS = dict(word.split(":") for word in sys.argv[1:] if not word.startswith("--"))
TODO = WORDS.get(RANK, "")
END_AT = time.monotonic() + 60


def end(code: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (OUT / f"{NAME}.over").touch()
    sys.exit(code)


def on_signal(number: int, frame: FrameType | None) -> None:
    with (OUT / f"{NAME}.signals").open("a") as file:
        print(signal.Signals(number).name, file=file)
    if TODO == "broken":
        print("error: last.ckpt: No space left", file=sys.stderr)
        end(2)
    if TODO != "deaf" and RANK != "s":
        end({signal.SIGTERM: 75, signal.SIGINT: 130}[signal.Signals(number)])


def wait_until(*files: str) -> None:
    while time.monotonic() < END_AT and not all((OUT / file).exists() for file in files):
        time.sleep(0.02)


if TODO != "unready":
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
if TODO in ("parent", "daemon"):
    left = subprocess.Popen(["sleep", "60"], start_new_session=TODO == "daemon", stdout=-3, stderr=-3)
    (OUT / "grandchild.pid").write_text(str(left.pid))
if RANK == "0":
    (OUT / "run/checkpoints").mkdir(parents=True, exist_ok=True)
    (OUT / "run/checkpoints/last.ckpt").touch()
    Path(os.environ["HLG_RANK_LOGS"], "run_folder").write_text(f"{OUT / 'run'}\n")
print(NAME, *sys.argv[1:])
(OUT / f".{NAME}").write_text(str(os.getpid()))
(OUT / f".{NAME}").rename(OUT / f"{NAME}.pid")

wait_until("rank_0.over" if RANK != "0" and WORDS.get("0", "").isdigit() else "rank_0.pid")  # whoever is faster
if TODO in ("fail", "mute"):
    print("a library's last words")
    sys.exit({"fail": 1, "mute": 2}[TODO])
if TODO == "75":
    end(75)
if TODO.isdigit():
    print(f"error: key {NAME}: found nothing", file=sys.stderr)
    print("a line of a library at its end")
    end(int(TODO))
if TODO not in ("", "daemon"):
    wait_until("never")
if RANK == "s":
    wait_until(*(f"rank_{i}.over" for i in range(int(os.environ["RANK_SIZE"]))))
end(0)
