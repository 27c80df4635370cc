"""Benchmarks: one question per file, peers included, ratios in one run."""
