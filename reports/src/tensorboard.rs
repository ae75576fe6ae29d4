//! Event files as `TensorBoard` reads them: `TFRecord` frames around protocol buffers, both written by hand.
//!
//! A frame is the length (8 bytes, little endian), its masked CRC-32C, the bytes, and their masked CRC-32C. A message is an
//! `Event`: `wall_time` (field 1, double), `step` (2, varint), `file_version` (3, string) or `summary` (5), whose `value`s (1) have
//! a `tag` (1) and a `simple_value` (2, float). Nothing else of the format is needed for curves.

use crate::schema::MetricRow;

/// Name of an event file; `TensorBoard` looks for `tfevents` in it.
pub const FILE: &str = "events.out.tfevents.0.recalign";

/// Version that the first event of a file declares.
const VERSION: &str = "brain.Event:2";
/// Wire types of protocol buffers.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// The event file of these rows; `seconds` tells when a step was reached. Keys are tags, in the order of the rows.
pub fn events(rows: &[MetricRow], seconds: impl Fn(u64) -> f64) -> Vec<u8> {
    let mut file = Vec::new();
    frame(&mut file, &[double(1, 0.0), bytes(3, VERSION.as_bytes())].concat());
    for row in rows {
        let value = [bytes(1, row.key.as_bytes()), float(2, row.value as f32)].concat();
        let summary = bytes(1, &value);
        let event = [double(1, seconds(row.step)), varint_field(2, row.step), bytes(5, &summary)].concat();
        frame(&mut file, &event);
    }
    file
}

fn frame(file: &mut Vec<u8>, message: &[u8]) {
    let length = (message.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked_crc(&length).to_le_bytes());
    file.extend(message);
    file.extend(masked_crc(message).to_le_bytes());
}

fn tag(field: u8, wire: u8) -> u8 {
    field << 3 | wire
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [&[tag(field, FIXED64)][..], &value.to_le_bytes()].concat()
}

fn float(field: u8, value: f32) -> Vec<u8> {
    [&[tag(field, FIXED32)][..], &value.to_le_bytes()].concat()
}

fn varint_field(field: u8, value: u64) -> Vec<u8> {
    [vec![tag(field, VARINT)], varint(value)].concat()
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    [vec![tag(field, BYTES)], varint(value.len() as u64), value.to_vec()].concat()
}

/// Seven bits per byte, the lowest first; all but the last have the eighth set.
fn varint(mut value: u64) -> Vec<u8> {
    let mut found = Vec::new();
    while value >= 0x80 {
        found.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    found.push(value as u8);
    found
}

/// `TFRecord`'s mask: a CRC of data that holds CRCs is weak, so they are rotated and shifted.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit over a table of one byte.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| crc >> 8 ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut crc, mut bit) = (index as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_equal_the_published_ones() {
        // RFC 3720, B.4: 32 bytes of zeros, 32 of ones, and the check value of the digits.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn numbers_of_any_length_are_varints() {
        assert_eq!([0, 1, 127].map(varint), [vec![0], vec![1], vec![127]]);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(u64::MAX).len(), 10);
    }

    #[test]
    fn every_row_is_one_frame_after_the_version() {
        let row = |step| MetricRow { stage: "s".into(), step, key: "loss".into(), value: 0.5 };
        let file = events(&[row(1), row(300)], |step| step as f64);
        let mut rest = file.as_slice();
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_crc(&rest[..8]).to_le_bytes());
            let message = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked_crc(message).to_le_bytes());
            messages.push(message);
            rest = &rest[16 + length..];
        }
        assert_eq!(messages.len(), 3);
        assert!(messages[0].ends_with(b"brain.Event:2"));
        let summary = b"\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f";
        assert!(messages[1].ends_with(summary) && messages[1][9..11] == [0x10, 1], "{:?}", messages[1]);
    }
}
