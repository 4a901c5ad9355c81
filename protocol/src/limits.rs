//! Every bound of the core, named once. What happens at each bound is in the comment; each has a
//! test one below, at and one above (SPEC §9).
//!
//! Sizes are bytes, durations milliseconds.

use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// How often something may be done at the prompting of others: so many at once, and one more after each
/// `refill_ms`. What comes too early is done later or left out, as said beside each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u64,
    /// Then one in this time.
    pub refill_ms: u64,
}

// Frames (SPEC §6)

/// A frame on a peer stream; a longer one ends the stream.
pub const FRAME_BYTES_MAX: usize = 72 * 1024;
/// Addresses in a HELLO or a whereabouts; more are cut.
pub const ADDRESSES_MAX: usize = 8;
/// One address as text; a longer one is dropped.
pub const ADDRESS_BYTES_MAX: usize = 128;
/// Peers in a PEERS or CLOSER frame; a frame with more is refused.
pub const PEERS_PER_FRAME_MAX: usize = 20;
/// Ids in a HAVE, MISSING or ADMITTED frame; a frame with more is refused.
pub const IDS_PER_FRAME_MAX: usize = 512;
/// Ids in a GET or TOMBSTONE; one with more is refused. A GET makes the custodian send as many bodies.
pub const IDS_PER_CLAIM_MAX: usize = 64;
/// Records in a RECORDS frame (one a slot); a frame with more is refused.
pub const RECORDS_PER_FRAME_MAX: usize = 4;

// Custody (SPEC §8)

/// Copies wanted of an envelope or record.
pub const REPLICAS: usize = 8;
/// Copies at which a message is `held`.
pub const REPLICAS_GOOD: usize = 4;
/// Region members beyond the nearest eight that may be used.
pub const REGION_EXTRA_MAX: usize = 16;
/// Below this many other eligible custodians everyone who keeps mail counts (small-network rule).
pub const SMALL_NETWORK_BELOW: usize = 8;
/// At this many the small-network rule ends (hysteresis).
pub const SMALL_NETWORK_ENDS: usize = 12;
/// Envelopes of one mailbox (one address: one day) at a custodian; one more is `mailbox-full`.
pub const MAILBOX_ENVELOPES_MAX: u64 = 2_048;
/// Bytes of one mailbox at a custodian; what would exceed them is `mailbox-full`.
pub const MAILBOX_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Tombstoned ids kept for one mailbox: twice its envelopes; the oldest go first.
pub const MAILBOX_TOMBSTONES_MAX: u64 = 2 * MAILBOX_ENVELOPES_MAX;
/// Longest life of an envelope.
pub const LIFE_MS_MAX: u64 = 30 * DAY_MS;
/// Life of a message unless its sender says otherwise.
pub const LIFE_MS: u64 = 14 * DAY_MS;
/// Grace of every `expires`, `not_before`, `not_after`: clocks may be a day apart.
pub const GRACE_MS: u64 = 26 * HOUR_MS;
/// Subscriptions of one peer at a custodian; one more is refused `too-many-subscriptions`.
pub const SUBSCRIPTIONS_PER_PEER_MAX: usize = 128;
/// Deposited bytes, of envelopes, records and tombstones, per address prefix (/24, /48) and hour; more is
/// `rate`, and a tombstone is not remembered. Not for loopback and private addresses.
pub const DEPOSIT_BYTES_PER_PREFIX_HOUR_MAX: u64 = 8 * 1024 * 1024;
/// Prefixes counted at once; the least recent is forgotten.
pub const DEPOSIT_PREFIXES_MAX: usize = 4_096;
/// Peers a Keeper knows as possible neighbours; the one seen longest ago is forgotten.
pub const NEIGHBOURS_MAX: usize = 1_024;
/// Life of a record at a custodian, at most.
pub const RECORD_LIFE_MS_MAX: u64 = 40 * DAY_MS;
/// How often a Keeper drops what has expired.
pub const EXPIRY_SWEEP_MS: u64 = 10 * MINUTE_MS;

// Delivery (SPEC §8.4)

