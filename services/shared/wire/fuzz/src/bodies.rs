//! A body for each target: bytes in, a panic where something that must hold does not.

#[path = "bodies/check.rs"]
mod check;
#[path = "bodies/headers.rs"]
mod headers;
#[path = "bodies/sent.rs"]
mod sent;
#[path = "bodies/templates.rs"]
mod templates;

pub use headers::sampled_headers;
pub use sent::{Sent, unwrap, wrap};
pub use templates::{options_then_data, templates_then_data};

use check::{Mode, check};

/// What is run on an input.
pub type Body = fn(&[u8]);

/// Name and body of each target.
pub const TARGETS: &[(&str, Body)] = &[
    ("netflow_fixed", netflow_fixed),
    ("netflow_v9", netflow_v9),
    ("ipfix", ipfix),
    ("sflow", sflow),
    ("templates_then_data", templates_then_data),
    ("sampled_headers", sampled_headers),
    ("options_then_data", options_then_data),
    ("capture", capture),
];

/// Datagrams as [`wrap`] has them, each made one of a protocol. The first byte chooses what else is tried.
fn protocol(data: &[u8], make: impl Fn(&mut Vec<u8>, u8)) {
    let Some((mode, data)) = data.split_first() else { return };
    let mut all = unwrap(data);
    all.iter_mut().for_each(|sent| make(&mut sent.payload, sent.spare));
    check(&all, Mode::of(*mode));
}

fn begin(payload: &mut Vec<u8>, head: &[u8]) {
    payload.resize(payload.len().max(head.len()), 0);
    payload[..head.len()].copy_from_slice(head);
}

/// Versions 1, 5, 7 and 8.
pub fn netflow_fixed(data: &[u8]) {
    protocol(data, |payload, spare| begin(payload, &[0, [1, 5, 7, 8][usize::from(spare & 3)]]));
}

/// Version 9.
pub fn netflow_v9(data: &[u8]) {
    protocol(data, |payload, _| begin(payload, &[0, 9]));
}

/// IPFIX, with the length that it has or the one that is there.
pub fn ipfix(data: &[u8]) {
    protocol(data, |payload, spare| {
        begin(payload, &[0, 10]);
        if spare & 1 == 0 {
            let length = (payload.len().max(4) as u16).to_be_bytes();
            begin(payload, &[0, 10, length[0], length[1]]);
        }
    });
}

/// sFlow version 5.
pub fn sflow(data: &[u8]) {
    protocol(data, |payload, _| begin(payload, &[0, 0, 0, 5]));
}

/// A file of captured packets or of messages: datagrams and errors, the same each time, and an end.
pub fn capture(data: &[u8]) {
    let Ok(read) = weir_capture::read(data) else { return };
    let (mut again, mut given) = (weir_capture::read(data).ok(), 0);
    for item in read {
        given += 1;
        // A packet gives a datagram or an error, and the shortest has more bytes than one; fragments may be missed at the end as well.
        assert!(given <= 2 * data.len() + 2, "more is given than there are bytes");
        assert_eq!(
            again.as_mut().and_then(Iterator::next).as_ref(),
            Some(&item),
            "the same file gives the same"
        );
        let Ok(captured) = item else { continue };
        assert!(captured.at < data.len(), "a place beyond the file");
        assert!(captured.payload.len() <= data.len(), "more bytes than the file has");
    }
}
