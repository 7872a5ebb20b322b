"""Explanations of classifiers: saliency, feature maps, probes on changed images, maps and lesion masks."""
