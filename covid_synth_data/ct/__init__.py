"""Slices of computed tomography with label maps (jiang2020): arrays, splits, augmentation, new label maps.

    plan = splits.plan_slices(root)                       patients apart, or the paper's split by slice
    image, mask = slices.read_slice(plan.train[0])        float32 in [0, 1], uint8 of `labels`
    for row, variant in augment.augmented(plan.train, 12_000, seed=0): ...

Rows come from the sources `covid-ct` and `ct-phantom`. Modules are imported where they are used; `augment`
and the modules that build on it need torchvision.
"""
