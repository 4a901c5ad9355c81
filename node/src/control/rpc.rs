//! JSON-RPC 2.0: one line to a request, an answer to one line. Pure.

use std::borrow::Cow;

use murmesh_protocol::control::API_VERSION;
use murmesh_protocol::control::{ControlError, ErrorName, Event, HelloParams, HelloReply, Reply, Request};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Backend, bad_request};

/// The line is not JSON.
const PARSE_ERROR: i32 = -32_700;
/// The line is JSON, not a request.
const INVALID_REQUEST: i32 = -32_600;
/// No such method.
const METHOD_NOT_FOUND: i32 = -32_601;
/// Wrong parameters.
const INVALID_PARAMS: i32 = -32_602;
/// The request was understood and refused: `data` says why.
const APPLICATION_ERROR: i32 = -32_000;

/// A request and the id its answer carries.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    pub(super) id: Value,
    pub(super) request: Request,
}

/// The parts of a request, as they are in the line: nothing is copied, and nothing built of what may be
/// anything.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// Reads a line. The error is the line to answer with.
pub(super) fn parse(line: &str) -> Result<Call, String> {
    serde_json::from_str::<IgnoredAny>(line)
        .map_err(|error| failure(&Value::Null, PARSE_ERROR, &bad_request(brief(&error))))?;
    if line.trim_start().starts_with('[') {
        let error = bad_request("no batches: send one object a line");
        return Err(failure(&Value::Null, INVALID_REQUEST, &error));
    }
    let envelope: Envelope<'_> = serde_json::from_str(line)
        .map_err(|error| failure(&Value::Null, INVALID_REQUEST, &bad_request(brief(&error))))?;
    let Some(id) = envelope.id.and_then(|id| id_of(id.get())) else {
        let error = bad_request("id must be a string or a whole number");
        return Err(failure(&Value::Null, INVALID_REQUEST, &error));
    };
    if envelope.jsonrpc != "2.0" {
        return Err(failure(&id, INVALID_REQUEST, &bad_request("jsonrpc must be \"2.0\"")));
    }
    if !Request::METHODS.contains(&envelope.method.as_ref()) {
        let error = bad_request(format!("no method {}", brief(&envelope.method)));
        return Err(failure(&id, METHOD_NOT_FOUND, &error));
    }
    // The method first: then the params are read into their type, whatever they are, and into nothing else.
    let params = envelope.params.map_or("{}", RawValue::get);
    let tagged = format!(r#"{{"method":"{}","params":{params}}}"#, envelope.method);
    match serde_json::from_str(&tagged) {
        Ok(request) => Ok(Call { id, request }),
        Err(error) => Err(failure(&id, INVALID_PARAMS, &bad_request(brief(&error)))),
    }
}

fn id_of(text: &str) -> Option<Value> {
    let scalar = text.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit());
    let id = scalar.then(|| serde_json::from_str::<Value>(text).ok()).flatten()?;
    (id.is_string() || id.is_i64() || id.is_u64()).then_some(id)
}

/// The beginning of what may repeat a whole line.
fn brief(told: &impl ToString) -> String {
    const CHARS_MAX: usize = 200;
    let told = told.to_string();
    match told.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", told.get(..end).unwrap_or_default()),
        None => told,
    }
}

/// Answers `system.hello`.
pub(super) fn hello(params: &HelloParams) -> Result<Reply, ControlError> {
    if params.api > API_VERSION {
        return Err(ControlError::with(ErrorName::NewerClient, API_VERSION.to_string()));
    }
    Ok(Reply::Hello(HelloReply {
        api: API_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
    }))
}

#[derive(Serialize)]
struct Success<'a> {
    jsonrpc: &'static str,
    id: &'a Value,
    result: &'a Reply,
}

#[derive(Serialize)]
struct Failure<'a> {
    jsonrpc: &'static str,
    id: &'a Value,
    error: FailureBody<'a>,
}

#[derive(Serialize)]
struct FailureBody<'a> {
    code: i32,
    message: Value,
    data: &'a ControlError,
}

#[derive(Serialize)]
struct Notification<'a> {
    jsonrpc: &'static str,
    method: &'static str,
    params: NotificationParams<'a>,
}

