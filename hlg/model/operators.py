"""Operators of the network, each in the form that is fast on the device at hand.

On Ascend and GPU each is one or two operators of MindSpore, single kernels there. On a CPU an operator costs
what it reads and writes, so the cells for it define gradients of their own: these take fewer passes over a tensor than
those that MindSpore derives, and avoid its slow kernels. Both forms compute the same, up to rounding.

A cell with a gradient of its own also returns what the gradient needs again. Its inputs must have one type: a cast to
half precision that MindSpore puts inside such a cell would be missing from the gradient.

Shapes: M rows of C channels; B images, h heads of d channels, N queries, K keys.
"""

import math
from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops
from mindspore.ops import operations as P  # noqa: N812 (MindSpore's own name for them)
from mindspore.ops.operations import _grad_ops as G  # noqa: N812


def gelu() -> Any:
    """x -> GELU in its tanh form, ``x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))``, any shape."""
    if _on_cpu():
        return FusedGelu() if ms.get_context("enable_graph_kernel") else FirstResult(Gelu())
    return P.GeLU()


def affine() -> Any:
    """x (M, in), weight (out, in), bias (out,) -> x W^T + b (M, out)."""
    return Affine() if _on_cpu() else Projection()


def layer_norm(epsilon: float) -> Any:
    """x (..., C), gamma (C,), beta (C,) -> (..., C), normalized over the last axis."""
    return FirstResult(CpuLayerNorm(epsilon)) if _on_cpu() else FirstResult(P.LayerNorm(-1, -1, epsilon))


def attend() -> Any:
    """q (B, h, N, d), k (B, h, K, d), v (B, h, K, d) -> softmax(q k^T) v (B, h, N, d)."""
    return FirstResult(Attend())


def split_heads(count: int, channels: int) -> Any:
    """x (B, N, C), pairs of weight (C, C) and bias (C,) -> for each pair the projection of x by heads, (B, h, N, d)."""
    return Heads(count) if _on_cpu() and channels < JointHeads.WIDE else JointHeads(count)


