//! The decoders of the Messenger, for [`crate::decoders`].

use core::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::content::{Content, Whereabouts};
use super::invites::{InviteContent, parse_hint};
use super::publishing::RecordRow;
use super::requests::RequestRow;
use super::rows::{
    AccountRow, ClientIdRow, ConsumerRow, ContactRow, EventRow, InviteRow, MessageRow, OpenedRow, OutboxRow,
    PrekeyRow, Record, SessionRow,
};
use super::store::Table;
use crate::decoders::{Decoder, TIMES};
use crate::wire::codec;

#[cfg(test)]
pub(crate) mod samples;

/// What is inside sealed messages and sealed records.
pub(crate) const CONTENT: Decoder =
    Decoder { name: "content", read: read_content, check: check_content, times: TIMES };

/// A row of the private store, behind a byte that names its table.
pub(crate) const ROW: Decoder = Decoder { name: "row", read: read_row, check: check_row, times: TIMES };

fn read_content(bytes: &[u8]) -> bool {
    Content::from_bytes(bytes).is_ok()
        | codec::decode::<InviteContent>(bytes).is_ok()
        | codec::decode::<Whereabouts>(bytes).is_ok()
}

fn check_content(bytes: &[u8]) {
    if let Ok(content) = Content::from_bytes(bytes) {
        let written = Content::V1(content.clone()).to_bytes();
        assert_eq!(Content::from_bytes(&written), Ok(content));
    }
    if let Ok(whereabouts) = codec::decode::<Whereabouts>(bytes) {
        let _ = whereabouts.within_limits();
        let _ = whereabouts.addresses.iter().filter_map(|address| parse_hint(address)).count();
    }
    same_again::<InviteContent>(bytes);
    same_again::<Whereabouts>(bytes);
}

fn same_again<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = codec::decode::<T>(bytes) {
        assert_eq!(codec::decode::<T>(&codec::encode(&value)), Ok(value));
    }
}

/// How the rows of a table are read and checked.
type Row = (Table, fn(&[u8]) -> bool, fn(&[u8]));

const fn row<R: Record>() -> Row {
    (R::TABLE, |bytes| codec::decode::<R>(bytes).is_ok(), check_as::<R>)
}

const ROWS: [Row; 13] = [
    row::<AccountRow>(),
    row::<PrekeyRow>(),
    row::<InviteRow>(),
    row::<ContactRow>(),
    row::<SessionRow>(),
    row::<OpenedRow>(),
    row::<OutboxRow>(),
    row::<MessageRow>(),
    row::<ClientIdRow>(),
    (Table::Events, read_event, check_as::<EventRow>),
    row::<RecordRow>(),
    row::<ConsumerRow>(),
    row::<RequestRow>(),
];

fn of_table(bytes: &[u8]) -> Option<(&'static Row, &[u8])> {
    let (table, row) = bytes.split_first()?;
    Some((ROWS.iter().find(|(known, ..)| *known as u8 == *table)?, row))
}

fn read_row(bytes: &[u8]) -> bool {
    of_table(bytes).is_some_and(|((_, read, _), row)| read(row))
}

fn check_row(bytes: &[u8]) {
    if let Some(((.., check), row)) = of_table(bytes) {
        check(row);
    }
}

fn check_as<R: Record>(bytes: &[u8]) {
    let Ok(row) = codec::decode::<R>(bytes) else { return };
    let _ = (row.group(), row.position(), row.key());
    let written = codec::encode(&row);
    assert!(codec::decode::<R>(&written).is_ok_and(|again| codec::encode(&again) == written));
}

/// Its JSON too.
fn read_event(bytes: &[u8]) -> bool {
    codec::decode::<EventRow>(bytes).is_ok_and(|row| row.event().is_ok())
}
