//! Who an exporter says it is: a column, by configuration, from records and options data, and never the key of anything.
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use weir_schemas::Ip;
use weir_wire::{Exporter, Identity, Own};

/// Where all datagrams come from.
const SOURCE: Ip = Ip::v4([192, 0, 2, 1]);
const PROCESS: [u8; 4] = [198, 51, 100, 7];
const ORIGINAL: [u8; 4] = [203, 0, 113, 9];
const ALL: [Identity; 5] = [
    Identity::Told,
    Identity::Source,
    Identity::Agent,
    Identity::ExportingProcess,
    Identity::OriginalExporter,
];

fn v6(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    address[15] = last;
    address
}

fn router(identity: Identity) -> Router {
    let mut router = Router::default();
    router.options.identity = identity;
    router
}

/// What flows of these fields say of their exporter: its address, and its domain.
fn who(identity: Identity, messages: &[Vec<u8>]) -> Vec<(Ip, Option<u32>)> {
    let mut router = router(identity);
    let flows = messages.iter().flat_map(|message| router.send(message).flows);
    flows.map(|flow| (flow.exporter_id, flow.original_domain)).collect()
}

const DATA: &[F] = &[f(8, 4), f(1, 4)];

fn data() -> Vec<u8> {
    bytes().raw([10, 0, 0, 1]).u32(100).0
}

/// A flow in a message of a domain.
fn flow(domain: u32) -> Vec<u8> {
    ipfix(domain, &[set(2, template(256, DATA)), set(256, data())])
}

/// A row of options data under a scope.
fn options(domain: u32, scope: (F, &[u8]), fields: &[F], row: &[u8]) -> Vec<u8> {
    let template = ipfix_options_template(300, &[scope.0], fields);
    ipfix(domain, &[set(3, template), set(300, [scope.1, row].concat())])
}

#[test]
fn the_address_that_is_configured_says_who_the_exporter_is_and_else_the_source_does() {
    let both = [DATA, &[f(130, 4), f(403, 4), f(405, 4)]].concat();
    let record = bytes().raw(data()).raw(PROCESS).raw(ORIGINAL).u32(77).0;
    let message = ipfix(5, &[set(2, template(256, &both)), set(256, record)]);
    let sample = sflow(&[flow_sample(3, 1, 3, 7, &[])]);
    let agent = Ip::v4([192, 0, 2, 9]);
    for (identity, wanted, of_sflow) in [
        (Identity::Told, Ip::v4(ORIGINAL), agent),
        (Identity::Source, SOURCE, SOURCE),
        (Identity::Agent, SOURCE, agent),
        (Identity::ExportingProcess, Ip::v4(PROCESS), SOURCE),
        (Identity::OriginalExporter, Ip::v4(ORIGINAL), SOURCE),
    ] {
        assert_eq!(who(identity, std::slice::from_ref(&message)), [(wanted, Some(77))], "{identity:?}");
        assert_eq!(who(identity, std::slice::from_ref(&sample)), [(of_sflow, None)], "{identity:?}");
        assert_eq!(who(identity, &[flow(5)]), [(SOURCE, None)], "{identity:?}: nothing is told");
        assert_eq!(who(identity, &[v5(0, &[v5_record(1, 60, 0, 0)])]), [(SOURCE, None)]);
    }
}

#[test]
fn what_is_not_told_is_not_taken_from_what_was_not_asked_for() {
    let fields = [DATA, &[f(130, 4)]].concat();
    let process = ipfix(5, &[set(2, template(256, &fields)), set(256, [data(), PROCESS.to_vec()].concat())]);
    let process = std::slice::from_ref(&process);
    assert_eq!(who(Identity::OriginalExporter, process), [(SOURCE, None)]);
    assert_eq!(who(Identity::Told, process), [(Ip::v4(PROCESS), None)]);
    let empty = ipfix(5, &[set(2, template(256, &fields)), set(256, [data(), vec![0; 4]].concat())]);
    assert_eq!(who(Identity::ExportingProcess, &[empty]), [(SOURCE, None)], "no address is none");
}

