"""A protoc plugin: a CodeGeneratorRequest on standard input, a CodeGeneratorResponse on standard output.

    protoc --plugin=protoc-gen-openenv=SCRIPT --openenv_out=DIR --python_out=DIR FILE.proto

where SCRIPT runs `python -m openenv_grpc.codegen`.
"""

from __future__ import annotations

import sys

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from openenv_grpc.codegen import generate
from openenv_grpc.errors import OpenEnvError


def respond(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Generate every file that protoc was asked for; a bad `.proto` becomes the response's error."""
    features = plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    response = plugin_pb2.CodeGeneratorResponse(supported_features=features)
    files = FileDescriptorSet(file=request.proto_file)
    try:
        for path in request.file_to_generate:
            for name, content in generate(files, path).items():
                response.file.add(name=name, content=content)
    except OpenEnvError as error:
        return plugin_pb2.CodeGeneratorResponse(error=str(error))
    return response


def main() -> None:
    """Answer the one request on standard input."""
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(respond(request).SerializeToString())


if __name__ == "__main__":
    main()
