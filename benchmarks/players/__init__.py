"""The client's side of the contestants: programs that play what `benchmarks.player` tells them."""
