//! The two formats of W&B's offline file: `LevelDB`'s log of records, protocol buffers in them.

use anyhow::Context as _;

/// Bytes of a block; a record that does not fit goes on in the next.
const BLOCK: usize = 32 << 10;
/// Checksum, length and kind before every piece.
const HEAD: usize = 7;

/// The records of a log that begins with `skip` bytes of its own. A record that was cut off by a kill, and what follows, is left out.
///
/// # Errors
/// A piece has a kind that does not exist: this is no such log.
pub(super) fn records(bytes: &[u8], skip: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let (mut found, mut record, mut at) = (Vec::new(), Vec::new(), skip);
    while at < bytes.len() {
        let left = BLOCK - at % BLOCK;
        if left < HEAD {
            at += left;
            continue;
        }
        let Some(head) = bytes.get(at..at + HEAD) else { break };
        let length = usize::from(u16::from_le_bytes([head[4], head[5]]));
        let Some(piece) = bytes.get(at + HEAD..at + HEAD + length) else { break };
        at += HEAD + length;
        match head[6] {
            1 => found.push(piece.to_vec()),
            2 => record = piece.to_vec(),
            3 => record.extend_from_slice(piece),
            4 => {
                record.extend_from_slice(piece);
                found.push(std::mem::take(&mut record));
            }
            kind => anyhow::bail!("byte {at}: a piece of kind {kind}, which logs do not have"),
        }
    }
    Ok(found)
}

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    /// A whole number.
    Number(u64),
    /// A 64-bit floating-point number.
    Double(f64),
    /// A text or a message.
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
    pub(super) fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

/// The fields of a message with their numbers, in order.
///
/// # Errors
/// The message ends in the middle of a field.
pub(super) fn fields(mut message: &[u8]) -> anyhow::Result<Vec<(u64, Field<'_>)>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut message)?),
            1 => Field::Double(f64::from_le_bytes(take(&mut message, 8)?.try_into()?)),
            2 => {
                let length = usize::try_from(varint(&mut message)?)?;
                Field::Bytes(take(&mut message, length)?)
            }
            5 => Field::Bytes(take(&mut message, 4)?),
            kind => anyhow::bail!("a field of kind {kind}, which messages do not have"),
        };
        found.push((tag >> 3, field));
    }
    Ok(found)
}

fn take<'a>(message: &mut &'a [u8], count: usize) -> anyhow::Result<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(count).context("a message ends in the middle of a field")?;
    *message = rest;
    Ok(taken)
}

fn varint(message: &mut &[u8]) -> anyhow::Result<u64> {
    let mut value = 0;
    for place in 0..10 {
        let byte = take(message, 1)?[0];
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    anyhow::bail!("a number of more than ten bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(kind: u8, bytes: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, 0], (bytes.len() as u16).to_le_bytes().as_slice(), &[kind], bytes].concat()
    }

    #[test]
    fn records_go_on_over_blocks_and_a_cut_one_is_left_out() {
        let (first, rest) = (vec![1; BLOCK - 2 * HEAD - 10], vec![2; 40]);
        let mut log = piece(1, &first);
        log.extend(piece(2, &rest[..10 - 3]));
        log.extend([0; 3]);
        assert_eq!(log.len(), BLOCK, "three bytes are too few for a head");
        log.extend(piece(4, &rest[7..]));
        log.extend(piece(1, b"whole"));
        let cut = log.len() - 1;
        assert_eq!(records(&log, 0).unwrap(), [first.clone(), rest.clone(), b"whole".to_vec()]);
        assert_eq!(records(&log[..cut], 0).unwrap(), [first, rest]);
        assert!(records(&piece(9, b"x"), 0).is_err());
    }

    #[test]
    fn fields_are_those_of_the_format_and_a_cut_message_is_an_error() {
        let message = [0x08, 0xac, 0x02, 0x12, 0x02, b'h', b'i', 0x31, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f];
        let expected = [(1, Field::Number(300)), (2, Field::Bytes(b"hi")), (6, Field::Double(1.5))];
        assert_eq!(fields(&message).unwrap(), expected);
        assert!(fields(&message[..5]).is_err() && fields(&[0x80; 11]).is_err());
    }
}