#[test]
fn exporters_of_ipv6_are_told_by_their_own_elements() {
    let fields = [DATA, &[f(131, 16), f(404, 16), f(405, 4)]].concat();
    let record = bytes().raw(data()).raw(v6(1)).raw(v6(2)).u32(0).0;
    let message = ipfix(5, &[set(2, template(256, &fields)), set(256, record)]);
    let message = std::slice::from_ref(&message);
    assert_eq!(who(Identity::ExportingProcess, message), [(Ip(v6(1)), Some(0))]);
    assert_eq!(who(Identity::OriginalExporter, message), [(Ip(v6(2)), Some(0))]);
    // A template for both families has zeros where the other one is.
    let fields = [DATA, &[f(403, 4), f(404, 16)]].concat();
    for (four, six, wanted) in
        [([0; 4], v6(2), Ip(v6(2))), (ORIGINAL, [0; 16], Ip::v4(ORIGINAL)), ([0; 4], [0; 16], SOURCE)]
    {
        let record = bytes().raw(data()).raw(four).raw(six).0;
        let message = ipfix(5, &[set(2, template(256, &fields)), set(256, record)]);
        assert_eq!(who(Identity::OriginalExporter, &[message])[0].0, wanted);
    }
}

#[test]
fn options_data_of_the_system_or_a_domain_tells_it_for_all_records_and_a_record_tells_it_better() {
    let told = [f(130, 4), f(404, 16), f(405, 4)];
    let row = bytes().raw(PROCESS).raw(v6(4)).u32(12).0;
    for scope in [(f(144, 4), [0, 0, 0, 1]), (f(143, 4), [0, 0, 0, 1]), (f(149, 4), [0, 0, 0, 5])]
        .iter()
        .map(|s| (s.0, &s.1[..]))
    {
        let messages = [flow(5), options(5, scope, &told, &row), flow(5), flow(6)];
        let wanted = [(SOURCE, None), (Ip(v6(4)), Some(12)), (SOURCE, None)];
        assert_eq!(who(Identity::OriginalExporter, &messages), wanted, "{scope:?}: of this domain alone");
        assert_eq!(who(Identity::ExportingProcess, &messages)[1].0, Ip::v4(PROCESS));
    }
    let own = [DATA, &[f(403, 4)]].concat();
    let record = ipfix(5, &[set(2, template(257, &own)), set(257, [data(), ORIGINAL.to_vec()].concat())]);
    let messages = [options(5, (f(144, 4), &[0, 0, 0, 1]), &told, &row), record];
    assert_eq!(
        who(Identity::OriginalExporter, &messages),
        [(Ip::v4(ORIGINAL), Some(12))],
        "of each element the record's word counts first"
    );
}

#[test]
fn a_domain_may_be_told_of_by_another_and_domain_0_of_ipfix_speaks_for_all() {
    let of_6 = options(5, (f(149, 4), &[0, 0, 0, 6]), &[f(403, 4)], &ORIGINAL);
    assert_eq!(who(Identity::Told, &[of_6, flow(5), flow(6)]), [(SOURCE, None), (Ip::v4(ORIGINAL), None)]);
    let all =
        options(0, (f(144, 4), &[0, 0, 0, 1]), &[f(403, 4), f(405, 4)], &[ORIGINAL, [0, 0, 0, 1]].concat());
    let one = options(6, (f(144, 4), &[0, 0, 0, 1]), &[f(403, 4)], &PROCESS);
    assert_eq!(
        who(Identity::Told, &[all, one, flow(5), flow(6)]),
        [(Ip::v4(ORIGINAL), Some(1)), (Ip::v4(PROCESS), Some(1))]
    );
    let row = bytes().u32(0).raw(ORIGINAL).0;
    let nine = |source, sets: &[Vec<u8>]| v9(source, sets);
    let told = nine(0, &[set(1, v9_options_template(300, &[f(1, 4)], &[f(403, 4)])), set(300, row)]);
    let flow = |source| nine(source, &[set(0, template(256, DATA)), set(256, data())]);
    assert_eq!(who(Identity::Told, &[told, flow(0), flow(7)]), [(Ip::v4(ORIGINAL), None), (SOURCE, None)]);
}

