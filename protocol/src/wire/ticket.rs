//! The ticket: the short text that lets somebody add you (SPEC §7).
//!
//! At most 80 bytes, so that its QR code fits a terminal. Upper case because QR codes store that
//! shorter; read in any case and with any white space, because people paste it from anywhere.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};

use crate::id::{AccountId, InviteToken};
use crate::wire::layout::Reader;

/// Most bytes of a ticket before it becomes text.
pub const TICKET_BYTES_MAX: usize = 80;
/// Most address hints in a ticket.
pub const TICKET_HINTS_MAX: usize = 3;

const VERSION: u8 = 1;
const HRP: Hrp = Hrp::parse_unchecked("mt");
const SCHEME: &str = "murmesh:";
/// Characters of the longest ticket that could be meant: anything longer is not looked at.
const TEXT_CHARS_MAX: usize = 512;

/// Characters of the longest code: `mt1`, the bytes, the checksum.
const CODE_CHARS_MAX: usize = 3 + (TICKET_BYTES_MAX * 8).div_ceil(5) + 6;

/// Set when the ticket carries an invite token.
const FLAG_TOKEN: u8 = 1;
/// Bits of a hint's first byte.
const HINT_V6: u8 = 1;
const HINT_QUIC: u8 = 2;

/// The text is not a usable ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Nothing that looks like a ticket.
    #[error("not a ticket")]
    NotATicket,
    /// A ticket with mistyped characters: which one, counted from 1 without white space, if only
    /// one is wrong.
    #[error("a mistyped ticket")]
    Mistyped {
        /// The position of the wrong character.
        position: Option<usize>,
    },
    /// An account address with mistyped characters, or a part of one.
    #[error("a mistyped account address")]
    MistypedAccount,
    /// Made by a newer murmesh.
    #[error("a ticket of a newer version")]
    NewerVersion,
    /// The checksum is right but the content is not: no murmesh made it.
    #[error("a ticket with impossible content")]
    Malformed,
}

/// Where a full peer can be dialed. Its PeerId is learnt on dialing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hint {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// QUIC over UDP, otherwise TCP.
    pub quic: bool,
}

/// What an inviter hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The inviter.
    pub account: AccountId,
    /// Makes its holder a contact without asking.
    pub token: Option<InviteToken>,
    /// Where to enter the network; those that do not fit are left out, the last first.
    pub hints: Vec<Hint>,
}

impl Ticket {
    /// The bytes behind the text.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let token = self.token.map_or([0; 16], |token| token.0);
        let flags = if self.token.is_some() { FLAG_TOKEN } else { 0 };
        let mut out = [&[VERSION], self.account.0.as_slice(), &token, &[flags]].concat();
        for hint in self.hints.iter().copied().take(TICKET_HINTS_MAX).map(Hint::to_bytes) {
            if out.len() + hint.len() > TICKET_BYTES_MAX {
                break;
            }
            out.extend(hint);
        }
        out
    }

    /// Reads what people add others by: a ticket, or an account address, which is a ticket without token and hints.
    ///
    /// # Errors
    /// It is neither.
    pub fn of_ticket_or_account(text: &str) -> Result<Ticket, TicketError> {
        let text = text.trim();
        match text.parse() {
            Ok(account) => Ok(Ticket { account, token: None, hints: Vec::new() }),
            Err(_) if text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("mur1")) => {
                Err(TicketError::MistypedAccount)
            }
            Err(_) => text.parse(),
        }
    }

    fn from_bytes(bytes: &[u8]) -> Result<Ticket, TicketError> {
        if bytes.first().is_some_and(|version| *version > VERSION) {
            return Err(TicketError::NewerVersion);
        }
        if bytes.len() > TICKET_BYTES_MAX {
            return Err(TicketError::Malformed);
        }
        Ticket::read(&mut Reader::new(bytes)).ok_or(TicketError::Malformed)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Ticket> {
        reader.u8().filter(|version| *version == VERSION)?;
        let (account, token) = (AccountId(reader.array()?), InviteToken(reader.array()?));
        let token = match reader.u8()? {
            FLAG_TOKEN => Some(token),
            0 if token.0 == [0; 16] => None,
            _ => return None,
        };
        let mut hints = Vec::new();
        while reader.end().is_none() {
            hints.push(Hint::read(reader)?);
        }
        (hints.len() <= TICKET_HINTS_MAX).then_some(Ticket { account, token, hints })
    }
}

