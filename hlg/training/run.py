"""A training run from its data to the seal of its folder, new or resumed."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hlg.checkpoint import resume, store
from hlg.checkpoint.resume import Resumption
from hlg.config import Config, dump
from hlg.console import say
from hlg.data.hashes import split_facts
from hlg.data.index import ImageIndex, scan
from hlg.data.streams import shuffle_labels
from hlg.errors import UserError
from hlg.files import write_atomic
from hlg.model.layers import parameter_count
from hlg.record.environment import environment_facts
from hlg.record.journal import TIME_OF_DAY, Journal
from hlg.record.run_folder import NoFolder, RunFolder, link_latest
from hlg.runtime import collective, device
from hlg.runtime.calibration import calibration_definition
from hlg.runtime.watchdog import Watchdog
from hlg.signals import StopRequest
from hlg.training.job import Job, describe_batch
from hlg.training.trainer import Trainer


def run_training(config: Config, stem: str, stop: StopRequest) -> None:
    """Train as ``config`` says and keep a run folder; ``stem`` names the recipe."""
    on = device.start(config)
    who = f"rank {on.rank}" if on.count > 1 else "the run"
    with Watchdog(config.stall_timeout, who) as watchdog, collective.detect_lost_ranks(on.rank, on.count):
        watchdog.expect(f"the lists of images, {config.dataset_path} and {config.eval_path}")
        train_index, eval_index = _read_indices(config)
        dataset = {"train": split_facts(train_index), "eval": split_facts(eval_index)}
        resumed = resume.find_resumption(config, on.facts(), dataset, train_index) if config.resume else None
        if resumed:
            job = Job(config, on, train_index, eval_index, resumed.state.step, resumed.classes)
            _restore(resumed, job)
        else:
            job = Job(config, on, train_index, eval_index)
        watchdog.expect("the parameters of rank 0")
        _broadcast_parameters(job)
        with _open_folder(job, resumed, stem) as run:
            steps = job.steps_per_epoch
            journal = Journal(
                run, steps, job.global_batch, config.log_interval, _say_above_bar, target_top1=config.target_top1
            )
            trainer = Trainer(job, journal, stop, watchdog)
            watchdog.expect("the compilation of the graphs")
            if resumed:
                _resume_records(job, journal, resumed)
            else:
                _start_records(job, journal, stem, dataset)
            trainer.fit()
            skipped = job.skipped()
            for name in skipped:
                journal.line(f"skipped, unreadable: {name}")
            journal.end(len(skipped))
            watchdog.expect("the seal of the run folder")
    if on.rank == 0:
        say(f"run folder: {run.path}")


def _say_above_bar(line: str) -> None:
    with tqdm.external_write_mode():
        say(line)


def _read_indices(config: Config) -> tuple[ImageIndex, ImageIndex]:
    """List the images to train on and those to evaluate."""
    train_index = scan(config.dataset_path, config.class_num)
    eval_index = scan(config.eval_path, config.class_num)
    if config.shuffle_labels:
        labels = shuffle_labels(train_index.labels, config.seed)
        train_index = dataclasses.replace(train_index, labels=labels)
    return train_index, eval_index


def _restore(resumed: Resumption, job: Job) -> None:
    """Set network, optimizer and loaders to what the checkpoint holds."""
    if job.start > job.config.max_epoch * job.steps_per_epoch:
        raise UserError(
            f"resume: {resumed.run} has done {job.start} steps, more than max_epoch {job.config.max_epoch} asks for: "
            "set a higher one"
        )
    store.restore_checkpoint(resumed.path, job.parameters())
    for loader in (job.train_loader, job.eval_loader):
        loader.remember(resumed.state.skipped)


def _broadcast_parameters(job: Job) -> None:
    """Give every rank the parameters of rank 0, and check that all of them start at the same step."""
    collective.broadcast(job.parameters(), job.on.count)
    if collective.sum_over_ranks([job.start], job.on.count)[0] != job.start * job.on.count:
        raise UserError(
            f"resume: rank {job.on.rank} found a checkpoint at step {job.start}, another rank a different one: "
            "all machines must share the run folder"
        )


def _open_folder(job: Job, resumed: Resumption | None, stem: str) -> RunFolder:
    """Create or reopen the run folder; rank 0 alone writes one."""
    if job.on.rank > 0:
        return NoFolder("train")
    if resumed:
        state, stem = resumed.state, resumed.env["recipe"]
        run = RunFolder.reopen(resumed.run, "train", state.log_bytes, state.metrics_bytes)
        store.rewind(run.path / "checkpoints", resumed.path)
    else:
        run = RunFolder.create(job.config.save_checkpoint_path, "train", stem, job.on.target, job.on.count)
    link_latest(run.path, stem)
    if logs := os.environ.get("HLG_RANK_LOGS"):  # of the launcher, which tells how to resume after a fault
        write_atomic(Path(logs, "run_folder"), os.fsencode(run.path))
    return run


def _start_records(job: Job, journal: Journal, stem: str, dataset: dict[str, Any]) -> None:
    """Record what a new run starts from, and compile."""
    run, c = journal.run, job.config
    train_index, eval_index = job.train_loader.index, job.eval_loader.index
    kept = environment_facts(
        job.on.facts(),
        kind=run.kind,
        recipe=stem,
        seed=c.seed,
        parameters=parameter_count(job.network),
        dataset=dataset,
        classes=list(train_index.classes),
        pretrained=job.loaded and job.loaded.facts(),
        **({"calibration": calibration_definition(c.device_target)} if c.calibration_interval else {}),
    )
    run.write("config.yml", dump(c))
    run.write("env.json", run.with_patch(kept))
    notes = (*train_index.warnings, *eval_index.warnings, *job.class_notes)
    batch = describe_batch(c.batch_size, job.on.count, len(train_index.classes))
    for message in (*notes, str(job.loaded or "weights: random"), batch):
        journal.line(message)
    journal.line("Args:")
    for key, value in dataclasses.asdict(c).items():
        journal.line(f"--> {key}: {value}")
    journal.line("")
    run.event(
        "start",
        time=_utc_now(),
        steps_per_epoch=job.steps_per_epoch,
        epochs=c.max_epoch,
        ranks=job.on.count,
        global_batch=job.global_batch,
        train_images=len(train_index.files),
        eval_images=len(eval_index.files),
    )
    compile_time_s, use = job.compile()
    if use.trouble:
        journal.line(use.trouble)
    if use.from_cache:
        journal.line("graphs: compiled by an earlier run")
    journal.line(f"compile time used={compile_time_s:.2f}s")
    run.event("compile", compile_time_s=compile_time_s, from_cache=use.from_cache)
    journal.begin()


def _resume_records(job: Job, journal: Journal, resumed: Resumption) -> None:
    """Compile, continue the records where the checkpoint left them, and record that the run was resumed."""
    state = resumed.state
    compile_time_s, use = job.compile()
    journal.restore(resumed.events)
    journal.begin(state.elapsed_s)
    if job.on.rank > 0:
        return
    run = journal.run
    now = run.with_patch(environment_facts(job.on.facts(), kind=run.kind, seed=job.config.seed))
    was = resumed.env
    other = [
        f"{key} {was.get(key)} -> {now.get(key)}"
        for key in ("commit", "source_sha256", "python", "packages", "cpu")
        if was.get(key) != now.get(key)
    ]
    epoch, left = divmod(state.step, state.steps_per_epoch)
    run.write("config.yml", dump(dataclasses.replace(job.config, resume="", resume_changed=False)))
    resumptions = [*was.get("resumed", []), {**now, "at_step": state.step}]
    run.write("env.json", {**was, "classes": list(job.train_loader.index.classes), "resumed": resumptions})
    journal.line(
        f"resumed at step {state.step} (epoch {epoch}, {left} of its {state.steps_per_epoch} steps done) from "
        f"{resumed.path.name}; {run.cut_steps} steps after it are run again; compiled in {compile_time_s:.2f}s"
    )
    for note in job.class_notes:
        journal.line(note)
    for change in resumed.changed:
        journal.line(f"resumed with a change: {change}")
    for change in other:
        journal.line(f"resumed in a different environment; results may not be bit-identical: {change}")
    run.event(
        "resume",
        time=_utc_now(),
        step=state.step,
        epoch=epoch,
        checkpoint=resumed.path.name,
        repeated_steps=run.cut_steps,
        changed=list(resumed.changed),
        compile_time_s=compile_time_s,
        from_cache=use.from_cache,
    )


def _utc_now() -> str:
    """The time of day, such as 2026-01-31T23:59:59Z; but for those across interruptions, no duration is made of it."""
    return time.strftime(TIME_OF_DAY, time.gmtime())
