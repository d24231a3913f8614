"""What tests of several rooms share: a very small data set."""

from pathlib import Path

import pytest

from hlg.data.tiny.make import TinyRequest, make_tiny


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes with three drawn images each, in train/ and in val/. A test that changes it makes its own."""
    out = tmp_path_factory.mktemp("tiny") / "data"
    make_tiny(out, TinyRequest(classes=3, train=3, val=3))
    return out
