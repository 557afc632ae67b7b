//! Records that tell of a packet and of the one within it: elements of one number in the order of the packet (RFC 7011 section 8).
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use weir_schemas::{Ip, Tunnel};
use weir_wire::Tunnels;

/// A field with its value.
type Part = (F, Vec<u8>);

fn part(id: u16, value: impl AsRef<[u8]>) -> Part {
    (f(id, value.as_ref().len() as u16), value.as_ref().to_vec())
}

fn four(last: u8) -> [u8; 4] {
    [192, 0, 2, last]
}

fn six(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    address[15] = last;
    address
}

/// Source and destination, of which the last bytes are these.
fn ways(family: u8, src: u8, dst: u8) -> [Part; 2] {
    match family {
        4 => [part(8, four(src)), part(12, four(dst))],
        _ => [part(27, six(src)), part(28, six(dst))],
    }
}

fn nowhere(family: u8) -> [Part; 2] {
    match family {
        4 => [part(8, [0; 4]), part(12, [0; 4])],
        _ => [part(27, [0; 16]), part(28, [0; 16])],
    }
}

/// Ports, flags, protocol and type of service, as Huawei has them.
fn transport(proto: u8, src: u16, dst: u16, flags: u8, tos: u8) -> Vec<Part> {
    vec![
        part(7, src.to_be_bytes()),
        part(11, dst.to_be_bytes()),
        part(6, [flags]),
        part(4, [proto]),
        part(5, [tos]),
    ]
}

fn join(parts: &[&[Part]]) -> Vec<Part> {
    parts.concat()
}

/// The flow of a record in either protocol, which are alike.
fn flow(parts: &[Part], tunnels: Tunnels) -> Kept {
    let fields: Vec<F> = parts.iter().map(|(field, _)| *field).collect();
    let record: Vec<u8> = parts.iter().flat_map(|(_, value)| value.clone()).collect();
    let sets = |id| [set(id, template(256, &fields)), set(256, &record)];
    let [old, new] = [v9(1, &sets(0)), ipfix(1, &sets(2))].map(|message| {
        let mut router = Router::default();
        router.options.tunnels = tunnels;
        let mut out = router.send(&message);
        assert_eq!((out.flows.len(), &out.faults[..]), (1, &[][..]));
        out.flows.remove(0)
    });
    let columns = |flow: &Kept| {
        (
            (flow.family, flow.src_addr, flow.dst_addr, flow.src_prefix_len, flow.dst_prefix_len),
            (flow.proto, flow.tos, flow.tcp_flags, flow.src_port, flow.dst_port, flow.flow_label),
            (flow.tunnel, flow.inner_src_addr, flow.inner_dst_addr, flow.outer_src_addr, flow.outer_dst_addr),
        )
    };
    assert_eq!(columns(&old), columns(&new));
    new
}

fn address(family: u8, last: u8) -> Ip {
    if family == 4 { Ip::v4(four(last)) } else { Ip(six(last)) }
}

