"""The parts of the ONNX format that it takes to look into a graph, without the package of that name.

A file is a protocol buffer, whose library onnxruntime brings along. Only the fields needed are declared; all others
pass through unread and are written again as they were. Numbers are those of ``onnx.proto3``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

__all__ = ["read_model"]

# Of each message its fields: number, name, and whether it is repeated text or a repeated message of the kind named.
_MESSAGES: dict[str, tuple[tuple[int, str, str], ...]] = {
    "Tensor": ((8, "name", "text"),),
    "SparseTensor": ((1, "values", "Tensor"),),
    "Value": ((1, "name", "text"),),
    "Node": ((1, "input", "texts"), (2, "output", "texts"), (3, "name", "text"), (4, "op_type", "text")),
    "Graph": (
        (1, "node", "Node*"),
        (5, "initializer", "Tensor*"),
        (11, "input", "Value*"),
        (12, "output", "Value*"),
        (15, "sparse_initializer", "SparseTensor*"),
    ),
    "Model": ((7, "graph", "Graph"),),
}


@lru_cache(maxsize=1)
def _model() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    package = "ottava.onnx"
    file = descriptor_pb2.FileDescriptorProto(name="ottava_onnx.proto", package=package, syntax="proto2")
    for message, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        for number, name, kind in fields:
            field = declared.field.add(name=name, number=number)
            many = kind.endswith("*") or kind == "texts"
            field.label = field.LABEL_REPEATED if many else field.LABEL_OPTIONAL
            if kind.startswith("text"):
                field.type = field.TYPE_STRING
            else:
                field.type, field.type_name = field.TYPE_MESSAGE, f".{package}.{kind.rstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Model"))


def read_model(data: bytes) -> Any:
    """Return a model, with ``graph.node``, ``graph.input`` and the like, and ``SerializeToString``.

    Parameters
    ----------
    data : bytes
        Content of an ONNX file.

    Raises
    ------
    ValueError
        If it is none.
    """
    from google.protobuf.message import DecodeError

    model = _model()()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    if not model.graph.node:
        raise ValueError("no operations")
    return model
