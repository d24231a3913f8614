"""Load batches of images for training and evaluation, in plain Python threads.

Why not MindSpore's own pipeline:
- every random choice is a function of (seed, epoch, index in the data set), see hlg.data.streams, so batches
  are the same bit for bit whatever the number of workers, and after a restart in mid-epoch; MindSpore's
  operators draw from per-worker generators and differ between one worker and two;
- an error stays ours: it names the file, or the file is skipped and counted;
- MindSpore refuses more workers than the machine has cores, and the published configuration asks for 14.

libjpeg-turbo and OpenCV work without the interpreter lock, so threads are enough, and they write straight into
the batch. They only produce uint8: normalization and mixup belong to the step.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from hlg.data.augment import eval_image, train_image
from hlg.data.decode import UnreadableImageError, open_rgb
from hlg.data.index import ImageIndex
from hlg.data.streams import epoch_order, image_generator
from hlg.errors import UserError

NEEDED = "needed"  # for on_unreadable: every image must be read, and no setting can change that
BATCHES_AHEAD = 4  # batches under way at once, including the one that is waited for


@dataclass(frozen=True, eq=False)
class Batch:
    """B images of S x S pixels. A slot without an image, padding or a skipped file, has label -1."""

    images: np.ndarray  # (B, S, S, 3) uint8, RGB; zeros where there is no image
    labels: np.ndarray  # (B,) int32
    indices: np.ndarray  # (B,) int64, place in the data set; -1 for padding


FillJob = tuple[Batch, Callable[[int], None]]  # an empty batch, and what fills one of its slots


class _Loader:
    """The common part of both loaders: opening files, empty batches, and threads that fill them in order."""

    def __init__(
        self,
        index: ImageIndex,
        image_size: int,
        batch_size: int,
        workers: int,
        on_unreadable: str,
        shard: tuple[int, int],
    ) -> None:
        self.index = index
        self.image_size, self.batch_size, self.workers = image_size, batch_size, workers
        self.rank, self.ranks = shard
        self.on_unreadable = on_unreadable
        self._skipped: set[str] = set()
        self._lock = threading.Lock()

    def remember(self, skipped: Iterable[str]) -> None:
        """Count files that an earlier part of the run left out as skipped too."""
        with self._lock:
            self._skipped.update(set(skipped) & set(self.index.files))

    @property
    def skipped(self) -> list[str]:
        """The files that were skipped so far, relative to the data set's root."""
        with self._lock:
            return sorted(self._skipped)

    def __iter__(self) -> Iterator[Batch]:
        return self.stream()

    def stream(self) -> Generator[Batch, None, None]:
        """Yield the batches; closing the generator stops the threads."""
        return _filled_in_order(self._jobs(), self.workers)

    def _jobs(self) -> Iterator[FillJob]:
        raise NotImplementedError

    def _empty_batch(self, indices: np.ndarray) -> Batch:
        size = self.image_size
        images = np.zeros((self.batch_size, size, size, 3), np.uint8)
        return Batch(images, np.full(self.batch_size, -1, np.int32), indices)

    def _open(self, i: int) -> np.ndarray | None:
        """Decode image `i`; None if it is unreadable and to be skipped, otherwise UserError names the file."""
        name = self.index.files[i]
        try:
            return open_rgb(self.index.root / name)
        except UnreadableImageError as error:
            if self.on_unreadable != "skip":
                advice = "replace or remove the file" + (
                    ", or set on_unreadable=skip to continue without it" if self.on_unreadable == "error" else ""
                )
                raise UserError(f"{self.index.root / name}: cannot be read as an image ({error}): {advice}") from error
            with self._lock:
                self._skipped.add(name)
            return None


