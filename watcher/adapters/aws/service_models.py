"""Reads the API models that botocore ships. Reads files only: no credentials, no Region, no call.

Loading the model of a large service, such as EC2, takes up to a second, so each one is loaded when it is needed.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError
from botocore.loaders import create_loader
from botocore.model import ServiceModel, StructureShape
from botocore.model import Shape as ModelShape

from watcher.kinds.api_model import Operation, ServiceApi, Shape

_NOTHING = Shape("structure")


class ServiceModels:
    """The APIs of all services, as `kinds.api_model.ServiceApis`. Also reads the models in `AWS_DATA_PATH`, as the SDK does."""

    def __init__(self) -> None:
        self._loader = create_loader(os.environ.get("AWS_DATA_PATH"))
        self.service = functools.cache(self._service)

    @functools.cached_property
    def services(self) -> Collection[str]:
        """The names of all services, sorted."""
        return list(self._loader.list_available_services("service-2"))

    def _service(self, name: str) -> ServiceApi:
        return ServiceApi(name, _Operations(lambda: self._loader.load_service_model(name, "service-2"), name), self._waiters(name))

    def _waiters(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        try:
            waiters = self._loader.load_service_model(name, "waiters-2")["waiters"]
        except BotoCoreError:  # most services have no waiters
            return {}
        return {waiter: {**described, "operation": xform_name(described["operation"])} for waiter, described in waiters.items()}


class _Members(Mapping[str, Shape | None]):
    """The members of a structure, each read when it is asked for: shapes can contain themselves."""

    def __init__(self, members: Mapping[str, ModelShape]) -> None:
        self._members = members

    def __getitem__(self, name: str) -> Shape | None:
        return _shape(self._members[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


class _Operations(Mapping[str, Operation]):
    """The operations of one service. The model is loaded at the first use."""

    def __init__(self, load: Callable[[], Any], service: str) -> None:
        self._load = load
        self._service = service

    @functools.cached_property
    def _model(self) -> ServiceModel:
        return ServiceModel(self._load(), self._service)

    @functools.cached_property
    def _names(self) -> Mapping[str, str]:
        return {xform_name(name): name for name in self._model.operation_names}

    def __getitem__(self, method: str) -> Operation:
        return _operation(self._model, self._names[method])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _operation(model: ServiceModel, name: str) -> Operation:
    operation = model.operation_model(name)
    errors = tuple(str(shape.metadata.get("error", {}).get("code", shape.name)) for shape in operation.error_shapes)
    return Operation(
        xform_name(name),
        name,
        _shape(operation.input_shape) or _NOTHING,
        _shape(operation.output_shape) or _NOTHING,
        model.service_name,
        str(operation.http.get("method", "POST")),
        errors,
    )


def _shape(shape: ModelShape | None) -> Shape | None:
    """Return a shape of the model. None for a document, which may be anything, and for no shape."""
    if shape is None or (isinstance(shape, StructureShape) and shape.is_document_type):
        return None
    metadata = shape.metadata
    return Shape(
        shape.type_name,
        shape.name,
        enum=tuple(metadata.get("enum", ())),
        required=tuple(metadata.get("required", ())),
        most=metadata.get("max"),
        load=functools.partial(_inner, shape),
    )


def _inner(shape: ModelShape) -> Mapping[str, Shape | None]:
    match shape.type_name:
        case "structure":
            return _Members(shape.members)
        case "list":
            return {"": _shape(shape.member)}
        case "map":
            return {"": _shape(shape.value)}
    return {}
