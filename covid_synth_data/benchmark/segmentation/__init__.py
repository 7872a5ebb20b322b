"""What differs for label maps: the slices, and the U-Net that is trained on them."""
