"""An STS on loopback whose answers a test controls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from tests.adapters.aws.wire import Request, Wire, reply

IDENTITY = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>{account}</Account>"
    "<Arn>arn:aws:sts::{account}:assumed-role/{name}/s</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"
)


@dataclass
class Sts:
    """STS as a test wants it: hands out the keys ASIA1, ASIA2, ... that live for `lifetime_s`, or answers with an error."""

    wire: Wire
    lifetime_s: float = 3600
    refuse: tuple[str, int] | None = None
    refused_roles: set[str] = field(default_factory=set)
    held_roles: dict[str, asyncio.Event] = field(default_factory=dict)
    """By role, the event before which no call that assumes it is answered."""
    calls: list[dict[str, str]] = field(default_factory=list)
    granted: int = 0
    account: str = "111122223333"
    """That of the keys it hands out. All other keys belong to 444455556666."""
    signers: list[str] = field(default_factory=list)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form["Action"] == "GetCallerIdentity":
            account, name = (self.account, "watched") if signer(request).startswith("ASIA") else ("444455556666", "own")
            return await reply(200, IDENTITY.format(account=account, name=name).encode())(request, writer)
        self.calls.append(form)
        self.signers.append(signer(request))
        if form["RoleArn"] in self.held_roles:
            await self.held_roles[form["RoleArn"]].wait()
        refusal = ("AccessDenied", 403) if form["RoleArn"] in self.refused_roles else self.refuse
        if refusal is not None:
            code, status = refusal
            text = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
            return await reply(status, text.encode())(request, writer)
        self.granted += 1
        expires = (datetime.now(UTC) + timedelta(seconds=self.lifetime_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = (
            "<AssumeRoleResponse><AssumeRoleResult><Credentials>"
            f"<AccessKeyId>ASIA{self.granted}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
            f"<Expiration>{expires}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
        return await reply(200, text.encode())(request, writer)


def signer(request: Request) -> str:
    return request.headers["authorization"].split("Credential=")[1].split("/")[0]
