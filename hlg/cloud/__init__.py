"""Copy data and results on ModelArts, Huawei's cloud."""
