//! What was sent and never arrived, by the sequence numbers of headers: counted where it can be known, and nowhere else.
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use proptest::prelude::*;
use weir_schemas::Protocol;
use weir_wire::{Session, Unit};

const SECOND: i64 = 1_000_000_000;

/// A datagram of a protocol with so many records, and its number.
#[derive(Clone, Copy, Debug)]
struct Sent(Protocol, u32, u32);

fn datagram(Sent(protocol, number, records): Sent) -> Vec<u8> {
    let fields: Vec<u8> = (0..records).flat_map(|_| bytes().u32(100).0).collect();
    let (mut payload, at) = match protocol {
        Protocol::NetflowV5 => (v5(0, &vec![v5_record(1, 40, 0, 0); records as usize]), 16),
        Protocol::NetflowV7 => (without_templates(7, 0, &vec![vec![0; 52]; records as usize]), 16),
        Protocol::NetflowV9 => (v9(7, &[set(256, fields)]), 12),
        Protocol::Ipfix => (ipfix(7, &[set(256, fields)]), 8),
        _ => (sflow(&[]), 16),
    };
    payload[at..at + 4].copy_from_slice(&number.to_be_bytes());
    payload
}

/// A router whose templates are known.
fn router() -> Router {
    let mut router = Router::default();
    let numbers = template(256, &[f(1, 4)]);
    // Another port: its session is not looked at.
    for known in [v9(7, &[set(0, &numbers)]), ipfix(7, &[set(2, &numbers)])] {
        router.from(9999, &known, &mut Sink::default());
    }
    router
}

/// Sends datagrams a second apart, and gives their session.
fn seen(sent: impl IntoIterator<Item = Sent>) -> Session {
    seen_at((1..).map(|n| n * SECOND).zip(sent))
}

fn seen_at(sent: impl IntoIterator<Item = (i64, Sent)>) -> Session {
    let mut router = router();
    for (at, sent) in sent {
        router.at(RECEIVED + at, 5000, &datagram(sent), &mut Sink::default());
    }
    of_5000(&router)
}

fn of_5000(router: &Router) -> Session {
    router.exporter.sessions().iter().find(|session| session.source_port == 5000).cloned().unwrap_or_default()
}

fn counted(session: &Session) -> [u64; 5] {
    [session.received, session.missing, session.late, session.repeated, session.restarts]
}

fn counts_records(protocol: Protocol) -> bool {
    !matches!(protocol, Protocol::NetflowV9 | Protocol::SflowV5)
}

/// Numbers as an exporter of the protocol counts them, from `from` on, of datagrams with these many records.
fn stream(protocol: Protocol, from: u32, records: &[u32]) -> Vec<Sent> {
    let mut next = from;
    let by_records = counts_records(protocol);
    let mut one = |records: &u32| {
        let sent = Sent(protocol, next, *records);
        next = next.wrapping_add(if by_records { *records } else { 1 });
        sent
    };
    records.iter().map(&mut one).collect()
}

const ALL: [Protocol; 5] =
    [Protocol::NetflowV5, Protocol::NetflowV7, Protocol::NetflowV9, Protocol::Ipfix, Protocol::SflowV5];

#[test]
fn what_does_not_arrive_is_missing_in_what_the_protocol_counts() {
    for (protocol, received, missing) in [
        (Protocol::NetflowV5, 3 + 1 + 4, 2 + 5),
        (Protocol::NetflowV7, 3 + 1 + 4, 2 + 5),
        (Protocol::NetflowV9, 3, 2),
        (Protocol::Ipfix, 3 + 1 + 4, 2 + 5),
        (Protocol::SflowV5, 3, 2),
    ] {
        // Over the end of 32 bits, too.
        for from in [0, 1000, u32::MAX - 4] {
            let sent = stream(protocol, from, &[3, 2, 1, 5, 4]);
            let session = seen([sent[0], sent[2], sent[4]]);
            assert_eq!(counted(&session), [received, missing, 0, 0, 0], "{protocol:?} from {from}");
        }
    }
}

