//! Names of contacts: what is a name, how collisions end, whom a text means (SPEC §8.5).

use std::collections::BTreeMap;

use super::rows::ContactRow;
use crate::control::{ControlError, ErrorName, without_escapes};
use crate::id::AccountId;
use crate::limits::NAME_BYTES_MAX;

/// A name people can use: trimmed, without control characters, not empty, not too long.
pub(crate) fn check(name: &str) -> Result<String, ControlError> {
    let shown = shown(name);
    if shown.is_empty() || shown.len() > NAME_BYTES_MAX || shown == "me" {
        return Err(bad_name());
    }
    Ok(shown)
}

/// A name that a person gives, to a contact or to oneself.
pub(crate) fn of_person(name: &str) -> Result<String, ControlError> {
    let name = check(name)?;
    if is_reserved(&name) { Err(bad_name()) } else { Ok(name) }
}

fn bad_name() -> ControlError {
    ControlError::with(ErrorName::BadName, NAME_BYTES_MAX.to_string())
}

/// Stands for oneself, begins an account address, or is kept for groups.
fn is_reserved(name: &str) -> bool {
    let begins = |with: &str| name.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    name.eq_ignore_ascii_case("me") || begins("mur1") || begins("#")
}

/// What a stranger calls itself, if a person could be given it as a name; cut where that could not be longer.
pub(crate) fn nickname(told: &str) -> Option<String> {
    let name = clean(told);
    (!name.is_empty() && !is_reserved(&name)).then_some(name)
}

/// What can be shown of a stranger's nickname; never longer than a name may be.
pub(crate) fn clean(name: &str) -> String {
    let mut out = String::new();
    for c in shown(name).chars() {
        if out.len() + c.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        out.push(c);
    }
    out.trim().to_owned()
}

/// Of whatever length: what is seen of it, with one kind of white space.
fn shown(name: &str) -> String {
    let mut out = String::new();
    for c in without_escapes(name).trim().chars().filter(|c| !c.is_control() && !is_unseen(*c)) {
        let c = if c.is_whitespace() { ' ' } else { c };
        if c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    out.trim().to_owned()
}

/// What turns text around, and what is not seen: two names must not look the same. Unicode's Default_Ignorable_Code_Point,
/// and a blank that is no white space.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// `wanted`, or `wanted-2`, `wanted-3`, … until no other contact has it.
pub(crate) fn unique(wanted: &str, contacts: &BTreeMap<AccountId, ContactRow>, except: &AccountId) -> String {
    let taken =
        |name: &str| contacts.values().any(|contact| contact.name == name && contact.account != *except);
    let mut name = wanted.to_owned();
    let mut number = 2u32;
    while taken(&name) {
        name = format!("{wanted}-{number}");
        number += 1;
    }
    name
}

/// A name that a person gives to this contact: no other has it.
pub(crate) fn of_contact(
    name: &str,
    contacts: &BTreeMap<AccountId, ContactRow>,
    account: &AccountId,
) -> Result<String, ControlError> {
    let name = of_person(name)?;
    if unique(&name, contacts, account) == name {
        Ok(name)
    } else {
        Err(ControlError::with(ErrorName::NameTaken, name))
    }
}

/// The contact a text means: its exact name or account, or a unique prefix of either.
pub(crate) fn resolve<'a>(
    who: &str,
    contacts: &'a BTreeMap<AccountId, ContactRow>,
) -> Result<&'a ContactRow, ControlError> {
    // An account before a name: nobody can call himself by somebody else's account.
    let by_account = who.parse().ok().and_then(|account: AccountId| contacts.get(&account));
    if let Some(contact) = by_account.or_else(|| contacts.values().find(|c| c.name == who)) {
        return Ok(contact);
    }
    let by_prefix = |c: &&ContactRow| c.name.starts_with(who) || c.account.to_string().starts_with(who);
    let matches: Vec<&ContactRow> =
        if who.is_empty() { Vec::new() } else { contacts.values().filter(by_prefix).collect() };
    match matches.as_slice() {
        [] => Err(ControlError::with(ErrorName::NoSuchContact, who)),
        [one] => Ok(one),
        several => {
            let names: Vec<&str> = several.iter().map(|c| c.name.as_str()).collect();
            Err(ControlError::with(ErrorName::AmbiguousContact, names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_and_bounded() {
        assert_eq!(check("  ann\u{1b}[31m \u{202e}"), Ok("ann".to_owned()));
        let longest = "x".repeat(NAME_BYTES_MAX);
        assert_eq!(check(&longest), Ok(longest.clone()));
        assert_eq!(clean(&format!("{longest}y")), longest, "a stranger's is cut");
        // Story: a stranger that called itself by a contact's name and a character that is not seen was shown like it.
        for unseen in "\u{fe0f}\u{34f}\u{115f}\u{3164}\u{180e}\u{206a}\u{ffa0}\u{e0100}\u{2800}".chars() {
            assert_eq!(clean(&format!("an{unseen}n")), "ann", "{unseen:?}");
        }
        for blank in ["\u{a0}", "\u{3000}", "  ", " \u{2003} "] {
            assert_eq!(clean(&format!("ann{blank}lee")), "ann lee", "{blank:?}");
        }
        for bad in ["", " \u{7} ", "me", &format!("{longest}y")] {
            assert_eq!(check(bad).map_err(|e| e.name), Err(ErrorName::BadName), "{bad}");
        }
    }

    /// Story: a contact could be called `#team` or `mur1abc`, which a command may read as a group or an account.
    #[test]
    fn a_person_is_not_called_like_a_group_or_an_account() {
        for bad in ["#team", " #", "mur1abc", "MUR1ABC", "me"] {
            assert_eq!(of_person(bad).map_err(|e| e.name), Err(ErrorName::BadName), "{bad}");
            assert_eq!(nickname(bad), None, "{bad}");
        }
        for good in ["team #1", "murmel", "mur", "-x"] {
            assert_eq!(of_person(good), Ok(good.to_owned()));
            assert_eq!(nickname(good), Some(good.to_owned()));
        }
    }
}
