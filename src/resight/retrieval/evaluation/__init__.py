"""From rankings to mAP, CMC and mINP, with their uncertainty."""
