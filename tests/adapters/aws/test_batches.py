"""Failed entries of a batch call: which ones an operator can fix, or pass, and which ones are about the event."""

import pytest

from watcher.adapters.aws.batches import failed_entry
from watcher.ports import Rejected, Retry


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AccessDenied", "denied"),
        ("NotAuthorizedForDetailTypeException", "denied"),
        ("OptInRequired", "denied"),
        ("KMSOptInRequired", "denied"),
        ("KMSSomethingNewException", "denied"),
        ("EventBusDisabledException", "denied"),
        ("InvalidClientTokenId", "credentials"),
        ("TooManyRequestsException", "throttled"),
        ("LimitExceededException", "throttled"),
        ("RequestQuotaReached", "throttled"),
        ("InternalFailure", "unavailable"),
        ("InternalServiceFault", "unavailable"),
        ("NotFound", "not_found"),
        ("ConflictException", "busy"),
    ],
)
def test_an_entry_that_an_operator_can_fix_is_retried(code: str, reason: str) -> None:
    """A permission, an encryption key, a limit, a missing destination, an internal error: the code is kept for the log."""
    outcome = failed_entry(code)
    assert isinstance(outcome, Retry)
    assert (outcome.error.reason, outcome.error.code) == (reason, code)


@pytest.mark.parametrize("code", ["MalformedDetail", "InvalidParameterValue", "MessageLengthLimitExceeded", "BatchRequestTooLong"])
def test_an_entry_whose_content_is_wrong_is_refused(code: str) -> None:
    """The same entry would fail again, so whether others are accepted decides about the event."""
    assert failed_entry(code) == Rejected(code)


@pytest.mark.parametrize("code", ["MalformedDetail", "Whatever", "InternalError"])
def test_a_fault_of_the_service_is_retried_whatever_its_code(code: str) -> None:
    """SQS and SNS say whose fault it is."""
    assert isinstance(failed_entry(code, sender_fault=False), Retry)


def test_a_code_that_could_identify_a_person_is_not_repeated() -> None:
    """Only a code that is a word becomes a reason."""
    assert failed_entry("+4915112345678") == Rejected("400")
