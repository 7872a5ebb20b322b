"""The part of the benchmark that differs for label maps: the slices, and the U-Net trained on them."""
