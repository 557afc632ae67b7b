//! Whether an exporter tells the truth: each habit beside its opposite.
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use weir_schemas::Ip;
use weir_schemas::checks::Checks;
use weir_wire::SourceId;

/// What was checked of datagrams, without what is 0.
fn checked(datagrams: &[Vec<u8>]) -> Vec<(&'static str, u64)> {
    let mut router = Router::default();
    datagrams.iter().for_each(|datagram| drop(router.send(datagram)));
    router.exporter.checks().all().filter(|(_, _, n)| *n > 0).map(|(name, _, n)| (name, n)).collect()
}

fn frame(length: u32, stripped: u32, header: &[u8]) -> Vec<(&'static str, u64)> {
    checked(&[sflow(&[flow_sample(3, 1, 3, 7, &[raw_header(length, stripped, header)])])])
}

/// A frame with so many VLAN tags.
fn tagged_frame(tags: usize, length: u16) -> Vec<u8> {
    let mut frame = tcp4(length);
    frame.splice(12..12, [0x81, 0, 0, 5].repeat(tags));
    frame
}

#[test]
fn what_a_frames_length_contains_shows_in_the_packet() {
    for (length, stripped, tags, ip, wanted) in [
        (1418, 4, 0, 1400, "frames_with_fcs"),
        (1414, 4, 0, 1400, "frames_without_fcs"),
        (1400, 4, 0, 1400, "frames_of_layer_3"),
        (1500, 4, 0, 1400, "frames_of_other_length"),
        (1410, 4, 0, 1400, "frames_of_other_length"),
        (1422, 4, 1, 1400, "frames_with_fcs"),
        (1418, 4, 1, 1400, "frames_without_fcs"),
        (1414, 4, 1, 1400, "frames_without_tags"),
        (1426, 4, 2, 1400, "frames_with_fcs"),
        (1418, 4, 2, 1400, "frames_without_tags"),
        (1414, 4, 2, 1400, "frames_without_tags"),
        (1410, 4, 2, 1400, "frames_of_other_length"),
        // A tag was taken away with the FCS; and what is not more than the FCS explains nothing.
        (1422, 8, 0, 1400, "frames_with_fcs"),
        (1424, 8, 0, 1400, "frames_of_other_length"),
        (1416, 2, 0, 1400, "frames_of_other_length"),
        (1422, 4, 0, 1400, "frames_of_other_length"),
        (64, 4, 0, 40, "short_frames_padded"),
        (60, 4, 0, 40, "short_frames_padded"),
        (59, 4, 0, 40, "short_frames_unpadded"),
        (64, 4, 1, 45, "short_frames_padded"),
        (63, 4, 1, 45, "short_frames_unpadded"),
        (64, 4, 0, 46, "frames_with_fcs"),
    ] {
        let header = tagged_frame(tags, ip);
        assert_eq!(
            frame(length, stripped, &header),
            [(wanted, 1)],
            "{length} bytes, {stripped}, {tags} tags"
        );
    }
    assert_eq!(frame(9018, 4, &tcp4(0)), [], "a header that leaves its length open says nothing");
}

#[test]
fn whether_octets_are_layer_2_or_3_shows_in_a_sampled_header() {
    let of = |octets: u32, header: &[u8]| {
        let fields = [f(1, 4), f(2, 4), f(312, 2), f(315, header.len() as u16)];
        let record = bytes().u32(octets).u32(1).u16(1418).raw(header).0;
        checked(&[ipfix(1, &[set(2, template(256, &fields)), set(256, record)])])
    };
    for (octets, tags, wanted) in [
        (1400, 0, "octets_of_layer_3"),
        (1414, 0, "octets_of_layer_2"),
        (1418, 0, "octets_of_layer_2"),
        (1401, 0, "octets_of_neither"),
        (1413, 0, "octets_of_neither"),
        (1419, 0, "octets_of_neither"),
        (1422, 1, "octets_of_layer_2"),
        (1423, 1, "octets_of_neither"),
    ] {
        let found = of(octets, &tagged_frame(tags, 1400));
        assert!(found.contains(&(wanted, 1)), "{octets}: {found:?}");
        assert!(found.iter().any(|(name, _)| name.starts_with("frames_with")), "{octets}: {found:?}");
    }
    let short = of(46, &tcp4(46));
    assert!(short.contains(&("octets_of_layer_3", 1)), "{short:?}");
    let padded = of(45, &tcp4(45));
    assert!(padded.iter().all(|(name, _)| !name.starts_with("octets")), "padding is in them: {padded:?}");
}

