"""Error codes of AWS services and names of botocore exceptions, grouped by the named error they become. Data only.

The service codes are those of the services the watcher calls and those common to all AWS services.
"""

from __future__ import annotations

THROTTLED = frozenset(
    [
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "OverLimit",
        "AWS.SimpleQueueService.OverLimit",
    ]
)
"""A code that contains `throttl` is a throttle too, without an entry here."""

MISSING = frozenset(["MISSING"])
"""Codes of single tasks in a reply about several: the task does not exist. The list of a reply has few other codes."""

UNAVAILABLE = frozenset(
    [
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ServiceFailureException",
        "InternalFailure",
        "InternalError",
        "InternalException",
        "InternalServerError",
        "InternalServerErrorException",
        "InternalServerException",
        "InternalServiceError",
        "InternalServiceErrorException",
        "ServerException",
        "InternalErrorException",
        "InternalServiceException",
        "OperationTimeoutException",
        "RequestTimeout",
        "RequestTimeoutException",
    ]
)

NOT_FOUND = frozenset(
    [
        "NotFound",
        "NotFoundException",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "AWS.SimpleQueueService.QueueDoesNotExist",
    ]
)

DENIED = frozenset(
    [
        "AccessDenied",
        "AccessDeniedException",
        "Forbidden",
        "ForbiddenException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "NotAuthorized",
        "NotAuthorizedException",
        "UnauthorizedOperation",
        "OptInRequired",
        # an account that may not make any call
        "Blocked",
        "PendingVerification",
        # an encryption key that SQS or SNS cannot use: an operator can fix it, and the event waits until then
        "KmsAccessDenied",
        "KmsDisabled",
        "KmsInvalidKeyUsage",
        "KmsInvalidState",
        "KmsNotFound",
        "KmsOptInRequired",
        "KMSDisabled",
        "KMSDisabledException",
        "KMSInvalidState",
        "KMSInvalidStateException",
        "KMSNotFound",
        "KMSNotFoundException",
        "KMSOptInRequired",
        "KMSAccessDeniedException",
        "KMSAccessDenied",
        "KmsAccessDeniedException",
        "KmsInvalidStateException",
        "GlueEncryptionException",
    ]
)

EXPIRED = frozenset(["ExpiredToken", "ExpiredTokenException", "ExpiredTokenError", "TokenRefreshRequired"])

BAD_SIGNATURE = frozenset(
    [
        "SignatureDoesNotMatch",
        "InvalidSignature",
        "InvalidSignatureException",
        "RequestTimeTooSkewed",
        "RequestExpired",
        "RequestInTheFuture",
    ]
)
"""A wrong clock on this machine causes these too."""

BAD_CREDENTIALS = frozenset(
    [
        "UnauthorizedClientException",
        "Unauthorized",
        "UnauthorizedException",
        "UnrecognizedClient",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "InvalidToken",
        "InvalidTokenException",
        "InvalidSecurity",
        "InvalidSecurityToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "MissingSecurityHeader",
        "AuthFailure",
        "AuthFailureException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidIdentityToken",
        "IDPRejectedClaim",
    ]
)

KNOWN = THROTTLED | UNAVAILABLE | NOT_FOUND | DENIED | EXPIRED | BAD_SIGNATURE | BAD_CREDENTIALS

COMMON = frozenset(
    [
        "AccessDenied",
        "AccessDeniedException",
        "InvalidAction",
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "InvalidQueryParameter",
        "MalformedQueryString",
        "MissingAction",
        "MissingParameter",
        "NotAuthorized",
        "OptInRequired",
        "UnknownOperationException",
        "ValidationError",
        "ValidationException",
    ]
)
"""The common errors that AWS documents for every service, limited to those that can end a watch."""

CREDENTIAL_CALLS = frozenset(["AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "GetRoleCredentials", "CreateToken"])
"""Operations that the SDK calls to fetch credentials. An error of one of them says nothing about a task."""

TOKEN_CALLS = frozenset(["SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"])
"""Operations for which `InvalidToken` is about the task token of the request. Everywhere else it is about a session token."""

CREDENTIAL_ERRORS = frozenset(
    [
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "NoAuthTokenError",
        "UnknownCredentialError",
        "ProfileNotFound",
        "ConfigNotFound",
        "ConfigParseError",
        "InvalidConfigError",
        "InfiniteLoopConfigError",
        "MetadataRetrievalError",
        "RefreshWithMFAUnsupportedError",
        "SSOError",
        "SSOTokenLoadError",
        "UnauthorizedSSOTokenError",
        "MissingDependencyException",
    ]
)
"""botocore exceptions: no credentials found, or none that work."""

SETUP_ERRORS = frozenset(
    [
        "NoRegionError",
        "InvalidRegionError",
        "UnknownRegionError",
        "UnknownEndpointError",
        "UnknownFIPSEndpointError",
        "EndpointVariantError",
        "EndpointProviderError",
        "EndpointResolutionError",
        "InvalidEndpointConfigurationError",
        "DataNotFoundError",
        "ServiceNotInRegionError",
        "InvalidProxiesConfigError",
        "InvalidRetryModeError",
        "InvalidMaxRetryAttemptsError",
        "InvalidDefaultsMode",
        "InvalidSTSRegionalEndpointsConfigError",
        "InvalidIMDSEndpointError",
        "InvalidIMDSEndpointModeError",
        "UnsupportedSignatureVersionError",
        "UnknownSignatureVersionError",
        "InvalidHostLabelError",
    ]
)
"""botocore exceptions: no Region or no endpoint. The setup of the process is wrong, so no watch ends because of them."""

URL_ERRORS = frozenset(["InvalidURL", "InvalidUrlClientError", "NonHttpUrlClientError"])
"""aiohttp exceptions for a URL in the setup that is none. botocore raises a ValueError."""

BROKEN_REPLIES = frozenset(["ClientPayloadError", "ClientResponseError", "HttpProcessingError"])
"""aiohttp exceptions for a reply, or the beginning of one, that is not HTTP."""
