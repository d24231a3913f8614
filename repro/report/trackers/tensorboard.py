"""Write a run for TensorBoard: a folder with an event file of scalars, hyper-parameters and a text of the environment.

A new export takes the place of the older one; a TensorBoard that is open has to be started again to see it.
"""

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from repro.markdown import grid, md
from repro.report.trackers.places import replaced_entries
from repro.report.trackers.tracked import TrackedRun

_OURS = ".hlg"  # ends the name of an event file that we wrote, and may remove
_QUEUE = 1000  # events that wait for the thread which writes


def write(run: TrackedRun, out: Path) -> Path:
    """Write the run below `out`; return its folder."""
    with replaced_entries(out / run.name, f"*{_OURS}") as folder:
        writer = EventFileWriter(str(folder), max_queue_size=_QUEUE, filename_suffix=_OURS)
        rows = [(md(key), md(value)) for key, value in run.facts.items()]
        text = text_pb("environment", "\n".join(grid(("Fact", "Value"), rows)))
        hparams = hparams_pb(dict(run.hyperparameters), trial_id=run.name, start_time_secs=run.started_s)
        for summary in (text, hparams):
            writer.add_event(Event(wall_time=run.started_s, step=0, summary=summary))
        for point in run.points():
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in point.values.items()]
            writer.add_event(Event(wall_time=point.time_s, step=point.step, summary=Summary(value=values)))
        writer.close()
    return out / run.name
