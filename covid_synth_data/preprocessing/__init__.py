"""What is done to a radiograph before a classifier sees it: plain, harmonised, or the lungs alone."""