#[test]
fn origin_and_peer_ases_are_told_apart_by_the_neighbours_beside_them() {
    let fields = [f(16, 4), f(17, 4), f(128, 4), f(129, 4), f(2, 4)];
    let record = |src: u32, dst: u32, next: u32, previous: u32| {
        bytes().u32(src).u32(dst).u32(next).u32(previous).u32(1).0
    };
    let records = [
        record(1, 2, 2, 1),
        record(1, 2, 9, 1),
        record(0, 0, 9, 9),
        record(23_456, 7, 0, 0),
        record(5, 0, 0, 5),
    ];
    let found = checked(&[ipfix(1, &[set(2, template(256, &fields)), set(256, records.concat())])]);
    for wanted in [
        ("as_numbers", 5),
        ("as_zero", 1),
        ("as_trans", 1),
        ("as_of_neighbour", 2),
        ("as_of_origin", 1),
        ("flows_of_one_packet", 5),
    ] {
        assert!(found.contains(&wanted), "{wanted:?} of {found:?}");
    }
}

#[test]
fn flows_of_one_packet_and_implausible_times_are_counted_of_flow_records_alone() {
    let fields = [f(2, 4), f(152, 8), f(153, 8)];
    let now = u64::from(EXPORTED) * 1000;
    let record = |packets: u32, end: u64| bytes().u32(packets).u64(now - 9000).u64(end).0;
    let records = [record(0, now), record(1, now), record(1, now), record(7, now), record(9, 0)];
    assert_eq!(
        checked(&[ipfix(1, &[set(2, template(256, &fields)), set(256, records.concat())])]),
        [("flows", 4), ("flows_of_one_packet", 2), ("times_implausible", 1)]
    );
    let event = ipfix(1, &[set(2, template(256, &[f(2, 4), f(233, 1)])), set(256, [0, 0, 0, 1, 2])]);
    assert_eq!(checked(&[event]), [], "an event is no flow");
}

#[test]
fn templates_that_go_back_and_forth_are_two_exporters_behind_one_address() {
    let one = v9(1, &[set(0, template(256, &[f(8, 4), f(1, 4)]))]);
    let other = v9(1, &[set(0, template(256, &[f(1, 4), f(8, 4)]))]);
    let third = v9(1, &[set(0, template(256, &[f(1, 8)]))]);
    let flaps = |datagrams: &[&Vec<u8>]| {
        let datagrams: Vec<_> = datagrams.iter().map(|datagram| (*datagram).clone()).collect();
        checked(&datagrams)
    };
    assert_eq!(flaps(&[&one, &one, &other, &other, &third]), [], "a change is no flap");
    assert_eq!(flaps(&[&one, &other, &one, &other]), [("templates_flapped", 2)]);
}

#[test]
fn what_an_exporter_says_it_did_not_send_is_counted_from_its_first_word_on() {
    let fields = ipfix_options_template(300, &[f(144, 4)], &[f(166, 8), f(167, 8), f(168, 8), f(164, 8)]);
    let row = |flows: u64| set(300, bytes().u32(1).u64(flows).u64(flows * 10).u64(flows * 1000).u64(1).0);
    let messages = [ipfix(1, &[set(3, fields), row(1000)]), ipfix(1, &[row(1005)]), ipfix(1, &[row(3)])];
    let wanted = [("flows_not_sent", 5), ("packets_not_sent", 50), ("octets_not_sent", 5000)];
    assert_eq!(checked(&messages), wanted, "of a total that went back nobody knows what is new");

    // As RFC 7011 section 4 has them: two templates, and two processes.
    let ignored = ipfix_options_template(301, &[f(144, 4)], &[f(164, 8), f(165, 8)]);
    let other = |process: u32, packets: u64| set(301, bytes().u32(process).u64(packets).u64(0).0);
    let fields = ipfix_options_template(300, &[f(144, 4)], &[f(166, 8), f(167, 8), f(168, 8), f(164, 8)]);
    let mut messages = vec![ipfix(1, &[set(3, [fields, ignored].concat())])];
    messages.extend((0..4).map(|_| ipfix(1, &[row(5), other(1, 1000), other(2, 10)])));
    assert_eq!(checked(&messages), [], "totals that do not grow");
}

