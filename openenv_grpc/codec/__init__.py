"""Arrays ⇄ bytes, records ⇄ messages, frames. The only package that calls `frombuffer` or `memoryview`."""
