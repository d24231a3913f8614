"""Which engine started this process, as its environment variables say."""

import re
from unittest.mock import Mock

import pytest

from hlg.config import Config
from hlg.errors import UserError
from hlg.runtime.device import start
from hlg.runtime.engine import Engine, engine

TABLE, MPI = {"RANK_TABLE_FILE": "/hccl.json"}, "OMPI_COMM_WORLD"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (TABLE, None),  # exported for other jobs of the shell
        ({"MS_ROLE": "MS_WORKER", "MS_WORKER_NUM": "8", "DEVICE_ID": "3"}, Engine("msrun", 8, 3)),
        ({**TABLE, "RANK_ID": "11", "RANK_SIZE": "16", "DEVICE_ID": "3"}, Engine("RANK_TABLE_FILE", 16, 3)),
        ({f"{MPI}_SIZE": "8", f"{MPI}_RANK": "5", f"{MPI}_LOCAL_RANK": "1"}, Engine("mpirun", 8, 1)),
    ],
)
def test_the_engine_is_known_by_its_variables(environment: dict[str, str], expected: Engine | None) -> None:
    assert engine(environment) == expected


def test_a_distributed_run_without_an_engine_is_refused_and_told_how_to_start() -> None:
    with pytest.raises(UserError, match=r"started alone.*make train-gpu8.*msrun or mpirun"):
        start(Config(run_distribute=True))


def test_ranks_that_would_each_train_alone_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "8")
    with pytest.raises(UserError, match="run_distribute: found 0, but mpirun started 8 ranks"):
        start(Config(run_distribute=False))


def test_a_driver_that_is_too_old_is_one_line_with_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "The cudaGetLastError[35], CUDA driver version is insufficient for CUDA runtime version"
    # What MindSpore 2.10.0 says where libcuda is a stub.
    said = f"\n-----\n- Cuda error:\n-----\n{words}\n\n-----\n- C++ Call Stack: (For developers)\n"
    monkeypatch.setattr("hlg.runtime.device.ms.set_device", lambda target, number: None)
    monkeypatch.setattr("hlg.runtime.device.ms.device_context.gpu.device_count", Mock(side_effect=RuntimeError(said)))
    with pytest.raises(UserError, match=rf"^.*can't use on this machine \({re.escape(words)}\); set device_target.*\Z"):
        start(Config(device_target="GPU"))
