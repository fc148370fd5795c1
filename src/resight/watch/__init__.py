"""Videos in, records in a gallery out: frames, detections, tracks, and who is who over several cameras.

Shape letters: ``M`` boxes in a frame, ``T`` tracks. A box is left, top, right, bottom, in pixels of its frame.
"""
