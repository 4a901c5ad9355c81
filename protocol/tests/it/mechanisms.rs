//! What a Messenger and its sessions refuse, limit and delete: each test is red when its mechanism is taken
//! out.

use murmesh_protocol::control::{NoParams, Reply, Request, SendParams};

use crate::victim::Victim;

mod ended;
mod refused;
mod sealed;

fn texts(victim: &mut Victim) -> Vec<String> {
    victim.read().into_iter().map(|message| message.text).collect()
}

fn contacts(victim: &mut Victim) -> usize {
    match victim.ask(Request::Contacts(NoParams {})) {
        Reply::Contacts(list) => list.contacts.len(),
        other => panic!("{other:?}"),
    }
}

/// Writes to Mallory; gives the message's id.
fn send(victim: &mut Victim, text: &str) -> String {
    let (to, text) = ("mallory".to_owned(), text.to_owned());
    match victim.ask(Request::Send(SendParams { to, text, client_id: None, expire_ms: None })) {
        Reply::Send(sent) => sent.id,
        other => panic!("{other:?}"),
    }
}
