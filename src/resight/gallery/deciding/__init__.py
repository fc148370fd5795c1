"""The decision of a gallery: whether it applies to what is in it, and another one learnt from answers."""