def convolve(channels: int, kernel: int) -> Any:
    """x (B, C, H, W), weight (C, C, k, k) -> (B, C, H, W), with zeros beyond the border."""
    size = (kernel, kernel)  # MindSpore can't write ONNX when one number stands for both
    return Convolve(channels, size) if _on_cpu() else P.Conv2D(channels, size, pad_mode="pad", pad=kernel // 2)


def _on_cpu() -> bool:
    return ms.get_context("device_target") == "CPU"


class FirstResult(nn.Cell):
    """The first result of an operator that returns several."""

    def __init__(self, operator: Any) -> None:
        super().__init__()
        self.operator = operator

    def construct(self, *inputs: Tensor) -> Tensor:
        return self.operator(*inputs)[0]


class Projection(nn.Cell):
    """x W^T + b."""

    def __init__(self) -> None:
        super().__init__()
        self.product = P.MatMul(transpose_b=True)
        self.add = P.BiasAdd()

    def construct(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return self.add(self.product(x, weight), bias)


class Affine(Projection):
    """x W^T + b; the gradient of b is a product with ones, since BiasAddGrad takes three times as long on rows."""

    def __init__(self) -> None:
        super().__init__()
        self.back = P.MatMul()
        self.outer = P.MatMul(transpose_a=True)

    def bprop(self, x: Tensor, weight: Tensor, bias: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, ...]:
        ones = ops.ones((1, x.shape[0]), dout.dtype)
        return self.back(dout, weight), self.outer(dout, x), self.back(ones, dout).reshape(bias.shape)


class Heads(nn.Cell):
    """Projections by heads, one product for each."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.affine = affine()

    def construct(self, x: Tensor, projections: tuple[tuple[Tensor, Tensor], ...]) -> tuple[Tensor, ...]:
        B, N, C = x.shape
        rows = x.reshape(B * N, C)
        outputs: tuple[Tensor, ...] = ()
        for weight, bias in projections:
            y = self.affine(rows, weight, bias).reshape(B, N, self.count, C // self.count)  # (B*N, C) -> (B, N, h, d)
            outputs = (*outputs, y.transpose(0, 2, 1, 3))  # -> (B, h, N, d)
        return outputs


class JointHeads(Heads):
    """Projections by heads, one product for all p of them."""

    WIDE = 384  # channels: below it, on a CPU, joining and splitting cost more than one product saves

    def construct(self, x: Tensor, projections: tuple[tuple[Tensor, Tensor], ...]) -> tuple[Tensor, ...]:
        B, N, C = x.shape
        weights: tuple[Tensor, ...] = ()
        biases: tuple[Tensor, ...] = ()
        for weight, bias in projections:
            weights, biases = (*weights, weight), (*biases, bias)
        p, h = len(projections), self.count
        y = self.affine(x.reshape(B * N, C), ops.cat(weights), ops.cat(biases))  # -> (B*N, p*C)
        y = y.reshape(B, N, p, h, C // h).transpose(2, 0, 3, 1, 4)  # -> (p, B, h, N, d)
        outputs: tuple[Tensor, ...] = ()
        for part in P.Split(0, p)(y):  # not unstack, which MindSpore can't write as ONNX
            outputs = (*outputs, part.reshape(B, h, N, C // h))
        return outputs


class Gelu(nn.Cell):
    """GELU as x sigmoid(x (a + b x^2)), since (1 + tanh u) / 2 = sigmoid(2 u); (result, sigmoid, a + b x^2)."""

    a = 2 * math.sqrt(2 / math.pi)
    b = a * 0.044715

    def __init__(self) -> None:
        super().__init__()
        self.square = P.Square()
        self.sigmoid = P.Sigmoid()
        self.sigmoid_grad = G.SigmoidGrad()  # (s, g) -> g s (1 - s)

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        curve = self.square(x) * self.b + self.a
        s = self.sigmoid(x * curve)
        return x * s, s, curve

    def bprop(self, x: Tensor, out: tuple[Tensor, ...], dout: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        _, s, curve = out
        # The slope of x (a + b x^2) is a + 3 b x^2.
        return (dout[0] * (s + self.sigmoid_grad(s, x) * (curve * 3.0 - 2.0 * self.a)),)


class FusedGelu(nn.Cell):
    """GELU by plain arithmetic, which a fused kernel does in one pass, forward and backward.

    It is x (1/2 + s), with s a quotient of polynomials fitted to sigmoid(x (a + b x^2)) - 1/2 (minimax, in x^2) up to
    ``LIMIT``, beyond which that is 1/2 to rounding. A test holds s to 3e-7 of it in float32.
    """

    LIMIT = 5.0
    ABOVE = (4.511318606e-6, 1.649209988e-4, 3.689046254e-3, 3.681740963e-2, 3.989420354e-1)  # the highest power first
    BELOW = (4.379729472e-7, 7.280576207e-5, 1.435859056e-3, 2.719208842e-2, 2.597754599e-1, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.minimum = P.Minimum()
        self.maximum = P.Maximum()
        self.divide = P.RealDiv()  # "/" is another operator, which would not be fused

    def polynomial(self, t: Tensor, coefficients: tuple[float, ...]) -> Tensor:
        y = t * coefficients[0] + coefficients[1]
        for c in coefficients[2:]:
            y = y * t + c
        return y

    def odd(self, near: Tensor) -> Tensor:
        """x within the limits -> s, an odd function of x."""
        t = near * near
        return self.divide(near * self.polynomial(t, self.ABOVE), self.polynomial(t, self.BELOW))

    def construct(self, x: Tensor) -> Tensor:
        x = self.maximum(x, -self.LIMIT)  # below it 1/2 + s is nothing but rounding, which x would multiply
        return x * (self.odd(self.minimum(x, self.LIMIT)) + 0.5)

    def bprop(self, x: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, ...]:
        # Maximum and minimum in the other order: if the expression were the same, MindSpore would keep near, its square
        # and s from the forward pass, each as large as x, where it is cheaper to compute them again.
        near = self.maximum(self.minimum(x, self.LIMIT), -self.LIMIT)
        s = self.odd(near)
        # The slope of the sigmoid is 1/4 - s^2 times that of x (a + b x^2).
        return (dout * (s + 0.5 + (0.25 - s * s) * near * (near * near * (3.0 * Gelu.b) + Gelu.a)),)


class CpuLayerNorm(nn.Cell):
    """Layer norm over the last axis, for a CPU; (result, mean (..., 1), variance (..., 1))."""

    NARROW = 128  # channels: below it a product with a matrix is faster than MindSpore's mean over the last axis

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.norm = P.LayerNorm(-1, -1, epsilon)
        self.product = P.MatMul()
        self.rsqrt = P.Rsqrt()

    def means(self, x: Tensor) -> Tensor:
        """(M, C) -> the mean of each row, (M, C) or (M, 1)."""
        C = x.shape[1]
        if C < self.NARROW:
            return self.product(x, ops.ones((C, C), x.dtype) / C)
        return x.mean(1, keep_dims=True)

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
        return self.norm(x, gamma, beta)

    def bprop(
        self, x: Tensor, gamma: Tensor, beta: Tensor, out: tuple[Tensor, ...], dout: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        C = x.shape[-1]
        g, rows = dout[0].reshape(-1, C), x.reshape(-1, C)  # (..., C) -> (M, C)
        _, mean, variance = out
        rstd = self.rsqrt(variance + self.epsilon).reshape(-1, 1)
        normal = (rows - mean.reshape(-1, 1)) * rstd
        slope = g * gamma
        dx = (slope - self.means(slope) - normal * self.means(slope * normal)) * rstd
        return dx.reshape(x.shape), (g * normal).sum(0), g.sum(0)


class Attend(nn.Cell):
    """softmax(q k^T) v; (result, softmax).

    The softmax's gradient needs the sum over K of its values times theirs, which is the sum over d of result times
    gradient: d is smaller, and this sum is a part of a product that is made anyway.
    """

    def __init__(self) -> None:
        super().__init__()
        self.similarity = P.BatchMatMul(transpose_b=True)
        self.gather = P.BatchMatMul()
        self.scatter = P.BatchMatMul(transpose_a=True)
        self.softmax = P.Softmax()
        self.concat = P.Concat(-1)

    def construct(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        weights = self.softmax(self.similarity(q, k))  # (B, h, N, K)
        return self.gather(weights, v), weights

    def bprop(
        self, q: Tensor, k: Tensor, v: Tensor, out: tuple[Tensor, ...], dout: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        g, (y, weights) = dout[0], out
        # g v^T - sum over d of g y, for each query: (B, h, N, 2d), (B, h, K, 2d) -> (B, h, N, K)
        minus = ops.zeros_like(v) - 1.0
        centered = self.similarity(self.concat((g, g * y)), self.concat((v, minus)))
        ds = weights * centered
        return self.gather(ds, k), self.scatter(ds, q), self.scatter(weights, g)


class Convolve(nn.Cell):
    """Convolution of stride 1, whose input's gradient is a convolution too, with the kernels rotated by 180 degrees.

    This takes half as long as MindSpore's own operator for that gradient.
    """

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        pad = size[0] // 2
        self.forward = P.Conv2D(channels, size, pad_mode="pad", pad=pad)
        self.weight_grad = G.Conv2DBackpropFilter(channels, size, pad_mode="pad", pad=pad, pad_list=(pad,) * 4)
        self.turn = P.ReverseV2([2, 3])

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        return self.forward(x, weight)

    def bprop(self, x: Tensor, weight: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, ...]:
        turned = self.turn(weight).transpose(1, 0, 2, 3)
        return self.forward(dout, turned), self.weight_grad(dout, x, weight.shape)
