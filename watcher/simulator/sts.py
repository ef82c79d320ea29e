"""AWS STS for the clients of the simulated services: who signs a request, and the credentials of a role."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from watcher.simulator.wire import HttpReply, HttpRequest

SIGNING_NAME = "sts"
ACCOUNT = "111122223333"
"""That of the credentials that the simulator prints."""
SESSION_S = 3600
"""How long the credentials of a role are said to be valid, in seconds. They never expire."""
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def answer(request: HttpRequest, access_key: str, secret: str, token: str | None, now: float) -> HttpReply:
    """Return the reply to a request that is signed with this access key, which the credentials of a role have too.

    `token` is the session token that requests with this key must have; None: each one is accepted, and that of a role is its ARN.
    `now` is in seconds since the epoch.
    """
    form = {name: values[0] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
    match form.get("Action"):
        case "GetCallerIdentity":
            return _reply("GetCallerIdentity", _identity(request, access_key))
        case "AssumeRole" if form.get("RoleArn", "").count(":") == 5 and form.get("RoleSessionName"):
            return _reply("AssumeRole", _session(form, access_key, secret, token, now))
    return refusal(400, "InvalidAction", "the simulator knows GetCallerIdentity, and AssumeRole with RoleArn and RoleSessionName")


def refusal(status: int, code: str, message: str) -> HttpReply:
    """Return an error as STS sends it."""
    error = _xml({"Type": "Sender", "Code": code, "Message": message})
    body = f'<ErrorResponse xmlns="{_NAMESPACE}"><Error>{error}</Error></ErrorResponse>'
    return HttpReply(status, body.encode(), {"Content-Type": "text/xml"})


def _identity(request: HttpRequest, access_key: str) -> Mapping[str, object]:
    role = request.header("x-amz-security-token")
    arn = role if role.startswith("arn:") and role.count(":") == 5 else f"arn:aws:iam::{ACCOUNT}:user/simulated"
    return {"Arn": arn, "UserId": access_key, "Account": arn.split(":")[4]}


def _session(form: Mapping[str, str], access_key: str, secret: str, token: str | None, now: float) -> Mapping[str, object]:
    expires = datetime.fromtimestamp(now + SESSION_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    role = form["RoleArn"].replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
    arn = f"{role}/{form['RoleSessionName']}"
    return {
        "Credentials": {"AccessKeyId": access_key, "SecretAccessKey": secret, "SessionToken": token or arn, "Expiration": expires},
        "AssumedRoleUser": {"AssumedRoleId": f"{access_key}:{form['RoleSessionName']}", "Arn": arn},
    }


def _reply(action: str, result: Mapping[str, object]) -> HttpReply:
    body = f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{_xml(result)}</{action}Result></{action}Response>'
    return HttpReply(200, body.encode(), {"Content-Type": "text/xml"})


def _xml(members: Mapping[str, object]) -> str:
    texts = {name: _xml(value) if isinstance(value, Mapping) else escape(str(value)) for name, value in members.items()}
    return "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())
