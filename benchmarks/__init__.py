"""Benchmarks: every question has a directory, every group of contestants a file; peers are always among them.

questions/   what is asked, and who answers: a file more is more rows of the same table
figures/     costs that are no race: imports, opening a session, the codec, transport
charts/      pictures of a run's JSON
players/     the client's side of the contestants, each a program of its own
servers/     the servers of the contestants that are not ours
peers/       other people's packages, pinned, in virtual environments of their own
micro/       micro-benchmarks with pytest-benchmark
results/     runs worth keeping
"""
