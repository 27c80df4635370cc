"""The messages of the wire, written by scripts/generate from proto/openenv_grpc/v1."""