/// Name, families of the packet around and of the one within, record, tunnel, flow label of either.
type Case = (&'static str, [u8; 2], Vec<Part>, Tunnel, [Option<u32>; 2]);

const NONE: Ip = Ip([0; 16]);

#[test]
fn of_two_packets_in_a_record_options_say_which_is_the_flow_and_the_other_stays_beside_it() {
    let around = |proto| transport(proto, 0, 0, 0, 0x20);
    let within = transport(6, 8080, 443, 0x1b, 0x48);
    let huawei = [part(29, [64]), part(30, [48]), part(31, 1151_u32.to_be_bytes())];
    let cisco = |id, label: u32| part(id, label.to_be_bytes());
    let cases: Vec<Case> = vec![
        (
            "Huawei's, IPv4 in IPv6",
            [6, 4],
            join(&[&ways(6, 1, 2), &around(4), &huawei, &ways(4, 3, 4), &within]),
            Tunnel::IpInIp,
            [Some(1151), None],
        ),
        (
            "Huawei's with a segment",
            [6, 4],
            join(&[&ways(6, 1, 2), &around(4), &huawei, &ways(4, 3, 4), &within, &[part(495, six(9))]]),
            Tunnel::Srv6,
            [Some(1151), None],
        ),
        (
            "Huawei's without one",
            [6, 4],
            join(&[&ways(6, 1, 2), &around(4), &huawei, &ways(4, 3, 4), &within, &[part(495, [0; 16])]]),
            Tunnel::IpInIp,
            [Some(1151), None],
        ),
        (
            "Cisco's, IPv6 in IPv6",
            [6, 6],
            join(&[&ways(6, 1, 2), &[cisco(31, 7)], &around(41), &ways(6, 3, 4), &within, &[cisco(31, 9)]]),
            Tunnel::IpInIp,
            [Some(7), Some(9)],
        ),
        (
            "IPv4 in IPv4, and the protocol once for both",
            [4, 4],
            join(&[&ways(4, 1, 2), &[part(9, [24])], &ways(4, 3, 4), &transport(6, 8080, 443, 0x1b, 0x48)]),
            Tunnel::Unknown,
            [None, None],
        ),
        (
            "IPv6 in IPv4, whose label is that of the packet that has one",
            [4, 6],
            join(&[&ways(4, 1, 2), &around(47), &[part(9, [24])], &ways(6, 3, 4), &within, &[cisco(31, 9)]]),
            Tunnel::Gre,
            [None, Some(9)],
        ),
        (
            "each element beside the other of its number",
            [6, 6],
            {
                let both = [ways(6, 1, 2), ways(6, 3, 4)];
                let mut parts: Vec<Part> =
                    [0, 1].iter().flat_map(|at| both.clone().map(|pair| pair[*at].clone())).collect();
                for pair in around(143).into_iter().zip(within.clone()) {
                    parts.extend([pair.0, pair.1]);
                }
                parts
            },
            Tunnel::Srv6,
            [None, None],
        ),
        (
            "IPv6 around, and within either family",
            [6, 4],
            join(&[&ways(6, 1, 2), &around(4), &ways(4, 3, 4), &nowhere(6), &within]),
            Tunnel::IpInIp,
            [None, None],
        ),
        (
            "and the other one",
            [6, 6],
            join(&[&ways(6, 1, 2), &around(41), &ways(6, 3, 4), &nowhere(4), &within]),
            Tunnel::IpInIp,
            [None, None],
        ),
        (
            "IPv6 in IPv6, and the label of the one around",
            [6, 6],
            join(&[&ways(6, 1, 2), &[cisco(31, 7)], &around(41), &ways(6, 3, 4), &within]),
            Tunnel::IpInIp,
            [Some(7), None],
        ),
        (
            "IPv4 in IPv6, and a label that it can't have",
            [6, 4],
            join(&[&ways(6, 1, 2), &[cisco(31, 7)], &around(4), &ways(4, 3, 4), &within, &[cisco(31, 9)]]),
            Tunnel::IpInIp,
            [Some(7), None],
        ),
        (
            "addresses first",
            [6, 4],
            join(&[&ways(6, 1, 2), &ways(4, 3, 4), &around(4), &within]),
            Tunnel::IpInIp,
            [None, None],
        ),
        (
            "a protocol first, and either family around",
            [4, 6],
            join(&[&around(41), &ways(4, 1, 2), &nowhere(6), &ways(6, 3, 4), &within]),
            Tunnel::IpInIp,
            [None, None],
        ),
        (
            "either family around",
            [4, 6],
            join(&[&ways(4, 1, 2), &nowhere(6), &around(41), &ways(6, 3, 4), &within]),
            Tunnel::IpInIp,
            [None, None],
        ),
    ];
    for (name, [out_family, in_family], parts, tunnel, labels) in cases {
        let [out_src, out_dst, in_src, in_dst] =
            [(out_family, 1), (out_family, 2), (in_family, 3), (in_family, 4)].map(|(f, n)| address(f, n));
        let once = parts.iter().filter(|(field, _)| field.0 == 4).count() == 1;
        let around = flow(&parts, Tunnels::Outer);
        assert_eq!(
            (around.family, around.src_addr, around.dst_addr),
            (out_family, out_src, out_dst),
            "{name}"
        );
        assert_eq!((around.inner_src_addr, around.inner_dst_addr), (in_src, in_dst), "{name}");
        assert_eq!((around.outer_src_addr, around.outer_dst_addr), (NONE, NONE), "{name}");
        assert_eq!((around.tunnel, around.flow_label), (tunnel, labels[0]), "{name}");
        if !once {
            let told = (around.tos, around.tcp_flags, around.src_port, around.dst_port);
            assert_eq!(told, (0x20, 0, 0, 0), "{name}");
            assert_ne!(around.proto, 6, "{name}");
        }
        let prefixes = (around.src_prefix_len, around.dst_prefix_len);
        assert_eq!(prefixes != (0, 0), parts.iter().any(|(field, _)| [9, 29].contains(&field.0)), "{name}");

        let within = flow(&parts, Tunnels::Inner);
        assert_eq!((within.family, within.src_addr, within.dst_addr), (in_family, in_src, in_dst), "{name}");
        assert_eq!((within.outer_src_addr, within.outer_dst_addr), (out_src, out_dst), "{name}");
        assert_eq!((within.inner_src_addr, within.inner_dst_addr), (NONE, NONE), "{name}");
        assert_eq!((within.tunnel, within.flow_label), (tunnel, labels[1]), "{name}");
        let told = (within.proto, within.tos, within.tcp_flags, within.src_port, within.dst_port);
        assert_eq!(told, (6, 0x48, 0x1b, 8080, 443), "{name}");
        let prefixes = (within.src_prefix_len, within.dst_prefix_len);
        assert_eq!(prefixes, (0, 0), "{name}: those are of the addresses around");
    }
}

#[test]
fn a_template_for_either_family_and_one_that_repeats_what_is_no_address_tell_of_one_packet() {
    let transport = transport(6, 8080, 443, 0x1b, 0x48);
    let once_more = [part(7, [0, 1]), part(11, [0, 2]), part(6, [1]), part(5, [2])];
    for (name, family, parts) in [
        ("IPv4 of either", 4, join(&[&ways(4, 1, 2), &nowhere(6), &transport])),
        ("IPv6 of either", 6, join(&[&nowhere(4), &ways(6, 1, 2), &transport])),
        ("IPv6 of either, first", 6, join(&[&ways(6, 1, 2), &nowhere(4), &transport])),
        ("IPv4 of either, last", 4, join(&[&nowhere(6), &ways(4, 1, 2), &transport])),
        ("with ports twice", 6, join(&[&nowhere(4), &ways(6, 1, 2), &transport, &once_more])),
        ("with all but addresses twice", 4, join(&[&ways(4, 1, 2), &transport, &transport, &once_more])),
        ("of two, one around no other", 6, join(&[&ways(6, 1, 2), &transport, &nowhere(4), &transport])),
        ("of two, none around it", 4, join(&[&nowhere(6), &transport, &ways(4, 1, 2), &transport])),
        ("an address cut short", 4, join(&[&ways(4, 1, 2), &transport, &[part(8, [9; 3])], &transport])),
    ] {
        for tunnels in [Tunnels::Outer, Tunnels::Inner] {
            let flow = flow(&parts, tunnels);
            let (src, dst) = (address(family, 1), address(family, 2));
            assert_eq!((flow.family, flow.src_addr, flow.dst_addr), (family, src, dst), "{name}");
            let told = (flow.proto, flow.tos, flow.tcp_flags, flow.src_port, flow.dst_port);
            assert_eq!(told, (6, 0x48, 0x1b, 8080, 443), "{name}");
            assert_eq!(
                (flow.tunnel, flow.inner_src_addr, flow.outer_src_addr),
                (Tunnel::Unknown, NONE, NONE)
            );
        }
    }
}

#[test]
fn packets_within_are_found_where_fields_vary_in_length_and_each_record_is_its_own() {
    let fields = [f(82, VARIABLE), f(27, 16), f(28, 16), f(4, 1), f(8, VARIABLE), f(12, 4), f(4, 1)];
    let record = |name: &[u8], last: u8| {
        let head = bytes().u8(name.len() as u8).raw(name).raw(six(1)).raw(six(2)).u8(4);
        let src: &[u8] = if last == 0 { &[0] } else { &[4, 192, 0, 2, last] };
        head.raw(src).raw(if last == 0 { [0; 4] } else { four(4) }).u8(17).0
    };
    let records = [record(b"xe-0/0/1", 3), record(b"", 0), record(b"et", 5)].concat();
    let flows = decode(&ipfix(1, &[set(2, template(256, &fields)), set(256, records)])).flows;
    let within: Vec<_> = flows.iter().map(|flow| (flow.inner_src_addr, flow.tunnel)).collect();
    assert_eq!(
        within,
        [(address(4, 3), Tunnel::IpInIp), (NONE, Tunnel::Unknown), (address(4, 5), Tunnel::IpInIp)]
    );
    assert!(flows.iter().all(|flow| flow.src_addr == address(6, 1)));
}

#[test]
fn the_flow_of_the_other_direction_has_both_packets_exchanged() {
    let back = F(1, 4, 29_305);
    let parts = join(&[&ways(6, 1, 2), &transport(4, 0, 0, 0, 0), &ways(4, 3, 4), &transport(6, 1, 2, 0, 0)]);
    let mut fields: Vec<F> = parts.iter().map(|(field, _)| *field).collect();
    fields.extend([f(1, 4), back]);
    let record: Vec<u8> = parts.iter().flat_map(|(_, value)| value.clone()).collect();
    let record = bytes().raw(record).u32(9000).u32(100).0;
    let message = ipfix(1, &[set(2, template(256, &fields)), set(256, record)]);
    for (tunnels, family) in [(Tunnels::Outer, 6), (Tunnels::Inner, 4)] {
        let mut router = Router::default();
        router.options.tunnels = tunnels;
        let flows = router.send(&message).flows;
        let (there, back) = (&flows[0], &flows[1]);
        assert_eq!((back.family, back.src_addr, back.tunnel), (family, there.dst_addr, Tunnel::IpInIp));
        assert_eq!((back.inner_src_addr, back.inner_dst_addr), (there.inner_dst_addr, there.inner_src_addr));
        assert_eq!((back.outer_src_addr, back.outer_dst_addr), (there.outer_dst_addr, there.outer_src_addr));
        assert!(back.inner_src_addr.is_none() != back.outer_src_addr.is_none());
    }
}

#[test]
fn one_address_that_is_sent_again_or_both_again_with_the_same_value_are_no_tunnel() {
    for (fields, record) in [
        (
            vec![f(8, 4), f(12, 4), f(4, 1), f(8, 4), f(1, 4)],
            bytes().raw(four(1)).raw(four(2)).raw([6]).raw(four(3)),
        ),
        (
            vec![f(8, 4), f(12, 4), f(4, 1), f(8, 4), f(12, 4), f(1, 4)],
            bytes().raw(four(1)).raw(four(2)).raw([6]).raw(four(1)).raw(four(2)),
        ),
    ] {
        for tunnels in [Tunnels::Outer, Tunnels::Inner] {
            let mut router = Router::default();
            router.options.tunnels = tunnels;
            let data = set(256, record.0.iter().copied().chain([0, 0, 0, 100]).collect::<Vec<_>>());
            let flow = router.send(&ipfix(1, &[set(2, template(256, &fields)), data])).flows.remove(0);
            assert_eq!((flow.src_addr, flow.dst_addr), (Ip::v4(four(1)), Ip::v4(four(2))));
            assert_eq!((flow.tunnel, flow.inner_src_addr), (Tunnel::Unknown, Ip::default()));
        }
    }
}
