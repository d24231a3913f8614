"""How a peer takes its turns for repro.bench.pacing."""

import sys
import time


def take_turns(repeat):
    """Once warm, answer every line of standard input with the seconds of a repetition."""
    repeat()
    repeat()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        repeat()
        print(time.perf_counter() - start, flush=True)
