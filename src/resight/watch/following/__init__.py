"""Following within one camera: from boxes to tracks."""
