"""The API models that botocore ships: loaded for a service when its first request comes, because that takes up to 0.1 s each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation of an API model. `input_shape` and `output_shape` are shapes of botocore, None where there are no members."""

    api: ApiModel
    name: str
    """As in the API: `DescribeJobs`."""
    method: str
    """The HTTP method."""
    uri: str
    """The URI template, such as `/v1/jobs/{id}`."""
    input_shape: Any
    output_shape: Any
    errors: Sequence[Any]
    """The shapes of the errors that it documents."""


@dataclass(frozen=True, slots=True, eq=False)
class ApiModel:
    """The API model of one service."""

    name: str
    """As botocore names the service."""
    signing_name: str
    """The service in the credential scope of a signature. Several services can share one."""
    protocol: str
    """`json`, `rest-json`, `rest-xml`, `query` or `ec2`: the one that the SDK uses."""
    json_version: str
    target_prefix: str
    """What comes before the operation in the header X-Amz-Target."""
    xml_namespace: str
    model: Any
    """The `ServiceModel` of botocore."""
    _methods: dict[str, str] = field(default_factory=dict)
    """The name of an operation by the name of the client's method."""

    @property
    def errors(self) -> Sequence[Any]:
        """The shapes of the errors that any operation documents."""
        found: Sequence[Any] = self.model.error_shapes
        return found

    def operation(self, method: str) -> Operation:
        """Return the operation that a method of botocore's client calls. Raises ValueError where there is none."""
        from botocore import xform_name

        if not self._methods:
            self._methods.update((xform_name(name), name) for name in self.model.operation_names)
        name = self._methods.get(method)
        if name is None:
            raise ValueError(f"the API model of {self.name} has no operation {method}")
        found = self.model.operation_model(name)
        uri = found.http.get("requestUri", "/")
        return Operation(self, name, found.http.get("method", "POST"), uri, found.input_shape, found.output_shape, found.error_shapes)


PROTOCOLS = ("json", "rest-json", "rest-xml", "query", "ec2")
"""Those that can be served."""


@cache
def load_api(service: str) -> ApiModel:
    """Return the model of a service, which is loaded at the first call.

    Raises ValueError for a service that botocore does not know, or that has another protocol.
    """
    from botocore.exceptions import UnknownServiceError
    from botocore.loaders import create_loader
    from botocore.model import ServiceModel

    try:
        model = ServiceModel(create_loader().load_service_model(service, "service-2"), service_name=service)
    except UnknownServiceError:
        raise ValueError(f"botocore has no service {service}") from None
    protocol = model.resolved_protocol
    if protocol not in PROTOCOLS:
        raise ValueError(f"{service} uses the protocol {protocol}; the simulator has {', '.join(PROTOCOLS)}")
    metadata = model.metadata
    return ApiModel(
        name=service,
        signing_name=model.signing_name,
        protocol=protocol,
        json_version=metadata.get("jsonVersion", "1.1"),
        target_prefix=metadata.get("targetPrefix", ""),
        xml_namespace=metadata.get("xmlNamespace", ""),
        model=model,
    )