#[test]
fn the_rate_that_a_sampler_attains_stands_beside_the_one_it_announces() {
    let mut router = Router::default();
    for n in 0..5_u32 {
        let head = bytes().u32(n).u32(3).u32(1000).u32(n * 2000).u32(n).u32(3).u32(7).u32(0);
        router.send(&sflow(&[tagged(1, head.0)]));
    }
    let (id, source) = router.exporter.sources().next().unwrap();
    assert_eq!(*id, SourceId { agent: Ip::v4([192, 0, 2, 9]), sub_agent: 4, class: 0, index: 3 });
    assert_eq!(
        (source.rate, source.attained(), source.received, source.drops),
        (1000, Some(2_000_000), 5, 4)
    );
}

#[test]
fn samplers_are_told_apart_by_agent_sub_agent_and_data_source_and_sessions_by_agent_and_sub_agent() {
    let mut router = Router::default();
    let mut send = |agent: u8, sub_agent: u32, source: u32, number: u32| {
        let sample = bytes().u32(number).u32(source).u32(100).u32(number * 100).u32(0).u32(3).u32(7).u32(0).0;
        let head =
            bytes().u32(5).u32(1).raw([192, 0, 2, agent]).u32(sub_agent).u32(number).u32(UPTIME).u32(1);
        router.send(&head.raw(tagged(1, sample)).0);
    };
    // Each counts from a number of its own; taken for one another they would have lost or restarted.
    let sources = [(9, 0, 3), (9, 0, 4), (9, 0, 1 << 24 | 3), (9, 1, 3), (8, 0, 3)];
    for n in 0..4 {
        for (at, (agent, sub_agent, source)) in sources.iter().enumerate() {
            send(*agent, *sub_agent, *source, 1000 * at as u32 + n);
        }
    }
    let mut seen: Vec<_> = router.exporter.sources().map(|(id, source)| (*id, *source)).collect();
    seen.sort_by_key(|(id, _)| *id);
    let ids: Vec<_> = seen.iter().map(|(id, _)| (id.agent, id.sub_agent, id.class, id.index)).collect();
    let agent = |last| Ip::v4([192, 0, 2, last]);
    assert_eq!(
        ids,
        [
            (agent(8), 0, 0, 3),
            (agent(9), 0, 0, 3),
            (agent(9), 0, 0, 4),
            (agent(9), 0, 1, 3),
            (agent(9), 1, 0, 3)
        ]
    );
    for (id, source) in seen {
        assert_eq!(
            (source.received, source.made, source.restarts, source.attained()),
            (4, 3, 0, Some(100_000)),
            "{id:?}"
        );
    }
    let mut sessions: Vec<_> =
        router.exporter.sessions().iter().map(|one| (one.agent, one.observation_domain)).collect();
    sessions.sort_unstable();
    assert_eq!(sessions, [(agent(8), 0), (agent(9), 0), (agent(9), 1)]);
}

#[test]
fn a_selectors_totals_give_the_rate_that_it_attains_beside_the_one_it_announces() {
    let rate = ipfix_options_template(300, &[f(302, 4)], &[f(304, 2), f(305, 4), f(306, 4)]);
    let totals = ipfix_options_template(301, &[f(302, 4)], &[f(318, 8), f(319, 8)]);
    let announced = set(300, bytes().u32(7).u16(1).u32(1).u32(99).0);
    let row = |selector: u32, observed: u64, selected: u64| {
        ipfix(1, &[set(301, bytes().u32(selector).u64(observed).u64(selected).0)])
    };
    let templates = ipfix(1, &[set(3, [rate, totals].concat()), announced]);
    let grown = [row(7, 5000, 50), row(7, 205_000, 1050), row(7, 405_000, 2050)];
    let of = |rows: &[Vec<u8>]| checked(&[std::slice::from_ref(&templates), rows].concat());
    assert_eq!(
        of(&grown),
        [("samples_made", 2000), ("samples_pool", 400_000), ("samples_announced", 200_000)],
        "it announces 100 and attains 200"
    );
    assert_eq!(of(&[row(8, 0, 0), row(8, 1000, 10)]), [], "nothing is announced for it");
    assert_eq!(of(&[row(7, 5000, 50), row(7, 400, 4)]), [], "totals that went back began anew");
    assert_eq!(of(&[row(7, 0, 0), row(7, 10, 1000)]), [], "more than there were can't be selected");
    let many: Vec<_> = (0..200).chain(0..200).map(|n| row(n, u64::from(n), 1)).collect();
    assert_eq!(of(&many), [], "totals that do not grow, of as many selectors as anybody makes up");
}

#[test]
fn every_check_has_a_name_and_a_sentence() {
    assert!(Checks::default().all().all(|(name, doc, n)| !name.is_empty() && doc.ends_with('.') && n == 0));
}
