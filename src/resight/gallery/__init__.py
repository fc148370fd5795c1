"""What has been seen, kept: records that can be searched, named and forgotten. :class:`resight.Gallery` is its face."""
