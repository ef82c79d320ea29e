"""Decides which service a request on the port is for, and checks its signature before the service sees it."""

from __future__ import annotations

from dataclasses import dataclass

from watcher.simulator import sts
from watcher.simulator.declared import DeclaredApi
from watcher.simulator.declared.service import Call
from watcher.simulator.faults import INVALID, ServiceError
from watcher.simulator.http_api import format_error, parse_request
from watcher.simulator.service import ApiRequest, VoiceService
from watcher.simulator.sigv4 import SIGNING_NAME, SignatureRejected, signed_service, verify
from watcher.simulator.wire import HttpReply, HttpRequest

REDIRECTED = "/redirected"
"""Where the fault `redirect` sends a client, under another name of this host. A client must not follow; a request here is counted."""

UNKNOWN_OPERATION = ServiceError("this operation does not exist", None, 404, "UnknownOperationException")


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that does not reach a service, and the name under which `Stats.outcomes` counts it."""

    outcome: str
    error: ServiceError
    signing_name: str = SIGNING_NAME


def _unknown_service(signing_name: str) -> ServiceError:
    advice = f"the simulator has no kind of the service {signing_name}: set the endpoint of this service, such as AWS_ENDPOINT_URL_SQS"
    return ServiceError(advice, None, 404, UNKNOWN_OPERATION.code)


async def dispatch(request: HttpRequest, voice: VoiceService, declared: DeclaredApi | None) -> ApiRequest | Call | Refused | HttpReply:
    """Return the call of the voice service or of another one, or why there is none; for AWS STS, the reply itself.

    Raises BadRequest for a body that is not JSON.
    """
    if request.path == REDIRECTED:
        return Refused("redirected", INVALID)
    name = signed_service(request)
    if declared is None or not name:
        name, declared = SIGNING_NAME, None
    elif name not in (SIGNING_NAME, sts.SIGNING_NAME):
        await declared.prepare()
        if not declared.accepts(name):
            return Refused("unknown-service", _unknown_service(name))
    try:
        key = verify(request, voice.scenario.credentials, voice.scenario.session_tokens, voice.clock(), name)
    except SignatureRejected as error:
        return Refused("signature", ServiceError(str(error), None, 403, error.code), name)
    if name == sts.SIGNING_NAME:
        token = voice.scenario.session_tokens.get(key)
        return sts.answer(request, key, voice.scenario.credentials[key], token, voice.clock())
    call = parse_request(request) if name == SIGNING_NAME else None
    if call is not None:
        return call
    if declared is not None:
        await declared.prepare()
        if (found := declared.find_call(request, name)) is not None:
            return found
    return Refused("unknown-operation", UNKNOWN_OPERATION, name)


def format_refusal(refused: Refused, declared: DeclaredApi | None) -> HttpReply:
    """Return the error as the service would send it for which the request is signed."""
    if refused.signing_name == sts.SIGNING_NAME:
        return sts.refusal(refused.error.status, refused.error.code or "", refused.error.meaning)
    if declared is None or refused.signing_name == SIGNING_NAME:
        return format_error(refused.error)
    return declared.refusal(refused.signing_name, refused.error)
