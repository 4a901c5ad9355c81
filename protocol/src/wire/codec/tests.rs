//! The reader against bincode's own, and what it allocates.

use proptest::prelude::*;

use super::*;

/// Everything our types are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    flag: bool,
    numbers: (u8, u16, u32, u64, usize),
    text: String,
    bytes: Vec<u8>,
    array: [u8; 5],
    option: Option<Box<Sample>>,
    choice: Choice,
    #[serde(deserialize_with = "at_most::<_, _, 4>")]
    list: Vec<Choice>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Nothing,
    One(String),
    Two(u64, u16),
    Named { pairs: Vec<(u64, u64)> },
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Nothing),
        any::<String>().prop_map(Choice::One),
        (any::<u64>(), any::<u16>()).prop_map(|(a, b)| Choice::Two(a, b)),
        prop::collection::vec((any::<u64>(), 0u64..300), 0..5).prop_map(|pairs| Choice::Named { pairs }),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    let numbers = (any::<u8>(), any::<u16>(), any::<u32>(), any::<u64>(), 0usize..70_000);
    let small = prop::collection::vec(any::<u8>(), 0..300);
    let list = prop::collection::vec(choice(), 0..5);
    let flat = (any::<bool>(), numbers, any::<String>(), small, any::<[u8; 5]>(), choice(), list).prop_map(
        |(flag, numbers, text, bytes, array, choice, list)| Sample {
            flag,
            numbers,
            text,
            bytes,
            array,
            option: None,
            choice,
            list,
        },
    );
    let flat = flat.boxed();
    (flat.clone(), prop::option::of(flat))
        .prop_map(|(sample, inner)| Sample { option: inner.map(Box::new), ..sample })
}

fn by_bincode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let read =
        bincode::serde::decode_from_slice(bytes, bincode::config::standard().with_limit::<1_000_000>());
    read.ok().filter(|(_, used)| *used == bytes.len()).map(|(value, _)| value)
}

proptest! {
    #[test]
    fn what_bincode_writes_is_read(sample in sample()) {
        let bytes = encode(&sample);
        prop_assert_eq!(decode::<Sample>(&bytes), Ok(sample));
    }

    /// Also of what is nearly an encoding: cut, lengthened, changed.
    #[test]
    fn it_takes_what_bincode_takes_and_nothing_else(
        sample in sample(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        longer in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = encode(&sample);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let cut = &bytes[..cut.index(bytes.len() + 1)];
        for bytes in [bytes.as_slice(), cut, &[bytes.as_slice(), &longer].concat()] {
            prop_assert_eq!(decode::<Sample>(bytes).ok(), by_bincode::<Sample>(bytes));
            prop_assert_eq!(decode::<(u16, u32)>(bytes).ok(), by_bincode::<(u16, u32)>(bytes));
        }
    }
}

#[test]
fn trailing_bytes_truncation_and_huge_claims_are_refused() {
    let bytes = encode(&(7u64, vec![1u8, 2, 3]));
    assert_eq!(decode::<(u64, Vec<u8>)>(&bytes), Ok((7, vec![1, 2, 3])));
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(decode::<(u64, Vec<u8>)>(&longer), Err(DecodeError::Malformed));
    for cut in 0..bytes.len() {
        assert_eq!(decode::<(u64, Vec<u8>)>(&bytes[..cut]), Err(DecodeError::Malformed));
    }
}

/// Story: bincode made a megabyte of 43 bytes that claimed 2^62 elements, and 128 KiB of a text that claimed
/// as much: whoever is connected could have it done as often as it liked.
#[test]
fn a_claim_costs_no_more_than_the_bytes_behind_it() {
    for length in [1u64 << 16, 1 << 30, 1 << 62] {
        let bytes = [&[253u8], length.to_le_bytes().as_slice(), &[1; 100]].concat();
        let allocated = allocation_counter::measure(|| {
            assert_eq!(decode::<Vec<u8>>(&bytes), Err(DecodeError::Malformed));
            assert_eq!(decode::<String>(&bytes), Err(DecodeError::Malformed));
            assert_eq!(decode::<Vec<[u8; 32]>>(&bytes), Err(DecodeError::Malformed));
        });
        assert_eq!(allocated.bytes_max, 0, "{length}");
    }
}

#[test]
fn lists_below_at_and_above_their_limit() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct List(#[serde(deserialize_with = "at_most::<_, _, 4>")] Vec<String>);
    for (count, taken) in [(3, true), (4, true), (5, false), (60_000, false)] {
        let list = List(vec![String::new(); count]);
        let bytes = encode(&list);
        let mut read = None;
        let allocated = allocation_counter::measure(|| read = Some(decode::<List>(&bytes)));
        assert_eq!(read, Some(if taken { Ok(list) } else { Err(DecodeError::TooLong) }));
        assert!(allocated.bytes_max <= 4 * 24, "{}", allocated.bytes_max);
    }
}

/// As many elements as bytes are left are claimed, and each would be many times larger in memory.
#[test]
fn a_claim_that_could_be_is_not_believed_either() {
    let bytes = [&[251, 0x60, 0xea], vec![0; 60_000].as_slice()].concat();
    let allocated = allocation_counter::measure(|| {
        assert_eq!(decode::<Vec<[u8; 32]>>(&bytes), Err(DecodeError::Malformed));
    });
    assert!(allocated.bytes_max <= 4 * 60_000, "{}", allocated.bytes_max);
}
