"""Hash the images of a split, and say what the hash covers.

| kind               | covers                                                         | of                            |
| ------------------ | -------------------------------------------------------------- | ----------------------------- |
| content            | every byte of every image                                      | a set that is quickly read    |
| files-sizes-sample | path and size of every image, every byte of SAMPLE of them     | a larger one, as ImageNet is  |
| files-sizes        | path and size of every image                                   | a run from before the others  |

The first two are made anew at every start. The sample is the same at every start: of SAMPLE equal stretches of the list
of images, one image each, drawn by a hash of the stretch's number. So images that were replaced by others of the same
size are noticed if the sample holds one of them: all but one time in 30,000 if it was every hundredth image.

`make imagenet-verify` reads every byte of a large set once, and keeps its content hash in the report beside the splits.
A run records that hash as `verified_content` while the report is of the hash that the run itself finds.
"""

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from hlg.data.index import REPORT, SPLITS, ImageIndex
from hlg.errors import UserError
from hlg.files import parse_json, read_plain

SAMPLE = 1024  # images
WHOLE_BYTES, WHOLE_FILES = 2**30, 20_000  # a split of at most so much is hashed whole: within a second, once in memory
THREADS = 8  # which also hide how long a network disk takes to answer
TOGETHER = 32  # images that a thread takes at once


def dataset_hash(index: ImageIndex) -> str:
    """Hash a split by its content or, where it is large, by its names, sizes and a sample; the prefix says which.

    Raises:
        UserError: a file is gone or unreadable.
    """
    return _hashes(index)["hash"]


def split_facts(index: ImageIndex) -> dict[str, str | int]:
    """Describe a split for a run's ``env.json``: where it is, how many images of how many classes, and its hashes.

    ``report`` is the hash of imagenet-verify's report on these images.

    Raises:
        UserError: a file is gone or unreadable.
    """
    found = _hashes(index)
    return {
        "path": str(index.root),
        "images": len(index.files),
        "classes": len(index.classes),
        **found,
        **_report_facts(index, found["hash"]),
    }


def content_hash(digests: Mapping[str, str]) -> str:
    """Hash the SHA-256 of files by their paths: what ``sha256sum`` of the sorted lines of ``sha256sum`` gives."""
    lines = sorted(f"{digest}  {path}\n" for path, digest in digests.items())
    return _sha256("".join(lines))


def split_content_hash(index: ImageIndex, digests: Sequence[str]) -> str:
    """Hash the content of a split, given the SHA-256 of its images in order.

    Where its folder is called train or val, the paths begin with that, as in the manifest of a tiny data set.
    """
    name = index.root.resolve().name
    prefix = f"{name}/" if name in SPLITS else ""
    return content_hash({f"{prefix}{file}": digest for file, digest in zip(index.files, digests, strict=True)})


def _hashes(index: ImageIndex) -> dict[str, str]:
    """The hash of a split, and the one that runs had before there were others, under which they can be resumed."""
    root, sizes = str(index.root), []  # a Path each would be slow for 1.28 million
    for file in index.files:
        try:  # asked of the disk every time: no folder knows of a file that was rewritten in place
            sizes.append(os.stat(f"{root}/{file}").st_size)  # noqa: PTH116
        except OSError as error:
            raise UserError(f"{root}/{file}: cannot be read: {error.strerror}") from None
    lines = "".join([f"{size}  {file}\n" for file, size in sorted(zip(index.files, sizes, strict=True))])
    names_sizes = _sha256(lines)
    if is_quickly_read(sizes):
        own = f"content:sha256:{split_content_hash(index, file_digests(root, index.files))}"
    else:
        files = [index.files[k] for k in sample_positions(len(index.files))]
        sample = content_hash(dict(zip(files, file_digests(root, files), strict=True)))
        own = f"files-sizes-sample:sha256:{_sha256(f'{names_sizes}  {sample}')}"
    return {"hash": own, "files_sizes": f"files-sizes:sha256:{names_sizes}"}


def sample_positions(count: int) -> list[int]:
    """Choose SAMPLE of ``count`` places, or all: one in each of equal stretches, by a hash of the stretch's number."""
    number = min(SAMPLE, count)
    ends = [k * count // number for k in range(number + 1)]
    drawn = (int.from_bytes(hashlib.sha256(str(k).encode()).digest()[:8]) for k in range(number))
    return [ends[k] + n % (ends[k + 1] - ends[k]) for k, n in enumerate(drawn)]


def is_quickly_read(sizes: Collection[int]) -> bool:
    """Tell whether files of these sizes can be read whole at every start."""
    return sum(sizes) <= WHOLE_BYTES and len(sizes) <= WHOLE_FILES


def file_digests(root: str, files: Sequence[str]) -> list[str]:
    """Compute the SHA-256 of files, in threads: reading and hashing release the interpreter lock.

    Raises:
        UserError: a file is gone or unreadable.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        starts = range(0, len(files), TOGETHER)
        parts = pool.map(lambda at: [_digest(f"{root}/{file}") for file in files[at : at + TOGETHER]], starts)
        return [digest for part in parts for digest in part]


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(read_plain(path, WHOLE_BYTES)).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _sha256(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def _report_facts(index: ImageIndex, own: str) -> dict[str, str]:
    """The hash of imagenet-verify's report beside the split, and the hash of all content in it, if it fits."""
    root = index.root.resolve()
    try:
        content = read_plain(root.parent / REPORT)
        told = parse_json(content.decode())["splits"][root.name]
        if told["hash"] != own:
            return {}  # of other images, or by an older version
        report = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return {"report": report, **({"verified_content": told["content"]} if told["content"] else {})}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # not there, or damaged
