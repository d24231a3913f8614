"""What is probably wrong where a row is the first one out of bounds: a sentence each, to start looking by."""

_BY_ROW = {
    ("input", "decoded"): "The JPEG decoder gives other pixels: another channel order (BGR), another library or version, "
    "or another colour conversion.",
    ("input", "crop box"): "The box of the random crop is another one: the generator, the order of its draws, or their "
    "rounding.",
    ("input", "resized for training"): "The crop is resized otherwise: with antialiasing, with half a pixel's shift, or "
    "cut or flipped otherwise.",
    ("input", "resized for evaluation"): "The image is resized or cut otherwise: with antialiasing, with another short "
    "side, or off centre.",
    ("input", "normalised"): "Mean and standard deviation are applied otherwise: in another channel order or scale, or "
    "the axes are in another order.",
    ("input", "mixed"): "Mixup gives an image another share, or another partner.",
    ("input", "labels of the mixture"): "Mixup gives an image the label of another partner.",
    ("initial weights", "zeros"): "A bias, a beta or a moving mean does not start at zero: a layer draws it at random, as "
    "nn.Dense and nn.Conv2d of MindSpore 2.x do.",
    ("initial weights", "ones"): "A gamma or a moving variance does not start at one.",
    ("initial weights", "dense"): "Dense weights are drawn otherwise: another sigma, or cut elsewhere than at two of them.",
    ("initial weights", "convolutions"): "Kernels are drawn otherwise than uniformly within one over the root of their "
    "inputs.",
    ("initial weights", "embeddings"): "Embeddings are drawn otherwise than with a sigma of one.",
    ("forward", "convolution"): "The convolution: its kernel in another layout, its padding, or reduced precision (TF32, "
    "HF32).",
    ("forward", "batch norm"): "Batch norm in evaluation: its epsilon, or its moving statistics are not used.",
    ("forward", "GELU"): "GELU is not the tanh form: the exact one parts from it by about 1e-4.",
    ("forward", "patch embedding"): "One of this stage's convolutions, batch norms or GELUs, or a wrong weight of theirs.",
    ("forward", "position embedding"): "The position embedding or the class token: not added, in another order, or a wrong "
    "weight.",
    ("forward", "smoothing"): "The convolutions that smooth, their batch norms, the sum with their input, or the GELU behind "
    "it.",
    ("forward", "regrouping"): "Tokens are put into other windows: local and dilated grouping are swapped, or axes are.",
    ("forward", "norm 0"): "Layer norm: its epsilon (1e-7 as published; 1e-5 is a common default), or a wrong weight.",
    ("forward", "norm 1"): "Layer norm: its epsilon (1e-7 as published), or a wrong weight; before it in stages 1 to 3, the "
    "way back from windows to tokens.",
    ("forward", "norm 2"): "Layer norm: its epsilon (1e-7 as published), or a wrong weight.",
    ("forward", "norm"): "The last layer norm: its epsilon (1e-7 as published), or a wrong weight.",
    ("forward", "window attention"): "Attention: its scale (queries scaled twice or never), softmax, the split into heads, or "
    "a wrong (transposed, swapped) weight.",
    ("forward", "window means"): "The windows' means are taken of something else, such as before the attention was added.",
    ("forward", "global attention"): "Attention over the windows' means: queries and context are swapped or not the right "
    "ones; or in stage 4 the scale, softmax, heads or a weight.",
    ("forward", "MLP"): "The MLP: its GELU, or a wrong (transposed) weight.",
    ("forward", "output"): "The sum of a block's branches.",
    ("forward", "logits"): "The head: not the class token's output, or a wrong (transposed) weight.",
    ("loss", "ce_smooth_mixup"): "The loss of a mixture: how smoothing is spread (over the classes in neither image), or the "
    "shares of the labels.",
    ("loss", "ce_smooth"): "The loss: how smoothing is spread over the other classes, or the mean over the batch.",
    ("backward", "MLP"): "The gradient of the MLP: of its products or of GELU.",
    ("backward", "attention"): "The gradient of attention: of softmax, of its products, or of the scale.",
    ("backward", "smoothing"): "The gradient of the convolutions that smooth, or of batch norm in training.",
    ("backward", "patch embedding"): "The gradient of this stage's convolutions, or of batch norm in training.",
    ("backward", "position embedding"): "The gradient of the position embedding or the class token.",
    ("backward", "head"): "The gradient of the loss or of the head.",
    ("training", "moving statistics"): "Batch norm does not move its statistics as published: not at all, with the other "
    "momentum (0.9 is the share of the old), or the biased variance.",
    ("training", "an overflow is seen"): "Numbers beyond the precision's range stay finite: this device saturates where it "
    "should give infinity, so that loss scaling never sees an overflow.",
    ("training", "an overflow changes nothing"): "A step whose gradients overflowed still moves weights or moments.",
    ("training", "loss 1"): "The forward pass in training, with the batch's statistics in batch norm.",
    ("training", "loss 2"): "The first step moved the weights otherwise, although gradients and optimiser alone are right: "
    "how they are put together.",
    ("training", "loss 3"): "The second step moved the weights otherwise: moments or the rate did not go on.",
    ("optimiser", "schedule"): "The learning rates follow another schedule, or none: frozen at one value, another warm-up or "
    "end.",
    ("optimiser", "decay"): "Weight decay: another factor, not scaled by the rate, or applied to weights that should decay "
    "not at all or the other way round.",
    ("optimiser", "no decay"): "Weight decay is applied to biases or betas, which have none.",
    ("optimiser", "step 1"): "AdamW's first step: its bias correction, its epsilon, or another optimiser.",
    ("optimiser", "step 2"): "AdamW's second step: the rate or the step count does not advance, or the moments do not.",
    ("optimiser", "step 3"): "AdamW's third step: the rate or the step count does not advance, or the moments do not.",
    ("ranks", "mean over all ranks"): "The collective: a sum where the mean belongs (off by the number of ranks), or a rank's "
    "share is lost.",
    ("ranks", "the same on all ranks"): "Ranks are left with different bits.",
    ("ranks", "exact counts"): "The exact sum of counts over the ranks is not exact.",
    ("ranks", "other ranks"): "Another rank has rows out of bounds: its device or software differs; its own JSON says which.",
    ("checkpoint", "saved and loaded"): "What is loaded from a checkpoint is not what was saved.",
    ("checkpoint", "published names"): "Published names of parameters are taken for others, or their values change.",
}
_NORM = "The gradient of layer norm, or its epsilon there."


def cause(area: str, name: str, note: str = "") -> str:
    """The probable cause, in a sentence or two. ``note``: what is known of the row's error beyond its size."""
    text = _BY_ROW.get((area, name)) or _NORM
    if note and area == "backward":
        return f"{note[0].upper()}{note[1:]}: loss scaling not undone, or a sum over ranks where the mean belongs."
    return f"{note[0].upper()}{note[1:]}. {text}" if note else text
