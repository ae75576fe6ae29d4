//! Percent-encoding, and the query of a link.

use std::fmt::Write as _;

/// A text as one segment of a path or one value of a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || byte == b'.' && text != "." {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// What [`encode`] or a browser's form made; `None` if it is no text.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let [high, low] = [rest.next()?, rest.next()?].map(|digit| char::from(digit).to_digit(16));
                (high? * 16 + low?) as u8
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The values of a key in a query, in order.
pub(super) fn values(query: &str, key: &str) -> Vec<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == key).filter_map(|(_, value)| decode(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_a_link() {
        for text in ["plain", "a/b,c", "100 %", "+", ".", "..", "é<\"&'>", "a=b&c"] {
            let encoded = encode(text);
            assert_eq!(decode(&encoded).as_deref(), Some(text));
            assert!(
                encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_~.%".contains(&byte)),
                "{encoded}"
            );
        }
        assert_eq!(encode("."), "%2E", "a browser would resolve a bare dot");
    }

    #[test]
    fn a_query_is_read_and_a_broken_one_is_no_failure() {
        assert_eq!(values("run=a%2Fb&x=1&run=c+d", "run"), ["a/b", "c d"]);
        assert_eq!(values("run=%zz&run=%ff&run&run=%2", "run"), [""; 0]);
    }
}
