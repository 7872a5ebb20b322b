"""Files on disk: atomic writing, decoding of images, DICOM and NIfTI, TOML read into validated models."""
