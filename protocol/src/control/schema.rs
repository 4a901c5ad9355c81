//! The control API as an OpenRPC document, out of the types themselves: for `murmesh api schema`.
//!
//! Methods, params and their words come from [`Request`]; only which reply belongs to which method is said
//! here. A test in the CLI holds the document against [`Request::METHODS`].

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::*;

/// Where the document keeps named shapes.
const SHAPES: &str = "/components/schemas";

/// The whole document.
#[must_use]
pub fn open_rpc(version: &str) -> Value {
    let settings =
        SchemaSettings::draft07().with(|settings| SHAPES.clone_into(settings.definitions_path.to_mut()));
    let mut generator = settings.into_generator();
    let requests = Value::from(Request::json_schema(&mut generator));
    let event = Value::from(generator.subschema_for::<Event>());
    let error = Value::from(generator.subschema_for::<ControlError>());
    let results = results(&mut generator);
    let shapes = generator.take_definitions(true);
    let variants = requests.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    let methods: Vec<Value> =
        variants.iter().filter_map(|variant| method(variant, &shapes, &results)).collect();
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "murmesh control API",
            "version": version,
            "description": "JSON-RPC 2.0 over the Unix socket api.sock in the data directory, one object a line; \
                system.hello comes first. A refusal has the code -32000 and x-error as its data; events come as \
                notifications of the method event, whose params are x-event and the subscription.",
        },
        "methods": methods,
        "components": {"schemas": shapes},
        "x-event": event,
        "x-error": error,
    })
}

/// A method out of its variant of [`Request`].
fn method(variant: &Value, shapes: &Map<String, Value>, results: &Map<String, Value>) -> Option<Value> {
    let name = variant.pointer("/properties/method/const")?.as_str()?;
    let reference = variant.pointer("/properties/params/$ref")?.as_str()?;
    let params = shapes.get(reference.rsplit('/').next()?)?;
    let required = params.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let properties = params.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let params: Vec<Value> = properties
        .into_iter()
        .map(|(name, schema)| json!({"required": required.contains(&json!(name)), "name": name, "schema": schema}))
        .collect();
    Some(json!({
        "name": name,
        "summary": variant.get("description"),
        "paramStructure": "by-name",
        "params": params,
        "result": {"name": "result", "schema": results.get(name)?},
    }))
}

fn results(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut results = Map::new();
    macro_rules! results {
        ($($method:literal $reply:ty;)*) => {
            $(results.insert($method.to_owned(), Value::from(generator.subschema_for::<$reply>()));)*
        };
    }
    results! {
        "system.hello" HelloReply;
        "account.init" InitReply;
        "id.show" IdReply;
        "node.status" StatusReply;
        "node.stop" Done;
        "invite.create" InviteReply;
        "invite.list" InvitesReply;
        "invite.revoke" Done;
        "contact.add" AddReply;
        "contact.list" ContactsReply;
        "contact.show" ContactReply;
        "contact.rename" ContactReply;
        "contact.block" ContactReply;
        "contact.unblock" ContactReply;
        "contact.remove" Done;
        "message.send" SendReply;
        "message.read" ReadReply;
        "message.why" WhyReply;
        "outbox.list" OutboxReply;
        "outbox.show" OutboxEntry;
        "outbox.retry" OutboxReply;
        "outbox.cancel" SendReply;
        "request.list" RequestsReply;
        "request.accept" ContactReply;
        "request.decline" Done;
        "peer.list" PeersReply;
        "events.subscribe" SubscribeReply;
        "events.ack" Done;
        "events.consumers" ConsumersReply;
        "events.forget" Done;
    }
    results
}
