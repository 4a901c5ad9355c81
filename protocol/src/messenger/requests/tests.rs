//! Bounds of what is kept of strangers.

use super::*;
use crate::id::{MessageId, sha256};
use crate::messenger::content::{Place, Text};
use crate::messenger::store::MemoryStore;

fn account(i: usize) -> AccountId {
    AccountId(sha256(&[&i.to_le_bytes()]))
}

fn row(i: usize, stage: Stage) -> RequestRow {
    let until = Time(u64::try_from(i).unwrap());
    RequestRow { account: account(i), id: [0; 4], at: Time(0), until, stage, handshakes: Vec::new() }
}

fn pending(messages: &[usize]) -> Stage {
    let kept = |bytes: &usize| KeptMessage { replay_key: [1; 16], inner: vec![0; *bytes], kept_by: None };
    let messages = messages.iter().map(kept).collect();
    Stage::Pending { nickname: String::new(), text: None, messages }
}

#[test]
fn a_stranger_has_room_for_so_many_messages_and_bytes() {
    let most = REQUEST_MESSAGES_MAX;
    assert!(pending(&vec![1; most - 1]).has_room(1));
    assert!(!pending(&vec![1; most]).has_room(1), "one more message");
    let half = REQUEST_BYTES_MAX / 2;
    assert!(pending(&[half]).has_room(half - 1) && pending(&[half]).has_room(half));
    assert!(!pending(&[half]).has_room(half + 1), "one more byte");
    assert!(!Stage::Declined.has_room(1));
}

#[test]
fn a_text_is_cut_between_characters() {
    let said = |text: &str| {
        let (id, place) = (MessageId([1; 16]), Place { run: 1, seq: 1 });
        let text = Text { id, place, at: Time(0), expires: Time(0), text: text.to_owned() };
        first_text(&[Part::Text(text)]).unwrap().text
    };
    for bytes in [REQUEST_TEXT_BYTES_MAX - 1, REQUEST_TEXT_BYTES_MAX, REQUEST_TEXT_BYTES_MAX + 1] {
        assert_eq!(said(&"x".repeat(bytes)).len(), bytes.min(REQUEST_TEXT_BYTES_MAX));
    }
    let cut = said(&format!("x{}", "é".repeat(REQUEST_TEXT_BYTES_MAX)));
    assert_eq!(cut.len(), REQUEST_TEXT_BYTES_MAX - 1, "not in the middle of one");
    assert_eq!(first_text(&[]), None);
}

#[test]
fn so_many_declined_ones_are_remembered_and_the_first_to_be_forgotten_go() {
    MemoryStore::default()
        .transaction(|tx| {
            let mut requests = Requests::default();
            requests.save(tx, row(0, pending(&[1])))?;
            for i in 1..=DECLINED_MAX + 1 {
                requests.save(tx, row(i, Stage::Declined))?;
                requests.bound_declined(tx)?;
                assert_eq!(requests.by_account.len(), 1 + i.min(DECLINED_MAX));
            }
            assert!(!requests.by_account.contains_key(&account(1)), "the oldest");
            assert!(requests.by_account.contains_key(&account(0)), "who waits is not one of them");
            assert_eq!(rows::scan::<RequestRow>(tx)?.len(), 1 + DECLINED_MAX);
            Ok::<(), StoreError>(())
        })
        .unwrap();
}

#[test]
fn handshakes_are_bounded_and_the_oldest_is_forgotten() {
    let mut row = row(1, Stage::Declined);
    let handshake = |i: usize| Handshake { hint: [0; 8], ephemeral: sha256(&[&i.to_le_bytes()]) };
    for i in (0..=REQUEST_MESSAGES_MAX).chain(1..=REQUEST_MESSAGES_MAX) {
        row.remember(handshake(i));
    }
    assert_eq!(row.handshakes.len(), REQUEST_MESSAGES_MAX);
    assert!(!row.handshakes.contains(&handshake(0)) && row.handshakes.contains(&handshake(1)));
}
