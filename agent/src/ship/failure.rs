//! What a failed call of an AWS service means: whether to try again, whether the service may have
//! taken what was sent, and what somebody can do about it.
//!
//! 1. No answer after a connection was there: the service may have taken it.
//! 2. No connection, throttling, a fault of the service: it has not, and time may mend it.
//! 3. Credentials or permissions: it has not, and somebody must change something; what was sent is kept.
//! 4. Anything else that the service refuses is wrong in itself, and would be refused again.

use std::error::Error;
use std::time::Duration;

use aws_sdk_cloudwatch::config::http::HttpResponse;
use aws_sdk_cloudwatch::error::{ProvideErrorMetadata, SdkError};
use hyper_util::client::legacy::Error as ClientError;

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub kind: FailureKind,
    /// What was met, in words, without secrets.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// The least wait that the service asked for.
    pub asked_for: Option<Duration>,
}

/// What a failed call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// It was sent and no answer came: it may have been taken.
    Unanswered,
    /// It never got there.
    Unreached,
    /// The service asks for patience.
    Throttled,
    /// The service is at fault.
    Faulty,
    /// Credentials are missing, wrong or expired, or lack a permission.
    Denied,
    /// What was sent is wrong.
    Refused,
}

/// Codes by which AWS services ask for patience.
const THROTTLED: [&str; 9] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "LimitExceededException",
    "SlowDown",
];
/// Codes by which they say that credentials expired, or the machine's clock is wrong.
const EXPIRED: [&str; 4] = ["ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed"];
/// Codes by which they say that credentials are wrong.
const UNKNOWN_CREDENTIALS: [&str; 7] = [
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "MissingAuthenticationToken",
];
/// Codes by which they say that a permission is missing.
const DENIED: [&str; 5] =
    ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "OptInRequired"];

const BY_ITSELF: &str = "nothing: it is tried again until it is taken";
/// Characters of a service's message that are shown.
const SHOWN: usize = 240;

impl Failure {
    /// A failure in words.
    pub fn new(kind: FailureKind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, what: without_keys(&what.into()), remedy: remedy.into(), asked_for: None }
    }

    /// What a failed call of an SDK means. `permission` is what the call needs, such as `cloudwatch:PutMetricData`.
    pub fn of<E>(error: &SdkError<E, HttpResponse>, permission: &str) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let asked_for = error.raw_response().and_then(retry_after);
        let failure = match error {
            SdkError::TimeoutError(_) => Self::new(FailureKind::Unanswered, "no answer in time", BY_ITSELF),
            SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => of_dispatch(error),
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                of_answer(status, service.err().code(), service.err().message(), permission)
            }
            SdkError::ResponseError(response) => {
                let status = response.raw().status().as_u16();
                if (200..300).contains(&status) {
                    Self::new(FailureKind::Unanswered, "an answer that cannot be read", BY_ITSELF)
                } else {
                    of_answer(status, None, None, permission)
                }
            }
            _ => Self::new(FailureKind::Unanswered, chain(error), BY_ITSELF),
        };
        Self { asked_for, ..failure }
    }

    /// Whether somebody must change something before it can go on.
    pub fn is_blocked(&self) -> bool {
        self.kind == FailureKind::Denied
    }

    /// Whether trying again is of no use.
    pub fn is_final(&self) -> bool {
        self.kind == FailureKind::Refused
    }
}

