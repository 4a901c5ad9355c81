//! Every domain-separation label of the protocol, in one list (SPEC §1.2).
//!
//! No label is a prefix of another, so a signature, key or hash made for one purpose can never be
//! read as made for another, whatever fields follow the label.

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub(crate) const $name: &[u8] = $text;)*
        #[cfg(test)]
        pub(crate) const ALL: &[&[u8]] = &[$($name),*];
    };
}

labels! {
    /// Signature by the account: manifest (SPEC §4.4).
    MANIFEST = b"murmesh/1 manifest";
    /// Signature by the account: one device's keys (SPEC §4.4).
    CERTIFICATE = b"murmesh/1 device-certificate";
    /// Signature by a device: prekey bundle (SPEC §4.5).
    BUNDLE = b"murmesh/1 prekey-bundle";
    /// Signature by an address: record (SPEC §4.2).
    RECORD = b"murmesh/1 record";
    /// Signature by an address: subscription (SPEC §4.3).
    SUBSCRIBE = b"murmesh/1 subscribe";
    /// Signature by an address: fetching envelopes (SPEC §4.3).
    GET = b"murmesh/1 get";
    /// Signature by an address: dropping envelopes (SPEC §4.3).
    TOMBSTONE = b"murmesh/1 tombstone";
    /// HKDF info: seed of the account key (SPEC §2.1).
    ACCOUNT_SEED = b"murmesh/1 account-seed";
    /// HKDF info: seed of a mailbox base key (SPEC §2.1).
    MAILBOX_SEED = b"murmesh/1 mailbox-seed";
    /// HKDF info: secret of a mailbox generation (SPEC §2.1).
    MAILBOX_SECRET = b"murmesh/1 mailbox-secret";
    /// HKDF info: seed of an invite's address pair (SPEC §3.3).
    INVITE_SEED = b"murmesh/1 invite-seed";
    /// Hash: blinding factor (SPEC §3.3).
    BLIND = b"murmesh/1 blind-factor";
    /// Hash: nonce prefix of a blinded signer (SPEC §3.3).
    BLIND_NONCE = b"murmesh/1 blind-nonce";
    /// Extra input of the whereabouts address (SPEC §3.3).
    WHERE = b"where";
    /// HKDF info: mask of an envelope's body (SPEC §4.1).
    MASK = b"murmesh/1 mask";
    /// HKDF info: key of a record (SPEC §4.2).
    RECORD_KEY = b"murmesh/1 sealed-record";
    /// Noise prologue of the N message to the device key (SPEC §5.2).
    PROLOGUE_DEVICE = b"murmesh/1 D ";
    /// Noise prologue of the first message (SPEC §5.2).
    PROLOGUE_FIRST = b"murmesh/1 X ";
    /// Noise prologue of an epoch (SPEC §5.3).
    PROLOGUE_EPOCH = b"murmesh/1 N ";
    /// HKDF info: psk0 of the first message (SPEC §5.2).
    FIRST_PSK = b"murmesh/1 first-psk";
    /// HKDF info: the first key of epoch 0 bound to both device keys (SPEC §5.3).
    FIRST_K1 = b"murmesh/1 bound-k1";
    /// HKDF info: the second key of epoch 0 bound to both device keys (SPEC §5.3).
    FIRST_K2 = b"murmesh/1 bound-k2";
    /// Hash: the name of a first message (SPEC §5.2).
    FIRST_NAME = b"murmesh/1 first-name";
    /// HKDF info: chain key (SPEC §5.3).
    CHAIN = b"murmesh/1 chain";
    /// HKDF info: root key (SPEC §5.3).
    ROOT = b"murmesh/1 root";
    /// HKDF info: tag key of the next epoch (SPEC §5.3).
    TAG_KEY = b"murmesh/1 tag-key";
    /// HKDF info: header key of the next epoch (SPEC §5.3).
    HEADER_KEY = b"murmesh/1 header-key";
    /// HKDF info: key of direct proofs (SPEC §5.3).
    DIRECT_KEY = b"murmesh/1 direct-key";
    /// HMAC input: direct proof (SPEC §5.3).
    DIRECT_PROOF = b"murmesh/1 proof-direct";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_is_a_prefix_of_another() {
        for (i, a) in ALL.iter().enumerate() {
            for (j, b) in ALL.iter().enumerate() {
                assert!(i == j || !b.starts_with(a), "{a:?} begins {b:?}");
            }
        }
    }
}
