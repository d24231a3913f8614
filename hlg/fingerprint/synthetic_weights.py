"""Give a network the synthetic weights."""

from collections.abc import Mapping

from mindspore import Parameter, Tensor, nn

from hlg.checkpoint.weights import published_name
from hlg.fingerprint.synthetic import SALT, draw_parameter


def set_synthetic_weights(network: nn.Cell, salt: str = SALT) -> None:
    """Give every parameter of ``network``, moving statistics included, its synthetic value."""
    set_parameters({published_name(p.name): p for p in network.get_parameters()}, salt)


def set_parameters(parameters: Mapping[str, Parameter], salt: str = SALT) -> None:
    """The same for parameters by their published names, whatever they are called by now."""
    for name, p in parameters.items():
        p.set_data(Tensor(draw_parameter(name, tuple(p.shape), salt)))
