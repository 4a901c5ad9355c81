//! Times, durations and ids in words, for people. Local time zone; English short months.

use jiff::tz::TimeZone;
use jiff::{Timestamp as Instant, ZonedDateTime};
use murmesh_protocol::control::{MessageState, QueuedReason, Timestamp};
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Time};

use crate::text::one_line;

/// The time of this machine's clock.
pub(crate) fn now() -> Timestamp {
    let ms = Instant::now().as_millisecond();
    Timestamp(Time(u64::try_from(ms).unwrap_or_default()))
}

fn local(at: Timestamp) -> ZonedDateTime {
    let ms = i64::try_from(at.0.0).unwrap_or(i64::MAX);
    Instant::from_millisecond(ms).unwrap_or(Instant::MAX).to_zoned_datetime(TimeZone::system())
}

/// `14:02` today, else `23 Nov 14:02`, with the year if it is another.
pub(crate) fn moment(at: Timestamp) -> String {
    dated(at, "%H:%M", " %H:%M")
}

/// `in 12 s`, `in 5 min`; a moment if it is more than an hour ahead; nothing once it is past.
pub(crate) fn soon(at: Timestamp) -> Option<String> {
    let words = match at.0.since(now().0) {
        0 => return None,
        1..SECOND_MS => "in 1 s".to_owned(),
        ms @ SECOND_MS..MINUTE_MS => format!("in {} s", ms / SECOND_MS),
        ms @ MINUTE_MS..HOUR_MS => format!("in {}", span(ms)),
        _ => format!("at {}", moment(at)),
    };
    Some(words)
}

/// `8 Dec`, with the year if it is another; `14:02` if it is today.
pub(crate) fn day(at: Timestamp) -> String {
    dated(at, "%H:%M", "")
}

/// `14:02:25.123`, with the day if it is not today.
pub(crate) fn precise(at: Timestamp) -> String {
    dated(at, "%H:%M:%S%.3f", " %H:%M:%S%.3f")
}

fn dated(at: Timestamp, today: &str, other_day: &str) -> String {
    let (at, now) = (local(at), local(now()));
    let format = if at.date() == now.date() {
        today.to_owned()
    } else if at.year() == now.year() {
        format!("%-d %b{other_day}")
    } else {
        format!("%-d %b %Y{other_day}")
    };
    at.strftime(&format).to_string()
}

/// `84 ms`, `3.2 s`, `5 min`, `3 h 12 min`, `2 d 4 h`.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..SECOND_MS => format!("{ms} ms"),
        SECOND_MS..MINUTE_MS => format!("{}.{} s", ms / SECOND_MS, ms % SECOND_MS / 100),
        MINUTE_MS..HOUR_MS => format!("{} min", ms / MINUTE_MS),
        HOUR_MS..DAY_MS => two(ms / HOUR_MS, "h", ms % HOUR_MS / MINUTE_MS, "min"),
        _ => two(ms / DAY_MS, "d", ms % DAY_MS / HOUR_MS, "h"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// `1 peer`, `3 peers`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// `812 B`, `1.4 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} B"),
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit / (unit / 10)),
    }
}

/// The end of a PeerId, which is what differs.
pub(crate) fn short_peer(peer_id: &str) -> String {
    let skipped = peer_id.chars().count().saturating_sub(8);
    if skipped == 0 {
        peer_id.to_owned()
    } else {
        format!("…{}", peer_id.chars().skip(skipped).collect::<String>())
    }
}

/// `this node`, or the end of another one's PeerId.
pub(crate) fn peer_or_own(peer_id: &str, own: &str) -> String {
    if peer_id == own { "this node".to_owned() } else { short_peer(peer_id) }
}

/// The start of a message id: enough to name it.
pub(crate) fn short_message(id: &str) -> String {
    one_line(id).chars().take(10).collect()
}

/// The word of a state, the same on a terminal as in JSON.
pub(crate) fn state(state: MessageState) -> &'static str {
    match state {
        MessageState::Queued => "queued",
        MessageState::Held => "held",
        MessageState::Delivered => "delivered",
        MessageState::Read => "read",
        MessageState::Expired => "expired",
        MessageState::Refused => "refused",
        MessageState::Failed => "failed",
    }
}

/// Why a message is still here, and what happens next.
pub(crate) fn reason(reason: QueuedReason, to: &str) -> String {
    match reason {
        QueuedReason::Sending => "being sent".to_owned(),
        QueuedReason::NobodyToKeepIt => format!("kept here; goes when {to} is seen"),
        QueuedReason::TooFewCustodians => {
            "too few peers answered that could keep it; trying again".to_owned()
        }
        QueuedReason::MailboxFull => format!("{to}'s mailbox is full today; trying again"),
        QueuedReason::NotConnectedYet => format!("{to} has not answered the request yet; it goes then"),
        QueuedReason::Offline => "kept here; no other node can be reached".to_owned(),
    }
}

/// The same but for the case of letters, or for one character that is wrong, missing, too many or in its
/// neighbour's place.
pub(crate) fn is_near(typed: &str, name: &str) -> bool {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (typed, name) = (lower(typed), lower(name));
    let start = typed.iter().zip(&name).take_while(|(a, b)| a == b).count();
    let after = |text: &[char], skipped: usize| text.get(start + skipped..).map(<[char]>::to_vec);
    let same = |a: Option<Vec<char>>, b: Option<Vec<char>>| a.is_some() && a == b;
    let swapped = || {
        let pair = |text: &[char]| Some((*text.get(start)?, *text.get(start + 1)?));
        pair(&typed).is_some_and(|(a, b)| pair(&name) == Some((b, a)))
            && same(after(&typed, 2), after(&name, 2))
    };
    typed == name
        || (name.len() > 2
            && (same(after(&typed, 1), after(&name, 1))
                || same(after(&typed, 1), after(&name, 0))
                || same(after(&typed, 0), after(&name, 1))
                || swapped()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_soon_is_told_as_a_wait() {
        let ahead = |ms: u64| soon(Timestamp(Time(now().0.0 + ms))).unwrap();
        assert_eq!(soon(Timestamp(Time(0))), None);
        assert_eq!(ahead(12_900), "in 12 s");
        assert_eq!(ahead(5 * MINUTE_MS + 30_000), "in 5 min");
        assert!(ahead(26 * HOUR_MS).starts_with("at "));
    }

    #[test]
    fn spans_have_at_most_two_units() {
        for (ms, words) in [
            (84, "84 ms"),
            (3_250, "3.2 s"),
            (5 * MINUTE_MS + 1, "5 min"),
            (3 * HOUR_MS + 12 * MINUTE_MS, "3 h 12 min"),
            (2 * DAY_MS, "2 d"),
        ] {
            assert_eq!(span(ms), words);
        }
        assert_eq!(size(1_450_000), "1.4 MB");
        assert_eq!(short_peer("12D3KooWAbcdefgh"), "…Abcdefgh");
    }
}
