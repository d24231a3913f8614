"""Export a checkpoint for use elsewhere: as MINDIR, ONNX or safetensors.

python -m hlg.export --config_path configs/hlg_export.yml --pretrained hlg_mobile.ckpt --file_name hlg_mobile.mindir

As published, an exported network takes normalized images, float32 (batch_size, 3, S, S), and gives logits. The file is
loaded again in a fresh process and compared with the network on images before it gets its name.
"""

from collections.abc import Sequence
from importlib.util import find_spec

from hlg import cli
from hlg.checkpoint.locate import find_checkpoint
from hlg.config import Config
from hlg.errors import UserError
from hlg.runtime.engine import check_start
from hlg.signals import run_main


def _work(config: Config, *_: object) -> None:
    needed = ("onnx", "onnxruntime") if config.file_format == "ONNX" else ()
    if missing := [name for name in needed if not find_spec(name)]:
        raise UserError(f"file_format: ONNX needs {' and '.join(needed)}: pip install {' '.join(missing)}")
    path = find_checkpoint(config.pretrained)
    check_start(config)
    from hlg.inference.export import export  # here, because MindSpore takes seconds to import

    export(config, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    return cli.run_program(_work, argv, unread=("dataset_path",))


if __name__ == "__main__":
    run_main(main)