#[test]
fn an_exporting_process_that_is_the_scope_of_a_row_is_told_by_it() {
    for (scope, value, wanted) in
        [(f(130, 4), PROCESS.to_vec(), Ip::v4(PROCESS)), (f(131, 16), v6(3).to_vec(), Ip(v6(3)))]
    {
        let statistics = options(5, (scope, &value), &[f(41, 8)], &[0; 8]);
        assert_eq!(who(Identity::ExportingProcess, &[statistics, flow(5)]), [(wanted, None)]);
    }
}

#[test]
fn what_is_told_of_a_part_is_not_told_of_the_whole() {
    // Of an interface, a template, and of what is no scope that is known (common properties, RFC 5473).
    for scope in [f(10, 4), f(145, 4), f(137, 4)] {
        let row = options(5, (scope, &[0, 0, 1, 0]), &[f(403, 4)], &ORIGINAL);
        assert_eq!(who(Identity::Told, &[row, flow(5)]), [(SOURCE, None)], "{scope:?}");
    }
    let template = ipfix_options_template(300, &[f(144, 4), f(137, 4)], &[f(403, 4)]);
    let row = bytes().u32(1).u32(2).raw(ORIGINAL).0;
    let row = ipfix(5, &[set(3, template), set(300, row)]);
    assert_eq!(who(Identity::Told, &[row, flow(5)]), [(SOURCE, None)]);
    // Of nothing that is named.
    let told = v9(5, &[set(1, v9_options_template(300, &[], &[f(403, 4)])), set(300, ORIGINAL)]);
    let flow = v9(5, &[set(0, build::template(256, DATA)), set(256, data())]);
    assert_eq!(who(Identity::Told, &[told, flow]), [(SOURCE, None)]);
}

#[test]
fn a_row_that_says_less_takes_nothing_back_and_another_ports_word_counts_while_ports_agree() {
    let mut router = router(Identity::Told);
    let mut out = Sink::default();
    let row = |fields: &[F], value: &[u8]| options(5, (f(144, 4), &[0, 0, 0, 1]), fields, value);
    router.from(1, &row(&[f(403, 4)], &ORIGINAL), &mut out);
    router.from(1, &row(&[f(405, 4)], &[0, 0, 0, 8]), &mut out);
    router.from(2, &flow(5), &mut out);
    router.from(3, &row(&[f(403, 4)], &PROCESS), &mut out);
    for port in 1..=3 {
        router.from(port, &flow(5), &mut out);
    }
    let who: Vec<_> = out.flows.iter().map(|flow| (flow.exporter_id, flow.original_domain)).collect();
    let (original, process) = (Ip::v4(ORIGINAL), Ip::v4(PROCESS));
    assert_eq!(
        who,
        [(original, Some(8)), (original, Some(8)), (SOURCE, None), (process, None)],
        "two behind one address are not taken for each other"
    );
    assert!(out.rates.is_empty(), "it is no rate");
}

#[test]
fn what_options_data_told_survives_a_restart_and_is_written_when_it_changes() {
    let mut router = router(Identity::Told);
    let row = options(
        5,
        (f(144, 4), &[0, 0, 0, 1]),
        &[f(404, 16), f(405, 4)],
        &[&v6(4)[..], &[0, 0, 0, 8]].concat(),
    );
    let mut out = Sink::default();
    for _ in 0..3 {
        router.from(1, &row, &mut out);
    }
    assert_eq!((out.state_writes, &out.state), (2, &router.dump()), "a template, and who it is");
    let mut again = router.restarted(&out.state);
    again.options.identity = Identity::Told;
    assert_eq!(again.dump(), router.dump());
    assert_eq!(again.budget, router.budget);
    let flow = &again.send(&flow(5)).flows[0];
    assert_eq!((flow.exporter_id, flow.original_domain), (Ip(v6(4)), Some(8)));
    for key in out.state.keys() {
        router.exporter.restore(key, None, &router.options, &mut router.budget).unwrap();
    }
    assert_eq!((router.exporter.is_empty(), router.budget.state), (true, 0));
}

