"""Make the tiny data set: drawn, or carved out of ImageNet."""
