"""The words by which AWS and its SDK say what went wrong, sorted by what they mean for us. Data only.

Service codes are those of the services we call and the ones common to all of AWS; names of exceptions are botocore's.
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
"""Beside every code with `throttl` in it."""

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
        "InternalErrorException",
        "InternalServiceException",
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
        # a key that SQS or SNS may not or cannot use: somebody can mend it, and until then nothing is lost
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
"""Also what a wrong clock looks like."""

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

CREDENTIAL_CALLS = frozenset(["AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "GetRoleCredentials", "CreateToken"])
"""Calls the SDK makes by itself to come by credentials. That one of them is denied says nothing about any task."""

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
"""Botocore found no credentials, or nothing that works."""

SET_UP_ERRORS = frozenset(
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
        "UnknownServiceError",
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
"""No Region, no endpoint. Like credentials, they are set up around the process: no task may end for the lack of them."""
