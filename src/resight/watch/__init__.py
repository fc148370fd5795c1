"""From videos and cameras to records and identities in a gallery: frames, detections, tracks, names.

Shape letters: ``M`` boxes in a frame, ``T`` tracks. A box is left, top, right, bottom, in pixels of its frame.
"""
