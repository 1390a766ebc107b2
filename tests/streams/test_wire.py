"""The generated code is that of the `.proto` files."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "streams" / "wire").glob("*.proto"))


def _forget_json_names(message: DescriptorProto) -> None:
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        _forget_json_names(nested)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_code_is_made_of_the_file(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "descriptors"
    assert protoc.main(["protoc", f"-I{ROOT}", f"--descriptor_set_out={out}", str(file)]) == 0
    (made,) = FileDescriptorSet.FromString(out.read_bytes()).file
    module: Any = importlib.import_module(f"streams.wire.{file.stem}_pb2")
    used = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
    for each in (made, used):
        each.ClearField("source_code_info")
        for message in each.message_type:
            _forget_json_names(message)
    assert used.name == made.name
    assert used.message_type == made.message_type
    assert used.service == made.service
