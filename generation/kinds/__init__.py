"""One object per kind of generator: what it reads, its batches, the rows of a release, how a row is made.

translation   films of one class into another
sampling      images from noise
label_maps    CT slices drawn from label maps
painting      lesions painted into normal films; no weights, no training, no torch
"""
