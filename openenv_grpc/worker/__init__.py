"""Worker processes: the loop that drives a session's shard and its environments. No grpc, no asyncio."""
