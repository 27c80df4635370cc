"""A module that cannot be imported."""

message = "the licence has expired"
raise RuntimeError(message)
