//! What to type on a router, by what is amiss: the vendors' commands as their documents have them, for a person to read before use.
//!
//! Addresses and names are those of documentation (RFC 5737) and the README's examples; they are to be replaced. Documents:
//! - Junos: "Monitoring, Sampling, and Collection Services Interfaces User Guide" (inline active flow monitoring), "Time Management Administration Guide".
//! - IOS XR: "NetFlow Configuration Guide for Cisco ASR 9000 Series Routers", "BGP Command Reference" (`bgp attribute-download`).
//! - IOS XE: "Flexible NetFlow Configuration Guide", "Flexible NetFlow Command Reference".
//! - Arista EOS: "EOS User Manual", chapters sFlow and Sampled Flow Tracking.
//! - SR OS: "Router Configuration Guide", chapter Cflowd; its classic CLI.

use serde::Serialize;
use utoipa::ToSchema;

/// What mends it on one vendor's systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Mend {
    /// Whose: Junos, IOS XR, IOS XE, Arista EOS, Nokia SR OS, or Linux, where ingest runs.
    pub vendor: &'static str,
    /// Commands, a line each.
    pub commands: &'static str,
}

const JUNOS: &str = "Junos";
const XR: &str = "IOS XR";
const XE: &str = "IOS XE";
const EOS: &str = "Arista EOS";
const SROS: &str = "Nokia SR OS";
const LINUX: &str = "Linux, where ingest runs";

const fn mend(vendor: &'static str, commands: &'static str) -> Mend {
    Mend { vendor, commands }
}

/// AS numbers are not in what is exported.
pub(super) const AS: &[Mend] = &[
    mend(
        XR,
        "router bgp 64500\n address-family ipv4 unicast\n  bgp attribute-download\n address-family ipv6 unicast\n  bgp attribute-download",
    ),
    mend(XE, "flow record WEIR\n collect routing source as 4-octet\n collect routing destination as 4-octet"),
    mend(
        JUNOS,
        "set forwarding-options sampling instance weir family inet output flow-server 192.0.2.10 autonomous-system-type origin",
    ),
    mend(SROS, "configure cflowd collector 192.0.2.10:4739 version 10 autonomous-system-type origin"),
    mend(EOS, "sflow extension bgp"),
];

/// Packets that leave are not looked at.
pub(super) const EGRESS: &[Mend] = &[
    mend(
        JUNOS,
        "set interfaces et-0/0/1 unit 0 family inet sampling output\nset interfaces et-0/0/1 unit 0 family inet6 sampling output",
    ),
    mend(
        XR,
        "interface TenGigE0/0/0/1\n flow ipv4 monitor WEIR4 sampler WEIR egress\n flow ipv6 monitor WEIR6 sampler WEIR egress",
    ),
    mend(
        XE,
        "interface TenGigabitEthernet0/0/1\n ip flow monitor WEIR4 sampler WEIR output\n ipv6 flow monitor WEIR6 sampler WEIR output",
    ),
    mend(
        SROS,
        "configure router interface \"to-transit\" cflowd-parameters sampling unicast type interface direction both",
    ),
];

/// Packets that come in are not looked at.
pub(super) const INGRESS: &[Mend] = &[
    mend(
        JUNOS,
        "set interfaces et-0/0/1 unit 0 family inet sampling input\nset interfaces et-0/0/1 unit 0 family inet6 sampling input",
    ),
    mend(
        XR,
        "interface TenGigE0/0/0/1\n flow ipv4 monitor WEIR4 sampler WEIR ingress\n flow ipv6 monitor WEIR6 sampler WEIR ingress",
    ),
    mend(
        XE,
        "interface TenGigabitEthernet0/0/1\n ip flow monitor WEIR4 sampler WEIR input\n ipv6 flow monitor WEIR6 sampler WEIR input",
    ),
    mend(EOS, "interface Ethernet1\n sflow enable"),
    mend(
        SROS,
        "configure router interface \"to-transit\" cflowd-parameters sampling unicast type interface direction ingress-only",
    ),
];

/// The sampling rate is not told.
pub(super) const RATE: &[Mend] = &[
    mend(JUNOS, "set services flow-monitoring version-ipfix template weir option-refresh-rate seconds 60"),
    mend(XR, "flow exporter-map WEIR\n version v9\n  options sampler-table timeout 60"),
    mend(XE, "flow exporter WEIR\n option sampler-table timeout 60"),
];

/// Flows are told long after they began.
pub(super) const ACTIVE: &[Mend] = &[
    mend(JUNOS, "set services flow-monitoring version-ipfix template weir flow-active-timeout 60"),
    mend(XR, "flow monitor-map WEIR4\n cache timeout active 60"),
    mend(XE, "flow monitor WEIR4\n cache timeout active 60"),
    mend(SROS, "configure cflowd active-timeout 1"),
];

/// Templates come too seldom.
pub(super) const TEMPLATES: &[Mend] = &[
    mend(JUNOS, "set services flow-monitoring version-ipfix template weir template-refresh-rate seconds 60"),
    mend(XR, "flow exporter-map WEIR\n version v9\n  template data timeout 60"),
    mend(XE, "flow exporter WEIR\n template data timeout 60"),
    mend(SROS, "configure cflowd template-retransmit 60"),
];

/// Interfaces are not named.
pub(super) const NAMES: &[Mend] = &[
    mend(XR, "flow exporter-map WEIR\n version v9\n  options interface-table timeout 60"),
    mend(XE, "flow exporter WEIR\n option interface-table timeout 60"),
];

/// IPv6 is not looked at.
pub(super) const IPV6: &[Mend] = &[
    mend(
        JUNOS,
        "set services flow-monitoring version-ipfix template weir6 ipv6-template\nset forwarding-options sampling instance weir family inet6 output flow-server 192.0.2.10 port 4739\nset interfaces et-0/0/1 unit 0 family inet6 sampling input",
    ),
    mend(
        XR,
        "flow monitor-map WEIR6\n record ipv6\n exporter WEIR\n cache timeout active 60\n!\ninterface TenGigE0/0/0/1\n flow ipv6 monitor WEIR6 sampler WEIR ingress",
    ),
    mend(XE, "interface TenGigabitEthernet0/0/1\n ipv6 flow monitor WEIR6 sampler WEIR input"),
];

/// The clock is wrong.
pub(super) const CLOCK: &[Mend] = &[
    mend(JUNOS, "set system ntp server 192.0.2.123"),
    mend(XR, "ntp\n server 192.0.2.123"),
    mend(XE, "ntp server 192.0.2.123"),
    mend(EOS, "ntp server 192.0.2.123"),
    mend(SROS, "configure system time ntp server 192.0.2.123\nconfigure system time ntp no shutdown"),
];

/// Datagrams are lost on their way.
pub(super) const LOSS: &[Mend] = &[mend(
    LINUX,
    "nstat -az UdpRcvbufErrors UdpInErrors     # does the machine drop them?\nsysctl -w net.core.rmem_max=67108864      # then a larger ingest.receive_buffer_bytes can be had",
)];
