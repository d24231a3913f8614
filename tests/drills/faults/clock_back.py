"""A training during which the clock steps back by an hour."""

import datetime
import sys
import time

from hlg import train
from hlg.record import run_folder
from tests.support.narrow import narrow

now, gmtime = time.time, time.gmtime
lines = 0


def earlier() -> float:
    """The time, an hour less after some lines of the log."""
    return now() - (3600 if lines > 75 else 0)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        global lines
        lines += 1
        return datetime.datetime.fromtimestamp(earlier(), tz)


if __name__ == "__main__":
    narrow()
    run_folder.datetime = Clock  # type: ignore[misc]
    time.time = earlier
    time.gmtime = lambda seconds=None: gmtime(earlier() if seconds is None else seconds)
    sys.exit(train.main())