#[test]
fn what_comes_late_is_not_missing_and_what_comes_twice_came_once() {
    for protocol in ALL {
        let sent = stream(protocol, 500, &[2, 3, 4, 5, 6]);
        let whole = counted(&seen(sent.clone()));
        assert_eq!(whole[1..], [0, 0, 0, 0], "{protocol:?}");
        let order = |order: &[usize]| counted(&seen(order.iter().map(|n| sent[*n])));
        assert_eq!(order(&[0, 2, 1, 3, 4]), [whole[0], 0, 1, 0, 0], "{protocol:?}");
        assert_eq!(order(&[0, 4, 3, 2, 1]), [whole[0], 0, 3, 0, 0], "{protocol:?}");
        assert_eq!(order(&[0, 0, 1, 1, 2, 2, 3, 3, 4, 4]), [whole[0], 0, 0, 5, 0], "{protocol:?}");
        assert_eq!(order(&[0, 1, 2, 3, 0, 1, 2, 3, 4]), [whole[0], 0, 0, 4, 0], "{protocol:?}");
    }
}

#[test]
fn a_restart_is_no_loss_wherever_its_numbers_begin() {
    for protocol in ALL {
        for from in [0, 1, 3_000_000_000, 100_000_000] {
            let sent = [stream(protocol, 70_000, &[5; 20]), stream(protocol, from, &[5; 20])].concat();
            let session = seen(sent);
            // The first that does not fit could be anybody's: it is left out.
            assert_eq!([session.missing, session.restarts], [0, 1], "{protocol:?} at {from}");
            assert!(session.received >= 39, "{protocol:?} at {from}: {session:?}");
        }
    }
}

#[test]
fn a_number_that_nobody_can_have_sent_moves_nothing() {
    for protocol in ALL {
        let mut sent = stream(protocol, 70_000, &[5; 20]);
        sent.insert(10, Sent(protocol, 2_000_000_000, 5));
        sent.insert(15, Sent(protocol, 7, 5));
        let session = seen(sent);
        assert_eq!([session.missing, session.restarts, session.repeated], [0, 0, 0], "{protocol:?}");
    }
}

#[test]
fn what_comes_again_long_after_it_was_received_is_late_and_no_restart() {
    for protocol in ALL {
        let sent = stream(protocol, 70_000, &[5; 4000]);
        let times: Vec<_> = (0..4000).map(|n| n * SECOND).zip(sent).collect();
        let whole = counted(&seen_at(times.clone()));
        let again = [&times[..3900], &times[10..12], &times[3900..]].concat();
        let [received, missing, _, repeated, restarts] = whole;
        assert_eq!(counted(&seen_at(again)), [received, missing, 2, repeated, restarts], "{protocol:?}");
    }
}

#[test]
fn what_is_decoded_once_more_from_an_earlier_time_is_counted_as_if_it_were_new() {
    for protocol in ALL {
        let mut router = router();
        let sent = stream(protocol, 70_000, &[5; 200]);
        let send = |router: &mut Router, times: std::ops::Range<usize>| {
            for n in times {
                router.at(RECEIVED + n as i64 * SECOND, 5000, &datagram(sent[n]), &mut Sink::default());
            }
            counted(&of_5000(router))
        };
        let first = send(&mut router, 0..100);
        send(&mut router, 100..200);
        router.exporter.rewind(&mut router.budget);
        assert_eq!(send(&mut router, 0..100), first, "{protocol:?}");
    }
}

#[test]
fn an_outage_is_missing_as_far_as_it_can_have_been_sent_meanwhile() {
    for protocol in ALL {
        // A datagram a second, and an hour without any.
        let sent = stream(protocol, 0, &[5; 4000]);
        let (before, after) = (&sent[..300], &sent[3900..]);
        let times = (0..300).chain(3900..4000).map(|n| n * SECOND);
        let session = seen_at(times.zip(before.iter().chain(after).copied()));
        let length = if session.unit == Unit::Records { 5 } else { 1 };
        assert_eq!([session.missing, session.restarts], [3600 * length, 0], "{protocol:?}");
    }
}

