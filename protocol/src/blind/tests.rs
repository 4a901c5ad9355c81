use proptest::prelude::*;

use super::*;
use crate::keys::Entropy;
use crate::testing::{hex, unhex};

#[test]
fn arithmetic_agrees_with_tors_published_vectors() {
    let cases = include_str!("../../tests/vectors/tor-blinding.txt");
    let mut seen = 0;
    for line in cases.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<[u8; 32]> = line.split(' ').map(|field| unhex(field).try_into().unwrap()).collect();
        let [public, scalar, parameter, blinded_scalar, blinded_public] = fields.try_into().unwrap();
        let hashed: [u8; 64] =
            Sha512::digest([b"Derive temporary signing key".as_slice(), &parameter].concat()).into();
        let parameter = clamp_integer(*hashed.first_chunk().unwrap());
        assert_eq!(multiply(&public, parameter).unwrap().compress().0, blinded_public);
        let base = Scalar::from_bytes_mod_order(scalar);
        assert_eq!(multiply_scalar(&base, parameter).to_bytes(), blinded_scalar);
        seen += 1;
    }
    assert_eq!(seen, 8);
}

/// SPEC Appendix A: never edit one.
#[test]
fn addresses_are_frozen() {
    let entropy = Entropy::from_bytes([7; 32]);
    let account = AccountKeys::derive(&entropy).id();
    let mailbox = MailboxKeys::derive(&entropy, 3).public();
    let day = Day(20_000);
    let addresses = [
        request_address(&account, day).unwrap(),
        contact_address(&mailbox, day).unwrap(),
        whereabouts_address(&mailbox, day).unwrap(),
        invite_address(&account, &InviteToken([9; 16])),
    ];
    let text: Vec<String> = addresses.iter().map(|a| hex(&a.0)).collect();
    assert_eq!(
        text,
        [
            "8f1cd9e54ac4319a532261b5ad7907804a7c85acba4811de34e2b7ddb64f1463",
            "ccc81705d7b624003042b6c9fb7c77bd0297712a3af407b82ee25df48ef774d4",
            "2855b408890fa09da576e590644fc2b95a4f43bd97f443f96aa66f3cccfaa935",
            "8eff6dd2fe669b6499295aeeaeed185fcb46f5c81548ffd3594592aa624ddbcc"
        ]
    );
}

proptest! {
    #[test]
    fn both_sides_compute_the_same_address_and_its_signatures_verify(
        seed: [u8; 32], generation: u32, day: u32, token: [u8; 16], message: Vec<u8>
    ) {
        let entropy = Entropy::from_bytes(seed);
        let (account, mailbox) = (AccountKeys::derive(&entropy), MailboxKeys::derive(&entropy, generation));
        let (id, public, day, token) = (account.id(), mailbox.public(), Day(day), InviteToken(token));
        let pairs: [(Address, Box<dyn AddressSigner>); 4] = [
            (request_address(&id, day).unwrap(), Box::new(BlindedSigner::request(&account, day))),
            (contact_address(&public, day).unwrap(), Box::new(BlindedSigner::contact(&mailbox, day))),
            (whereabouts_address(&public, day).unwrap(), Box::new(BlindedSigner::whereabouts(&mailbox, day))),
            (invite_address(&id, &token), Box::new(InviteSigner::new(&id, &token))),
        ];
        for (i, (address, signer)) in pairs.iter().enumerate() {
            prop_assert_eq!(*address, signer.address());
            let signature = signer.sign(&message);
            for (j, (other, _)) in pairs.iter().enumerate() {
                prop_assert_eq!(verify_address(other, &message, &signature), i == j);
            }
        }
    }
}

/// Were the nonce prefix the same on both days, R would be the same too, and
/// `s₁/h₁ − s₂/h₂` would give away the account key to everyone who can compute both factors.
#[test]
fn one_message_on_two_days_never_repeats_its_nonce() {
    let account = AccountKeys::derive(&Entropy::from_bytes([7; 32]));
    let sign = |day| BlindedSigner::request(&account, Day(day)).sign(b"the same");
    assert_ne!(sign(1)[..32], sign(2)[..32]);
    assert_eq!(sign(1), sign(1));
}

#[test]
fn unusable_keys_have_no_address() {
    let identity = *b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut non_canonical = [0xff; 32];
    (non_canonical[0], non_canonical[31]) = (0xee, 0x7f);
    let off_curve =
        (0..=255).map(|i| [i; 32]).find(|k| CompressedEdwardsY(*k).decompress().is_none()).unwrap();
    let good = AccountKeys::derive(&Entropy::from_bytes([7; 32])).id().0;
    let torsion = curve25519_dalek::constants::EIGHT_TORSION[1];
    let mixed = (CompressedEdwardsY(good).decompress().unwrap() + torsion).compress().0;
    for bad in [identity, non_canonical, off_curve, mixed, torsion.compress().0] {
        assert_eq!(blind_public(&bad, Day(1), &[]), Err(BadKey));
    }
    assert!(blind_public(&good, Day(1), &[]).is_ok());
}