#[derive(Serialize)]
struct NotificationParams<'a> {
    subscription: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// The line of an answer, newline included.
pub(super) fn answer(id: &Value, result: &Result<Reply, ControlError>) -> String {
    match result {
        Ok(reply) => to_line(&Success { jsonrpc: "2.0", id, result: reply }),
        Err(error) => failure(id, APPLICATION_ERROR, error),
    }
}

/// The line of an event.
pub(super) fn notification(subscription: &str, event: &Event) -> String {
    let params = NotificationParams { subscription, event };
    to_line(&Notification { jsonrpc: "2.0", method: "event", params })
}

/// The answer to what is not even a line of text: too long, or not UTF-8. The connection ends with it.
pub(super) fn unreadable(detail: &str) -> String {
    failure(&Value::Null, PARSE_ERROR, &bad_request(detail))
}

/// The answer to a client beyond the bound, whatever it was about to ask.
pub(super) fn crowded() -> String {
    failure(&Value::Null, APPLICATION_ERROR, &ControlError::with(ErrorName::TooMany, "control clients"))
}

/// `message` is the name of the error: the words for people are the client's.
fn failure(id: &Value, code: i32, error: &ControlError) -> String {
    let message = serde_json::to_value(error.name).unwrap_or(Value::Null);
    to_line(&Failure { jsonrpc: "2.0", id, error: FailureBody { code, message, data: error } })
}

fn to_line(value: &impl Serialize) -> String {
    let mut line = serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer has no JSON");
        INTERNAL_LINE.to_owned()
    });
    line.push('\n');
    line
}

const INTERNAL_LINE: &str =
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"internal","data":{"name":"internal"}}}"#;

/// Answers one line without a connection, for `murmeshd offline`: no `system.hello` is needed and events
/// cannot be followed. The answer ends with a newline.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other method is the backend's")]
pub async fn answer_line<B: Backend>(backend: &B, line: &str) -> String {
    let Call { id, request } = match parse(line) {
        Ok(call) => call,
        Err(refusal) => return refusal,
    };
    let result = match request {
        Request::Hello(params) => hello(&params),
        Request::Subscribe(_) => Err(bad_request("there are no events offline")),
        request => backend.call(request).await,
    };
    answer(&id, &result)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines that are nearly requests: the parts of one, shuffled, cut and doubled.
    fn nearly() -> impl Strategy<Value = String> {
        let parts = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"jsonrpc\"",
            "\"2.0\"",
            "\"id\"",
            "1",
            "null",
            "\"method\"",
            "\"params\"",
            "\"message.send\"",
            "\"id.show\"",
            "{\"to\":\"bob\"}",
            "\u{0}",
            "\\",
            "\"",
            "é",
        ]);
        prop::collection::vec(parts, 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_line_is_a_call_or_is_answered_with_one_line(line in prop_oneof![any::<String>(), nearly()]) {
            if let Err(refusal) = parse(&line) {
                prop_assert!(refusal.ends_with('\n') && refusal.matches('\n').count() == 1);
                let value: Value = serde_json::from_str(&refusal).unwrap();
                prop_assert_eq!(&value["error"]["data"]["name"], "bad-request");
            }
        }

        #[test]
        fn any_method_with_any_params_is_a_call_or_is_refused(
            method in prop::sample::select(Request::METHODS.to_vec()),
            params in prop::sample::select(vec!["{}", "null", "[]", "7", "{\"who\":\"x\"}", "{\"id\":\"x\"}", "{\"x\":1}"]),
        ) {
            let line = format!(r#"{{"jsonrpc":"2.0","id":"a","method":"{method}","params":{params}}}"#);
            match parse(&line) {
                Ok(call) => prop_assert_eq!(call.id, "a"),
                Err(refusal) => prop_assert!(refusal.contains("-32602"), "{}", refusal),
            }
        }
    }

    #[test]
    fn every_method_of_the_list_is_known_to_the_types() {
        for method in Request::METHODS {
            let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
            if let Err(refusal) = parse(&line) {
                assert!(refusal.contains("missing field"), "{method}: {refusal}");
            }
        }
    }
}