class TrainLoader(_Loader):
    """Augmented training batches: iterating gives the steps `start_step` to `total_steps` - 1 of a run.

    `shard` is (rank, number of ranks). A step takes the next ranks * batch_size images of the epoch's order,
    each rank its slice of them; what is left at an epoch's end is dropped. The images of a step, their order
    and their augmentation thus depend only on the global batch size. With on_unreadable="skip" the next
    readable image of the data set takes the place of an unreadable one.

    Raises:
        UserError: the data set is smaller than one step; while iterating, a file is unreadable.
    """

    def __init__(
        self,
        index: ImageIndex,
        *,
        image_size: int,
        batch_size: int,
        crop_min: float,
        autoaugment: bool,
        seed: int,
        workers: int,
        total_steps: int,
        start_step: int = 0,
        on_unreadable: str = "error",
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__(index, image_size, batch_size, workers, on_unreadable, shard)
        self.crop_min, self.autoaugment, self.seed = crop_min, autoaugment, seed
        count, global_batch = len(index.files), self.ranks * batch_size
        if count < global_batch:
            raise UserError(
                f"{index.root}: {count} training images are fewer than one step takes, {global_batch} "
                f"({self.ranks} x batch_size {batch_size}): lower batch_size to {count // self.ranks} or less"
            )
        self.steps_per_epoch = count // global_batch
        self._steps = range(start_step, total_steps)

    def __len__(self) -> int:
        return len(self._steps)

    def _jobs(self) -> Iterator[FillJob]:
        shown, order = -1, np.empty(0, np.int64)
        for step in self._steps:
            epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
            if epoch != shown:
                shown, order = epoch, epoch_order(self.seed, epoch, len(self.index.files))
            start = (step_of_epoch * self.ranks + self.rank) * self.batch_size
            batch = self._empty_batch(order[start : start + self.batch_size])
            yield batch, partial(self._fill, batch, epoch)

    def _fill(self, batch: Batch, epoch: int, slot: int) -> None:
        wanted, count = int(batch.indices[slot]), len(self.index.files)
        for offset in range(count):
            i = (wanted + offset) % count
            image = self._open(i)
            if image is not None:
                rng = image_generator(self.seed, epoch, i)
                batch.images[slot] = train_image(image, rng, self.image_size, self.crop_min, self.autoaugment)
                batch.labels[slot] = self.index.labels[i]
                batch.indices[slot] = i
                return
        raise UserError(f"{self.index.root}: none of its {count} images can be read")


class EvalLoader(_Loader):
    """Evaluation batches: every image once and in order, resized and cropped as for the published accuracy.

    The last batches are padded, so that all ranks of `shard` (rank, number of ranks) have equally many; with
    on_unreadable="skip" an unreadable file leaves its slot without an image.

    Raises:
        UserError: while iterating, a file is unreadable.
    """

    def __init__(
        self,
        index: ImageIndex,
        *,
        image_size: int,
        batch_size: int,
        workers: int,
        on_unreadable: str = "error",
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__(index, image_size, batch_size, workers, on_unreadable, shard)

    def __len__(self) -> int:
        return -(-len(self.index.files) // (self.ranks * self.batch_size))

    def _jobs(self) -> Iterator[FillJob]:
        for step in range(len(self)):
            start = (step * self.ranks + self.rank) * self.batch_size
            indices = np.arange(start, start + self.batch_size)
            batch = self._empty_batch(np.where(indices < len(self.index.files), indices, -1))
            yield batch, partial(self._fill, batch)

    def _fill(self, batch: Batch, slot: int) -> None:
        i = int(batch.indices[slot])
        image = self._open(i) if i >= 0 else None
        if image is not None:
            batch.images[slot] = eval_image(image, self.image_size)
            batch.labels[slot] = self.index.labels[i]


def _filled_in_order(jobs: Iterator[FillJob], workers: int) -> Generator[Batch, None, None]:
    """Fill the batches slot by slot in `workers` threads and yield them in order.

    An exception in a thread is raised here, when its batch is due. However the iteration ends (exhausted,
    closed, by an exception or Ctrl-C), what has not begun is canceled and no thread outlives it.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="images")
    under_way: deque[tuple[Batch, list[Future[None]]]] = deque()
    stopped = threading.Event()

    def fill_free_slots(fill: Callable[[int], None], free: Iterator[int]) -> None:
        # One future per thread: one per slot would cost more than all random choices about an image.
        for slot in free:
            if stopped.is_set():
                return
            fill(slot)

    def next_filled() -> Batch:
        batch, shares = under_way.popleft()
        for share in shares:
            share.result()
        return batch

    try:
        for batch, fill in jobs:
            free = iter(range(len(batch.indices)))  # shared: its next() is atomic under the interpreter lock
            shares = [pool.submit(fill_free_slots, fill, free) for _ in range(workers)]
            under_way.append((batch, shares))
            if len(under_way) == BATCHES_AHEAD:
                yield next_filled()
        while under_way:
            yield next_filled()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
