"""Acts on many records at once: a frozen set, done in small batches by workers. Knows no record's own business."""
