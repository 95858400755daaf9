"""A local page on which pictures are mended."""