/// A failure before any answer: of credentials, of the network, of a connection that broke off.
fn of_dispatch(error: &(dyn Error + 'static)) -> Failure {
    let words = chain(error);
    if find::<aws_credential_types::provider::error::CredentialsError>(error).is_some() || words.contains("redential") {
        return Failure::new(
            FailureKind::Denied,
            format!("no AWS credentials: {words}"),
            "sign in (`aws sso login`), set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give --aws-profile",
        );
    }
    let never_connected = find::<ClientError>(error).is_some_and(ClientError::is_connect);
    if never_connected {
        let what = format!("no connection: {words}");
        return Failure::new(FailureKind::Unreached, what, "see whether this machine reaches the endpoint");
    }
    Failure::new(FailureKind::Unanswered, format!("the connection broke off: {words}"), BY_ITSELF)
}

/// A failure that the service answered.
fn of_answer(status: u16, code: Option<&str>, message: Option<&str>, permission: &str) -> Failure {
    let known = code.unwrap_or_default();
    let what = match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => format!("HTTP status {status}"),
    };
    let is_one_of = |codes: &[&str]| codes.contains(&known);
    if is_one_of(&THROTTLED) || status == 429 {
        return Failure::new(FailureKind::Throttled, what, BY_ITSELF);
    }
    if is_one_of(&EXPIRED) {
        let remedy = "sign in again (`aws sso login`) or renew the credentials; see that the clock is right";
        return Failure::new(FailureKind::Denied, what, remedy);
    }
    if is_one_of(&UNKNOWN_CREDENTIALS) {
        return Failure::new(FailureKind::Denied, what, "see that the credentials are of this account and still valid");
    }
    if is_one_of(&DENIED) || status == 401 || status == 403 {
        return Failure::new(FailureKind::Denied, what, format!("allow {permission} to the role or user in use"));
    }
    if status >= 500 {
        return Failure::new(FailureKind::Faulty, what, BY_ITSELF);
    }
    if status == 408 {
        return Failure::new(FailureKind::Unanswered, what, BY_ITSELF);
    }
    Failure::new(FailureKind::Refused, what, "it is set aside; please report it, it should not have been made")
}

fn retry_after(response: &HttpResponse) -> Option<Duration> {
    response.headers().get("retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

/// The causes of an error, outermost first.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !words.iter().any(|known| known.contains(&text)) {
            words.push(text);
        }
        next = error.source();
    }
    words.join(": ")
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// One line of a message, shortened, without the ids of access keys.
fn without_keys(message: &str) -> String {
    let is_key = |word: &str| {
        word.len() >= 16
            && word.chars().all(|c| c.is_ascii_alphanumeric())
            && (word.starts_with("AKIA") || word.starts_with("ASIA"))
    };
    let line = message.lines().next().unwrap_or_default();
    let mut shown = String::new();
    for word in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if is_key(bare) {
            shown.push_str("(access key)");
            shown.push_str(&word[bare.len()..]);
        } else {
            shown.push_str(word);
        }
    }
    match shown.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_to_try_again() {
        let kind = |status, code| of_answer(status, Some(code), Some("because"), "cloudwatch:PutMetricData").kind;
        for (status, code, wanted) in [
            (400, "Throttling", FailureKind::Throttled),
            (429, "Unknown", FailureKind::Throttled),
            (500, "InternalServiceFault", FailureKind::Faulty),
            (503, "ServiceUnavailable", FailureKind::Faulty),
            (403, "ExpiredToken", FailureKind::Denied),
            (403, "InvalidClientTokenId", FailureKind::Denied),
            (403, "AccessDenied", FailureKind::Denied),
            (400, "InvalidParameterValue", FailureKind::Refused),
            (413, "RequestEntityTooLarge", FailureKind::Refused),
        ] {
            assert_eq!(kind(status, code), wanted, "{status} {code}");
        }
    }

    #[test]
    fn a_denied_call_says_which_permission_it_needs() {
        let denied = of_answer(403, Some("AccessDenied"), None, "cloudwatch:PutMetricData");
        assert!(denied.remedy.contains("cloudwatch:PutMetricData"), "{}", denied.remedy);
        assert!(denied.is_blocked() && !denied.is_final());
    }

    #[test]
    fn messages_are_shown_without_access_keys_and_shortened() {
        let shown = without_keys("Credential=AKIAIOSFODNN7EXAMPLE/20261125 is wrong\nCanonical String: secret");
        assert_eq!(shown, "Credential=(access key)/20261125 is wrong");
        assert_eq!(without_keys(&"é".repeat(1000)).chars().count(), SHOWN + 1);
    }
}