/// Deposits begun at once.
pub const DEPOSITS_PARALLEL: usize = 8;
/// Deposits added when `good` is not reached after `DEPOSIT_HEDGE_MS`.
pub const DEPOSITS_HEDGED: usize = 2;
/// When a deposit unanswered for this long is hedged.
pub const DEPOSIT_HEDGE_MS: u64 = 700;
/// When a round of deposits ends whatever is missing.
pub const DEPOSIT_ROUND_MS: u64 = 10 * SECOND_MS;
/// Head start of the direct way before the mailbox is used too.
pub const DIRECT_HEAD_START_MS: u64 = SECOND_MS;
/// How long a message sent directly waits for its receipt before it is deposited too.
pub const DIRECT_RECEIPT_MS: u64 = 2 * SECOND_MS;
/// When the first of the messages on a direct stream is sent again if no receipt came: custodians may have it,
/// and its receipt be lost. Doubled each time, up to `DIRECT_AGAIN_MS_MAX`, until one comes.
pub const DIRECT_AGAIN_MS: u64 = 5 * SECOND_MS;
/// Longest pause until then.
pub const DIRECT_AGAIN_MS_MAX: u64 = 10 * MINUTE_MS;
/// A failed dial of a contact is not repeated for this long, unless something changed.
pub const DIAL_PAUSE_MS: u64 = 30 * SECOND_MS;
/// Messages on their way over one direct stream; the others wait.
pub const DIRECT_WINDOW: usize = 256;
/// First retry of a message that is not `held`; doubled, with full jitter, up to `RETRY_MS_MAX`.
pub const RETRY_MS_MIN: u64 = 2 * SECOND_MS;
/// Longest pause between retries.
pub const RETRY_MS_MAX: u64 = HOUR_MS;
/// Days after which a held message is deposited again.
pub const REDEPOSIT_DAYS: [u64; 5] = [1, 3, 7, 14, 21];
/// Custodians subscribed live for a mailbox.
pub const SUBSCRIBED: usize = 4;
/// How often every region member is polled.
pub const POLL_MS: u64 = 10 * MINUTE_MS;
/// Days back collected after an absence.
pub const COLLECT_DAYS_MAX: u32 = 30;
/// A body asked of one custodian and not received is asked of another after this.
pub const BODY_MS: u64 = 1_500;
/// Envelope ids remembered as seen; the oldest are forgotten (a duplicate is then opened again and
/// refused by its tag).
pub const SEEN_ENVELOPES_MAX: usize = 16_384;
/// Receipts by mailbox, at most one in this time for a contact.
pub const MAILBOX_RECEIPT_MS: u64 = MINUTE_MS;
/// How long opened tags are remembered.
pub const OPENED_TAG_MS: u64 = 31 * DAY_MS;
/// A sealed message that goes out again after this long without a receipt is sealed anew: by the deposit a week
/// after it was written, even if its sealing waited for the session.
pub const RESEAL_MS: u64 = 7 * DAY_MS - HOUR_MS;
/// Whereabouts are told to a contact at most once in this time.
pub const WHEREABOUTS_MS: u64 = 10 * MINUTE_MS;
/// A DIRECT_PROOF that fits no session: at most this many of a connection are tried.
pub const PROOFS_PER_PEER_MAX: u32 = 8;
/// First messages handled for one prekey: 100, and 100 an hour; more wait in their mailbox.
pub const FIRST_MESSAGES_RATE: Rate = Rate { burst: 100, refill_ms: HOUR_MS / 100 };
/// How often a contact that begins a session makes what custodians hold for it be sealed and deposited again;
/// one too often waits.
pub const BEGUN_ANEW_RATE: Rate = Rate { burst: 4, refill_ms: HOUR_MS };
/// A longer time between two steps is a jump of the clock: something is due every ten minutes.
pub const CLOCK_JUMP_MS: u64 = 30 * MINUTE_MS;
/// What would have ended while the clock jumped ends this long after it.
pub const CLOCK_DOUBT_MS: u64 = 6 * HOUR_MS;
/// A text that was over longer ago than anybody keeps mail comes from a clock that is wrong, its author's or the own
/// one: it is shown, for its author will be told that it arrived.
pub const OVER_SHOWN_MS: u64 = LIFE_MS_MAX + 2 * GRACE_MS;
/// What `CONTACT_BYTES_RATE` counts: content bytes, each message at least one.
pub const CONTACT_BYTES_UNIT: usize = 512;
/// Content of one contact that is opened: 64 MiB, and as much in 18 hours; more waits where it is.
pub const CONTACT_BYTES_RATE: Rate = Rate { burst: 64 * 1024 * 1024 / 512, refill_ms: SECOND_MS / 2 };
/// Parts of one content; one with more is not taken.
pub const PARTS_MAX: usize = 64;
/// How often a proof is tried on the sessions of all contacts, when none of those that are said to live at its
/// peer fits; one too many is not tried, and the mailbox is used.
pub const PROOF_SEARCHES_RATE: Rate = Rate { burst: 32, refill_ms: SECOND_MS };
/// Sessions begun with one prekey, remembered as long as it is; one more is refused. More than
/// `FIRST_MESSAGES_RATE` allows on the day that a public one is the newest.
pub const SESSIONS_PER_PREKEY_MAX: usize = 4_096;

