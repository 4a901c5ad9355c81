//! Shapes of named consumers of events (SPEC §10.4).

use serde::{Deserialize, Serialize};

shapes! {
    /// `events.ack`: a named consumer is done with the events up to a cursor.
    #[serde(deny_unknown_fields)]
    AckParams {
        /// The subscription on this connection, which was made with a `name`.
        subscription: String,
        /// The cursor of the last event that is done; one before an acknowledged one changes nothing.
        cursor: String,
    }
    /// A consumer with a name.
    Consumer {
        /// Its name.
        name: String,
        /// The last cursor it has acknowledged.
        cursor: String,
    }
    /// Answer to `events.consumers`.
    ConsumersReply {
        /// All that are kept, by name.
        consumers: Vec<Consumer>,
    }
    /// `events.forget`.
    #[serde(deny_unknown_fields)]
    ForgetParams {
        /// Name of the consumer.
        name: String,
    }
}
