"""Storage that lacks what POSIX promises, for a test or for a program that imports no pytest."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable


def storage_without(setattr_: Callable[[object, str, object], object]) -> None:
    """Take symbolic links, locks, permissions, and the flushing of folders from the storage of this process.

    Each fails as on the storage that is known for it: vfat and SMB, Lustre, exFAT, CIFS and vboxsf.
    """
    fsync = os.fsync

    def fail(number: int) -> Callable[..., None]:
        def call(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        return call

    def fsync_files_alone(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    setattr_(os, "symlink", fail(errno.EPERM))
    setattr_(os, "chmod", fail(errno.EPERM))
    setattr_(fcntl, "flock", fail(errno.ENOSYS))
    setattr_(os, "fsync", fsync_files_alone)
