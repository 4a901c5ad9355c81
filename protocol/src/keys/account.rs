//! What comes from the 24 words: the account key and the mailbox generations (SPEC §2.1).

use core::fmt;

use ed25519_dalek::{Signer, SigningKey};
use rand::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::crypto::{Secret, hkdf};
use crate::id::AccountId;
use crate::label;

/// The 256 bits that the 24 words stand for: everything of an account can be derived from them.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Entropy([u8; 32]);

impl Entropy {
    /// A new account's entropy.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Entropy {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Entropy(bytes)
    }

    /// The entropy of a restored or stored account.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Entropy {
        Entropy(bytes)
    }

    /// The bytes, to be shown as words or sealed to disk.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn derive(&self, info: &[&[u8]]) -> Secret {
        hkdf(&[], &self.0, info)
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(…)")
    }
}

/// The account root key `AK`, on the managing device only.
pub struct AccountKeys {
    signing: SigningKey,
}

impl AccountKeys {
    /// The account of `entropy`.
    #[must_use]
    pub fn derive(entropy: &Entropy) -> AccountKeys {
        let seed = entropy.derive(&[label::ACCOUNT_SEED]);
        AccountKeys { signing: SigningKey::from_bytes(&seed.0) }
    }

    /// The public name of the account.
    #[must_use]
    pub fn id(&self) -> AccountId {
        AccountId(self.signing.verifying_key().to_bytes())
    }

    /// Signs under the account key itself. `message` begins with its own label (SPEC §1.2).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.signing.as_bytes()
    }
}

impl fmt::Debug for AccountKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKeys({:?})", self.id())
    }
}

/// One generation of an account's private mailboxes: `MB_g` and `secret_g`.
pub struct MailboxKeys {
    generation: u32,
    signing: SigningKey,
    secret: Secret,
}

impl MailboxKeys {
    /// Generation `generation` of the account of `entropy`.
    #[must_use]
    pub fn derive(entropy: &Entropy, generation: u32) -> MailboxKeys {
        let number = generation.to_le_bytes();
        let seed = entropy.derive(&[label::MAILBOX_SEED, &number]);
        MailboxKeys {
            generation,
            signing: SigningKey::from_bytes(&seed.0),
            secret: entropy.derive(&[label::MAILBOX_SECRET, &number]),
        }
    }

    /// What is told to contacts, inside sessions only.
    #[must_use]
    pub fn public(&self) -> MailboxPublic {
        MailboxPublic {
            generation: self.generation,
            base_key: self.signing.verifying_key().to_bytes(),
            secret: self.secret.0,
        }
    }

    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.signing.as_bytes()
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret.0
    }
}

impl fmt::Debug for MailboxKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailboxKeys(generation {})", self.generation)
    }
}

/// A generation of somebody's private mailboxes as contacts know it: enough to compute addresses
/// and to mask and unmask bodies, not to collect.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MailboxPublic {
    /// Which generation: raised by every revocation and block.
    pub generation: u32,
    /// The Ed25519 key `MB_g` that is blinded to addresses.
    pub base_key: [u8; 32],
    /// `secret_g`: blinds addresses and masks bodies.
    pub secret: [u8; 32],
}

impl fmt::Debug for MailboxPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailboxPublic(generation {})", self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    /// Vectors of SPEC Appendix A: never edit one, a changed derivation loses every account.
    #[test]
    fn derivation_is_frozen() {
        let entropy = Entropy::from_bytes([7; 32]);
        let account = AccountKeys::derive(&entropy);
        assert_eq!(hex(&account.id().0), "d09acf093417643fb1dce4b29e8b0edc3ed71f3e15459b490cde51eccc19a389");
        let mailbox = MailboxKeys::derive(&entropy, 3).public();
        assert_eq!(
            hex(&mailbox.base_key),
            "5ab64bd8ff603641d6729d536e80133ca53ae157681cf5adf9eaf542916a3f9c"
        );
        assert_eq!(hex(&mailbox.secret), "84ccfa2284b30ef142f1ee0ce971e1a8dec357f18846980eea499d99a0049d0e");
    }

    #[test]
    fn generations_share_nothing() {
        let entropy = Entropy::from_bytes([7; 32]);
        let (a, b) = (MailboxKeys::derive(&entropy, 0).public(), MailboxKeys::derive(&entropy, 1).public());
        assert_ne!(a.base_key, b.base_key);
        assert_ne!(a.secret, b.secret);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let entropy = Entropy::from_bytes([7; 32]);
        let text = format!("{entropy:?} {:?}", MailboxKeys::derive(&entropy, 0).public());
        assert_eq!(text, "Entropy(…) MailboxPublic(generation 0)");
    }
}