#[test]
fn exporters_that_count_otherwise_than_their_protocol_says_are_known_by_their_numbers() {
    let records = [24, 24, 7, 24, 3, 24, 24, 11, 24, 24];
    for (protocol, like, unit) in [
        (Protocol::NetflowV9, Protocol::Ipfix, Unit::Records),
        (Protocol::Ipfix, Protocol::NetflowV9, Unit::Datagrams),
    ] {
        let mut sent = stream(like, 5000, &records.repeat(10));
        sent.iter_mut().for_each(|one| one.0 = protocol);
        // After some that show it, one is lost.
        let lost = sent.remove(50);
        let session = seen(sent);
        let missing = if unit == Unit::Records { lost.2.into() } else { 1 };
        assert_eq!((session.unit, session.missing, session.restarts), (unit, missing, 0), "{protocol:?}");
    }
}

#[test]
fn records_that_wait_for_their_template_are_not_counted_and_nothing_is_missing_behind_them() {
    let mut router = Router::default();
    let mut out = Sink::default();
    let mut send = |payload: &[u8]| router.from(5000, payload, &mut out);
    send(&datagram(Sent(Protocol::Ipfix, 100, 3)));
    send(&datagram(Sent(Protocol::Ipfix, 103, 3)));
    let mut template = ipfix(7, &[set(2, template(256, &[f(1, 4)]))]);
    template[8..12].copy_from_slice(&106_u32.to_be_bytes());
    send(&template);
    for number in [106, 109, 115] {
        send(&datagram(Sent(Protocol::Ipfix, number, 3)));
    }
    let session = &router.exporter.sessions()[0];
    assert_eq!(counted(session), [9, 3, 0, 0, 0]);
}

#[test]
fn ports_and_domains_count_for_themselves_and_only_so_many_are_kept() {
    let mut router = router();
    for n in 0..200_u16 {
        let payload = datagram(Sent(Protocol::NetflowV9, u32::from(n) * 1000, 1));
        router.from(n, &payload, &mut Sink::default());
        router.from(5000, &datagram(Sent(Protocol::NetflowV9, n.into(), 1)), &mut Sink::default());
    }
    let sessions = router.exporter.sessions();
    assert_eq!(sessions.len(), 64);
    assert!(sessions.iter().all(|session| session.missing == 0));
    assert!(sessions.iter().any(|session| session.source_port == 5000 && session.received == 200));
}

proptest! {
    /// Against a count of its own: what is dropped is missing, however what is left is shuffled within a few places.
    #[test]
    fn whatever_is_dropped_and_shuffled_is_counted_exactly(
        protocol in prop::sample::select(ALL.as_slice()),
        from: u32,
        fates in prop::collection::vec((1..30_u32, prop::bool::weighted(0.1), 0..3_usize), 2..200),
    ) {
        let records: Vec<u32> = fates.iter().map(|(records, ..)| *records).collect();
        let sent = stream(protocol, from, &records);
        let mut left: Vec<(usize, Sent)> = Vec::new();
        let mut dropped = 0;
        for (n, (sent, (_, drop, late))) in sent.into_iter().zip(&fates).enumerate() {
            let is_at_an_end = n == 0 || n + 1 == fates.len();
            let length = if counts_records(protocol) { u64::from(sent.2) } else { 1 };
            if *drop && !is_at_an_end {
                dropped += length;
            } else {
                left.push((if is_at_an_end { n } else { n + late }, sent));
            }
        }
        // The first stays first, and the last last.
        let end = left.len() - 1;
        left[1..end].sort_by_key(|(place, _)| *place);
        let session = seen(left.iter().map(|(_, sent)| *sent));
        prop_assert_eq!((session.missing, session.repeated, session.restarts), (dropped, 0, 0), "{:?}", session);
    }

    #[test]
    fn no_numbers_make_it_panic(sent in prop::collection::vec((0..ALL.len(), any::<u32>(), 0..3_u32, any::<i64>()), 0..100)) {
        seen_at(sent.into_iter().map(|(protocol, number, records, at)| (at / 4, Sent(ALL[protocol], number, records))));
    }
}
