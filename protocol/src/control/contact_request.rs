//! Shapes of `request.*`: strangers who ask to become contacts (SPEC §10.2).

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Who may become a contact without having been added: `privacy.accept_requests`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AcceptRequests {
    /// Whoever knows the account may ask; who holds a ticket need not.
    Anyone,
    /// Only who holds a ticket. Others are not heard.
    #[default]
    WithInvite,
    /// Nobody, not even with a ticket.
    Nobody,
}

shapes! {
    /// A stranger who asks.
    RequestEntry {
        /// Id of the request, for `request accept` and `request decline`.
        id: String,
        /// The account that asks.
        account: String,
        /// The nickname it gives itself; may be empty, and may be anybody's.
        name: String,
        /// When the request arrived.
        at: Timestamp,
        /// When it is forgotten.
        until: Timestamp,
        /// The beginning of what it says, at most `limits::REQUEST_TEXT_BYTES_MAX` bytes; may be empty.
        text: String,
    }
    /// Answer to `request.list`.
    RequestsReply {
        /// Requests that wait for an answer, the oldest first.
        requests: Vec<RequestEntry>,
        /// Who may ask, as configured.
        accepts: AcceptRequests,
    }
    /// `request.accept`.
    #[serde(deny_unknown_fields)]
    AcceptRequestParams {
        /// Id of the request, a unique beginning of it, or the account.
        id: String,
        /// Name to give the contact; else its nickname.
        #[serde(default)] name: Option<String>,
    }
    /// `request.decline`.
    #[serde(deny_unknown_fields)]
    DeclineRequestParams {
        /// Id of the request, a unique beginning of it, or the account.
        id: String,
        /// Block the account for good; else it is not heard for a while.
        #[serde(default)] block: bool,
    }
}