// Account (SPEC §8.5)

/// Contacts of an account; one more is `too-many`.
pub const CONTACTS_MAX: usize = 10_000;
/// Strangers who ask to become contacts and wait for an answer. At the bound those that are there stay, and one more
/// is set aside: its copies stay with custodians, and are looked at again when there is room.
pub const REQUESTS_MAX: usize = 64;
/// Bytes of the sealed messages kept of one of them; what would exceed them is set aside.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Their number; one more is set aside. So many handshakes of one stranger are known, too; the oldest is forgotten.
pub const REQUEST_MESSAGES_MAX: usize = 8;
/// Bytes of its text that are shown before it is let in; the rest is cut. A longer one is not sent with a request.
pub const REQUEST_TEXT_BYTES_MAX: usize = 1_024;
/// How long a request waits for an answer, at both ends; then it is forgotten, and may be made again.
pub const REQUEST_MS: u64 = 14 * DAY_MS;
/// How long an account that was declined is not heard, however often it asks.
pub const DECLINED_MS: u64 = 90 * DAY_MS;
/// Declined accounts remembered; the one to be forgotten first goes.
pub const DECLINED_MAX: usize = 256;
/// Open invites of an account; one more is `too-many`.
pub const INVITES_MAX: usize = 256;
/// Uses of one invite.
pub const INVITE_USES_MAX: u32 = 1_000;
/// Life of an invite unless its maker says otherwise.
pub const INVITE_MS: u64 = DAY_MS;
/// Messages not yet delivered; one more is `too-many`.
pub const OUTBOX_MAX: usize = 100_000;
/// Bytes of a nickname or contact name.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes of a text: fits one envelope of the largest size class with its overhead.
pub const TEXT_BYTES_MAX: usize = 60_000;
/// Bytes of a `client_id`.
pub const CLIENT_ID_BYTES_MAX: usize = 128;
/// Steps kept of one message's story; the middle ones are dropped first.
pub const STEPS_MAX: usize = 200;
/// Events kept for `listen --since`; the oldest go first.
pub const EVENTS_MAX: u64 = 10_000;
/// So many of them go at a time.
pub const EVENTS_PRUNED: u64 = 64;
/// Named consumers of events; one more is `too-many`, until another is forgotten.
pub const CONSUMERS_MAX: usize = 64;
/// Messages a `read` may ask for.
pub const READ_LIMIT_DEFAULT: u32 = 50;
/// Archived sessions of a contact; the oldest go first.
pub const ARCHIVED_SESSIONS_MAX: usize = 40;
/// Full sessions of a contact whose sealed messages still wait; another is begun when one of them has none left, or
/// the contact is heard from. Fewer than either end archives.
pub const FILLED_SESSIONS_MAX: usize = 32;
/// How long it is believed that as many wait, unless a receipt comes.
pub const FILLED_LOOK_MS: u64 = 15 * SECOND_MS;
/// Ranges a receipt lists beyond its contiguous part; later ones wait for the next receipt.
pub const RECEIPT_RANGES_MAX: usize = 32;
/// Public records are published for today and this many days ahead.
pub const PUBLISH_DAYS_AHEAD: u32 = 7;
/// How long a new prekey bundle is valid.
pub const BUNDLE_MS: u64 = 8 * DAY_MS;
/// A bundle that is older by more than this than the newest one seen of its device is refused: a new one
/// is made every day, by an hourly look.
pub const BUNDLE_OLDER_MS: u64 = DAY_MS + 2 * HOUR_MS;
/// How long after its `not_after` a private prekey is kept.
pub const PREKEY_GRACE_MS: u64 = 31 * DAY_MS;
/// How long a deferred `contact.add` waits for the invite record before it answers `requested`.
pub const ADD_REPLY_MS: u64 = 4 * SECOND_MS;
/// When an invite record that has not come is asked for again while a client waits for it: it may have been
/// asked for before its maker's disk had it. Doubled each time.
pub const ADD_AGAIN_MS: u64 = 250;
/// Life of a manifest; renewed when half of it is over.
pub const MANIFEST_MS: u64 = 90 * DAY_MS;
/// Sealed messages that cannot be opened yet, kept until another opens; the oldest go first.
pub const UNOPENED_MAX: usize = 2_048;
/// How long the answers of several peers to one question about records are awaited.
pub const RECORDS_MS: u64 = 1_500;
/// A record not acknowledged for this long is put again; doubled each time, up to `RETRY_MS_MAX`. A refused
/// one waits for that long at once.
pub const PUT_MS: u64 = 5 * SECOND_MS;
/// How long after a change of peers regions are looked up again.
pub const REGIONS_PAUSE_MS: u64 = 200;
/// How often peers that come and go make regions be looked up again; one too many waits.
pub const REGIONS_RATE: Rate = Rate { burst: 8, refill_ms: 10 * SECOND_MS };
/// How often custodians that come bring the retries of the whole outbox forward; one too many waits.
pub const NEW_CUSTODIAN_RATE: Rate = Rate { burst: 8, refill_ms: 30 * SECOND_MS };
/// How often a custodian that comes brings forward what a full mailbox refused, too: it has room for it only if
/// it makes up most of the region. Else that waits for its own retry.
pub const FULL_MAILBOX_RATE: Rate = Rate { burst: 4, refill_ms: 10 * MINUTE_MS };
/// How often what one contact says or does brings the retries of what waits for it forward; one too many waits.
pub const CONTACT_WAKES_RATE: Rate = Rate { burst: 4, refill_ms: 15 * SECOND_MS };
/// Retries brought forward are spread over this: not everything at once, and within a second.
pub const NEW_CUSTODIAN_SPREAD_MS: u64 = 800;
/// Direct proofs sent to one peer; one too many is left out (the mailbox is used instead).
pub const PROOFS_RATE: Rate = Rate { burst: 8, refill_ms: 10 * SECOND_MS };
/// Receipts repeated to one contact because it sent again what was here already, or asked; one too many
/// waits.
pub const REPEATED_RECEIPTS_RATE: Rate = Rate { burst: 16, refill_ms: SECOND_MS };
/// Contacts whose proofs are tried on one peer that several say is theirs: those seen last.
pub const PROVERS_PER_PEER_MAX: usize = 4;
/// Outbox entries that look for custodians or deposit at once; others wait for one to finish.
pub const ROUNDS_MAX: usize = 256;
/// How long receipts by mailbox wait for more to acknowledge.
pub const RECEIPT_GATHER_MS: u64 = 300;
/// Undecryptable messages on one contact's direct stream within a day after which the session is reset.
pub const UNDECRYPTABLE_MAX: usize = 5;
/// Sessions begun anew for one contact because of those: each asks custodians, costs a handshake and seals
/// its outbox anew. For one too many the count of undecryptable ones begins again.
pub const SESSION_RESETS_RATE: Rate = Rate { burst: 3, refill_ms: HOUR_MS };
/// Runs of one contact whose numbers are remembered; the oldest goes first.
pub const RUNS_PER_CONTACT_MAX: usize = 8;
/// First repetition of an introduction that custodians hold; doubled up to `RETRY_MS_MAX`.
pub const INTRODUCTION_MS: u64 = 15 * SECOND_MS;
/// How long a message that no session knows waits for what comes before it, until it is looked for far
/// ahead in the sessions.
pub const FAR_AHEAD_MS: u64 = 2 * SECOND_MS;
/// How often it is looked for: thousands of hashes for each contact. One too often waits.
pub const FAR_AHEAD_RATE: Rate = Rate { burst: 2, refill_ms: 30 * SECOND_MS };
/// Contacts in whose sessions it is looked for in one step: the others' turn comes after `FAR_AHEAD_PAUSE_MS`, each once.
pub const FAR_AHEAD_CONTACTS: usize = 8;
/// Other work is done meanwhile. All contacts that an account may have take less than `FAR_AHEAD_RATE` refills in.
pub const FAR_AHEAD_PAUSE_MS: u64 = 20;
/// Ranges remembered of one run beyond its contiguous part; the newest is forgotten, and acknowledged when
/// it comes again.
pub const RECEIVED_RANGES_MAX: usize = 1_024;
/// Bytes of sealed messages that cannot be opened yet; the oldest go first.
pub const UNOPENED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Of those, messages of one contact's direct stream, and half of the bytes for all direct streams: their oldest go
/// first. What came directly is sent again; what else waits here is others' mail.
pub const UNOPENED_DIRECT_MAX: usize = DIRECT_WINDOW;
/// Bodies wanted at once that one custodian told of; more wait for the next poll.
pub const WANTED_PER_PEER_MAX: usize = 2_048;
/// Of what it passes on for one neighbour, which is no share of what either lists itself; more wait for the next poll.
pub const WANTED_PASSED_ON_MAX: usize = 128;
