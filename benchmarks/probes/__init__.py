"""What runs in a fresh process and tells about itself: see `benchmarks.fresh`."""
