"""The rules of a session, without any I/O: what the worker's side and the client's side of the wire agree on."""