#[test]
fn what_waited_for_its_template_is_told_whose_it_is() {
    let mut router = router(Identity::Told);
    router.send(&options(5, (f(144, 4), &[0, 0, 0, 1]), &[f(403, 4)], &ORIGINAL));
    assert!(router.send(&ipfix(5, &[set(256, data())])).flows.is_empty());
    let late = router.send(&ipfix(5, &[set(2, template(256, DATA))]));
    assert_eq!(late.flows[0].exporter_id, Ip::v4(ORIGINAL));
}

#[test]
fn of_one_exporter_another_address_may_be_configured_than_of_all() {
    let sample = sflow(&[flow_sample(3, 1, 3, 7, &[])]);
    let mut router = router(Identity::Source);
    assert_eq!(router.send(&sample).flows[0].exporter_id, SOURCE);
    router.exporter.configure(Own { identity: Some(Identity::Agent), ..Own::default() });
    assert_eq!(router.send(&sample).flows[0].exporter_id, Ip::v4([192, 0, 2, 9]));
    router.exporter.configure(Own::default());
    assert_eq!(router.send(&sample).flows[0].exporter_id, SOURCE);
}

#[test]
fn whatever_an_exporter_says_it_is_templates_rates_and_state_are_of_its_source_address() {
    let fields = [DATA, &[f(403, 4), f(405, 4)]].concat();
    let record = |last: u8| bytes().raw(data()).raw([203, 0, 113, last]).u32(u32::from(last)).0;
    let rate = ipfix_options_template(301, &[f(144, 4)], &[f(34, 4)]);
    let messages = [
        ipfix(5, &[set(2, template(256, &fields)), set(3, rate), set(301, bytes().u32(1).u32(64).0)]),
        options(5, (f(144, 4), &[0, 0, 0, 1]), &[f(130, 4), f(405, 4)], &[PROCESS, [0, 0, 0, 9]].concat()),
        ipfix(5, &[set(256, [record(1), record(2)].concat())]),
    ];
    let of = |identity| {
        let mut router = router(identity);
        let mut out = Sink::default();
        for message in &messages {
            router.from(1000, message, &mut out);
        }
        let flows: Vec<_> = out
            .flows
            .iter()
            .map(|flow| (flow.observation_domain, flow.sampling_interval, flow.bytes, flow.raw_offset))
            .collect();
        (flows, out.state, router.counts, router.exporter.sessions().len())
    };
    let wanted = of(Identity::Source);
    assert_eq!(wanted.0, [(5, 64_000, Some(100), 2); 2], "two originals share template, rate and domain");
    for identity in ALL {
        assert_eq!(of(identity), wanted, "{identity:?}");
    }
    // Another source that says it is the same one knows nothing of all that.
    let mut other = Router { exporter: Exporter::default(), ..router(Identity::Told) };
    assert_eq!((other.send(&messages[2]).flows.len(), other.exporter.parked().0), (0, 1));
}

#[test]
fn where_there_is_no_room_for_who_it_is_its_rates_are_known_all_the_same() {
    let mut router = Router::default();
    router.options.options_rows = 1;
    let options = ipfix_options_template(300, &[f(149, 4)], &[f(130, 4), f(34, 4)]);
    router.send(&ipfix(1, &[set(3, options), set(2, template(256, &[f(8, 4), f(1, 4)]))]));
    let mut rate = |process: [u8; 4], rate: u32| {
        router.send(&ipfix(1, &[set(300, bytes().u32(1).raw(process).u32(rate).0)]));
        router.send(&ipfix(1, &[set(256, bytes().raw([1, 1, 1, 1]).u32(9).0)])).flows[0].sampling_interval
    };
    assert_eq!(rate([0; 4], 100), 100_000);
    assert_eq!(rate([10, 9, 9, 9], 200), 200_000);
}
