//! Datagrams as a fuzzer changes them: bytes that are cut into datagrams anywhere, so that whatever it does gives some.

/// Most datagrams that one run decodes.
const MOST: usize = 48;
/// Seconds from a datagram to the next: at once, a while, as long as data waits and longer, as long as a template is kept and longer.
const LATER: [i64; 4] = [0, 60, 1801, 7201];

/// A datagram, and what is around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Port that it comes from.
    pub port: u16,
    /// Seconds since the one before.
    pub later: i64,
    /// Whether the decoder starts again before it, from what it kept.
    pub restart: bool,
    /// Three bits that mean something to one protocol.
    pub spare: u8,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Datagrams out of bytes: of each a byte of what is around it, two of its length, its bytes. A length that is too large takes all
/// that is left.
pub fn unwrap(mut data: &[u8]) -> Vec<Sent> {
    let mut all = Vec::new();
    while let Some((&[around, high, low], rest)) = data.split_first_chunk()
        && all.len() < MOST
    {
        let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        all.push(Sent {
            port: 1000 + u16::from(around & 3),
            later: LATER[usize::from(around >> 2 & 3)],
            restart: around & 16 != 0,
            spare: around >> 5,
            payload: payload.to_vec(),
        });
        data = rest;
    }
    all
}

/// The inverse of [`unwrap`], with a byte before that chooses what else is tried.
pub fn wrap(mode: u8, all: &[Sent]) -> Vec<u8> {
    let mut data = vec![mode];
    for sent in all {
        let later = LATER.iter().position(|seconds| *seconds == sent.later).unwrap_or_default() as u8;
        let around = (sent.port % 4) as u8 | later << 2 | u8::from(sent.restart) << 4 | sent.spare << 5;
        data.push(around);
        data.extend_from_slice(&(sent.payload.len() as u16).to_be_bytes());
        data.extend_from_slice(&sent.payload);
    }
    data
}