impl Hint {
    fn to_bytes(self) -> Vec<u8> {
        let quic = if self.quic { HINT_QUIC } else { 0 };
        let port = self.port.to_le_bytes();
        match self.ip {
            IpAddr::V4(ip) => [&[quic], ip.octets().as_slice(), &port].concat(),
            IpAddr::V6(ip) => [&[quic | HINT_V6], ip.octets().as_slice(), &port].concat(),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Hint> {
        let kind = reader.u8().filter(|kind| kind & !(HINT_V6 | HINT_QUIC) == 0)?;
        let ip = if kind & HINT_V6 == 0 {
            Ipv4Addr::from(reader.array::<4>()?).into()
        } else {
            Ipv6Addr::from(reader.array::<16>()?).into()
        };
        Some(Hint { ip, port: reader.u16()?, quic: kind & HINT_QUIC != 0 })
    }
}

/// Which character of a code is wrong, if a single one is: every other one is tried in its place. Not by the
/// crate's own corrector, which panics at some texts.
fn mistyped(code: &str) -> Option<usize> {
    if code.len() > CODE_CHARS_MAX || !code.is_ascii() {
        return None;
    }
    let others = || "qpzry9x8gf2tvdw0s3jn54khce6mua7l".chars();
    let mut right = (HRP.len() + 1..code.len()).filter(|at| {
        let (Some(before), Some(after)) = (code.get(..*at), code.get(at + 1..)) else { return false };
        others().any(|other| CheckedHrpstring::new::<Bech32m>(&format!("{before}{other}{after}")).is_ok())
    });
    right.next().filter(|_| right.next().is_none())
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = bech32::encode_upper::<Bech32m>(HRP, &self.to_bytes()).map_err(|_| fmt::Error)?;
        write!(f, "MURMESH:{text}")
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Ticket, TicketError> {
        let typed: String = text.chars().filter(|c| !c.is_whitespace()).take(TEXT_CHARS_MAX + 1).collect();
        if typed.len() > TEXT_CHARS_MAX {
            return Err(TicketError::NotATicket);
        }
        let lower = typed.to_ascii_lowercase();
        let code = lower.strip_prefix(SCHEME).unwrap_or(&lower);
        if !code.starts_with("mt1") {
            return Err(TicketError::NotATicket);
        }
        let checked = CheckedHrpstring::new::<Bech32m>(code).map_err(|_| {
            let position = mistyped(code).map(|at| typed.len() - code.len() + at + 1);
            TicketError::Mistyped { position }
        })?;
        let ticket = Ticket::from_bytes(&checked.byte_iter().collect::<Vec<u8>>())?;
        // The bits that fill the last character up are nothing: a ticket has one text.
        let written = ticket.to_string().to_ascii_lowercase();
        if written.strip_prefix(SCHEME) == Some(code) { Ok(ticket) } else { Err(TicketError::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::refuses_bit_flips;

    fn v4(last: u8) -> Hint {
        Hint { ip: Ipv4Addr::new(203, 0, 113, last).into(), port: 4_001, quic: last == 2 }
    }

    fn v6(last: u16) -> Hint {
        Hint { ip: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into(), port: 4_001, quic: false }
    }

    fn ticket(hints: &[Hint]) -> Ticket {
        Ticket { account: AccountId([7; 32]), token: Some(InviteToken([9; 16])), hints: hints.to_vec() }
    }

    #[test]
    fn an_account_is_a_ticket_of_its_own() {
        let account = AccountId([7; 32]).to_string();
        let ticket = Ticket::of_ticket_or_account(&format!(" {}\n", account.to_uppercase())).unwrap();
        assert_eq!(ticket, Ticket { account: AccountId([7; 32]), token: None, hints: Vec::new() });
        let mistyped = account.replace('7', "8").replacen('q', "p", 1);
        assert_eq!(Ticket::of_ticket_or_account(&mistyped), Err(TicketError::MistypedAccount));
        assert_eq!(Ticket::of_ticket_or_account("mur1"), Err(TicketError::MistypedAccount));
        assert_eq!(Ticket::of_ticket_or_account("bob"), Err(TicketError::NotATicket));
        let whole = ticket_text();
        assert_eq!(Ticket::of_ticket_or_account(&whole), whole.parse());
    }

    fn ticket_text() -> String {
        ticket(&[v4(1)]).to_string()
    }

    #[test]
    fn a_ticket_is_frozen_and_read_however_it_was_pasted() {
        let ticket = ticket(&[v4(1), v4(2), v4(3)]);
        let text = ticket.to_string();
        assert_eq!(
            text,
            "MURMESH:MT1QYRSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWZGFPYYSJZGFPYYSJZGFPYYSJZGPQR9SQUGP5Y8S9JCQWYP2ZRCQEVQ8ZQAPPUU83L7D"
        );
        let half = text.len() / 2;
        let wrapped = format!("  {}\n {}\t", &text[..half], &text[half..]);
        for form in [&text, &text.to_lowercase(), &text[8..], &wrapped, &format!("Murmesh:{}", &text[8..])] {
            assert_eq!(form.parse(), Ok(ticket.clone()), "{form}");
        }
    }

    #[test]
    fn hints_that_do_not_fit_are_left_out_last_first() {
        let fitting = |hints: &[Hint]| ticket(hints).to_string().parse::<Ticket>().unwrap().hints;
        assert_eq!(fitting(&[v6(1), v4(1), v6(2)]), [v6(1), v4(1)]);
        assert_eq!(fitting(&[v6(1), v6(2), v4(1)]), [v6(1)]);
        assert_eq!(fitting(&[v4(1), v4(2), v4(3), v4(4)]), [v4(1), v4(2), v4(3)]);
        assert_eq!(fitting(&[]), []);
        assert!(ticket(&[v6(1), v4(1), v4(2)]).to_bytes().len() <= TICKET_BYTES_MAX);
    }

    #[test]
    fn a_ticket_without_token_says_so() {
        let ticket = Ticket { token: None, ..ticket(&[v4(1)]) };
        assert_eq!(ticket.to_string().parse(), Ok(ticket));
    }

    /// Every wrong character is named by its position in what was typed.
    #[test]
    fn one_mistyped_character_is_named() {
        let text = ticket(&[v4(1), v4(2), v4(3)]).to_string();
        for at in 11..text.len() {
            let mut typed = text.clone().into_bytes();
            typed[at] = if typed[at] == b'Q' { b'P' } else { b'Q' };
            let typed = format!(" {}", String::from_utf8(typed).unwrap());
            let position = Some(at + 1);
            assert_eq!(typed.parse::<Ticket>(), Err(TicketError::Mistyped { position }), "{typed}");
        }
    }

    #[test]
    fn other_texts_are_refused_by_kind() {
        let parse = |text: &str| text.parse::<Ticket>();
        for text in ["", "hello", "MURMESH:", "mur1qqqq", "MURMESH:LN1QQQ", &"M".repeat(10_000)] {
            assert_eq!(parse(text), Err(TicketError::NotATicket), "{text}");
        }
        let text = ticket(&[]).to_string();
        assert_eq!(parse(&text[..text.len() - 3]), Err(TicketError::Mistyped { position: None }));
        let encode = |bytes: &[u8]| bech32::encode_upper::<Bech32m>(HRP, bytes).unwrap();
        assert_eq!(parse(&encode(&[2; 90])), Err(TicketError::NewerVersion));
        for bad in [&[][..], &[0], &[1; 51], &[1; 49], &[1; 81]] {
            assert_eq!(parse(&encode(bad)), Err(TicketError::Malformed));
        }
    }

    #[test]
    fn hostile_bytes_do_not_panic_and_the_text_has_no_undetected_flip() {
        let whole = ticket(&[v4(1), v6(2)]);
        for len in 0..whole.to_bytes().len() {
            let _ = Ticket::from_bytes(&whole.to_bytes()[..len]);
        }
        assert_eq!(Ticket::from_bytes(&[whole.to_bytes(), vec![0]].concat()), Err(TicketError::Malformed));
        let text = whole.to_string();
        refuses_bit_flips(&text.as_bytes()[11..], |bytes| {
            let accepted = core::str::from_utf8(bytes)
                .is_ok_and(|tail| format!("{}{tail}", &text[..11]).parse::<Ticket>() == Ok(whole.clone()));
            // A flip of the case bit changes nothing, by design.
            accepted && bytes.to_ascii_uppercase() != text.as_bytes()[11..] || bytes == &text.as_bytes()[11..]
        });
    }
}
