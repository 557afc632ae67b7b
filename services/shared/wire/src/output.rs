//! What decoding gives: flows, faults, state to keep, and what was learned on the way.
//!
//! The receiver is a trait, so that decoding itself allocates nothing for it and knows nothing of topics or files.

use std::ops::AddAssign;
use weir_schemas::{Flow, Ip, Protocol, RateSource, SamplingKind};

/// Where a datagram came from and where it lies: the provenance of all that it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Transport source address of the datagram.
    pub exporter: Ip,
    /// Offset in `weir.raw` of the frame that held it.
    pub raw_offset: u64,
    /// Index of the datagram in its frame.
    pub frame_index: u32,
}

/// Receives what decoding gives, in the order in which it is found.
pub trait Output {
    /// A flow record, not enriched. It borrows from the datagram and from the decoder, until the call returns; lent, because it is
    /// large: who keeps nothing of it copies nothing.
    fn flow(&mut self, flow: &Flow<'_>);

    /// Something that could not be decoded, with its bytes: for the dead letters and the counters.
    fn fault(&mut self, fault: Fault<'_>);

    /// State to keep under `key`, or to forget where `value` is none. The key is unique within the exporter; the caller
    /// puts the exporter's address in front. [`Exporter::restore`](crate::Exporter::restore) is the inverse.
    fn state(&mut self, key: &[u8], value: Option<&[u8]>);

    /// An interface's name, description or speed was learned or has changed.
    fn interface(&mut self, interface: Interface<'_>);

    /// An announced sampling interval was learned or has changed.
    fn rate(&mut self, rate: Rate);
}

impl<T: Output + ?Sized> Output for &mut T {
    fn flow(&mut self, flow: &Flow<'_>) {
        (**self).flow(flow);
    }
    fn fault(&mut self, fault: Fault<'_>) {
        (**self).fault(fault);
    }
    fn state(&mut self, key: &[u8], value: Option<&[u8]>) {
        (**self).state(key, value);
    }
    fn interface(&mut self, interface: Interface<'_>) {
        (**self).interface(interface);
    }
    fn rate(&mut self, rate: Rate) {
        (**self).rate(rate);
    }
}

/// Something that could not be decoded.
#[derive(Clone, Debug)]
pub struct Fault<'a> {
    /// Why, as a word that stays the same: for metrics and dead letters.
    pub reason: Reason,
    /// The datagram's own provenance: of parked data that of the datagram that brought it.
    pub context: Context,
    /// When the datagram was received, ns since the epoch.
    pub received: i64,
    /// UDP port that the datagram came from.
    pub source_port: u16,
    /// Protocol, as far as it was recognised.
    pub protocol: Protocol,
    /// Observation domain, as far as it was read.
    pub observation_domain: u32,
    /// Byte offset in the datagram at which `bytes` begin.
    pub offset: usize,
    /// The set, sample or record concerned, or the whole datagram.
    pub bytes: &'a [u8],
    /// For people: what was found where, and what was expected.
    pub sentence: String,
}

macro_rules! reasons {
    ($( #[doc = $doc:literal] $Variant:ident = $word:literal, )*) => {
        /// Why something could not be decoded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $( #[doc = $doc] $Variant, )* }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$Variant),*];

            /// The stable word for metrics and dead letters.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$Variant => $word,)* }
            }

            /// What it means, in a sentence.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$Variant => $doc,)* }
            }
        }
    };
}

reasons! {
    #[doc = "The first bytes are not those of a protocol that is known."] UnknownVersion = "unknown_version",
    #[doc = "The protocol is known, but this version of it is not decoded."] UnsupportedVersion = "unsupported_version",
    #[doc = "The datagram or set ends before its own lengths say."] Truncated = "truncated",
    #[doc = "Bytes follow after the end that the header names."] TrailingBytes = "trailing_bytes",
    #[doc = "A set's length is less than its header or more than what is left."] BadSetLength = "bad_set_length",
    #[doc = "A set id that the standard reserves."] ReservedSet = "reserved_set",
    #[doc = "A template that breaks its format: reserved id, cut off, no fields, records of no length."] BadTemplate = "bad_template",
    #[doc = "A template that is within the format and beyond a configured limit."] TemplateLimit = "template_limit",
    #[doc = "A record whose variable-length fields run over the end of its set."] BadRecord = "bad_record",
    #[doc = "A set without template that no longer fits into the bytes allowed for waiting."] ParkedLimit = "parked_limit",
    #[doc = "A set whose template did not come in the time allowed for waiting."] ParkedExpired = "parked_expired",
    #[doc = "A set whose template had not come when the input ended."] ParkedAtEnd = "parked_at_end",
    #[doc = "A set that came before its exporter restarted, and its template after: ids mean something else since (RFC 7011 section 8)."] ParkedRestart = "parked_restart",
    #[doc = "Options data beyond the limit on state of an exporter or partition."] StateLimit = "state_limit",
    #[doc = "Sampling parameters that give no interval: nothing selected, a probability outside of ]0, 1], or beyond the bound."] BadRate = "bad_rate",
    #[doc = "An sFlow sample or record that contradicts its own length."] BadSample = "bad_sample",
}

/// Something learned about an interface from options data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// ifIndex.
    pub index: u32,
    /// Name (IE 82), empty where not known.
    pub name: &'a str,
    /// Description (IE 83), empty where not known.
    pub description: &'a str,
    /// Speed in bit/s; 0 where not known.
    pub speed: u64,
    /// Receive time of what taught it, ns since the epoch.
    pub learned: i64,
}

/// An announced sampling interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Observation domain it holds for.
    pub observation_domain: u32,
    /// What kind of announcement.
    pub source: RateSource,
    /// Interface, line card, sampler or template it is for; 0 for the whole domain or system.
    pub scope: u64,
    /// Interval N in thousandths; 0: none holds any more.
    pub interval: u64,
    /// Kind of sampling.
    pub sampling: SamplingKind,
    /// Receive time from which it applies, ns since the epoch.
    pub valid_from: i64,
}

macro_rules! counts {
    ($( #[doc = $doc:literal] $field:ident, )*) => {
        /// What a call of the decoder did. Conservation: `sets` = `sets_decoded` + `sets_parked` + `sets_dead`, and of all parked
        /// ones `released` + `expired` + still parked.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts { $( #[doc = $doc] pub $field: u64, )* }

        impl Counts {
            /// Name, meaning and value of each.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$( (stringify!($field), $doc, self.$field), )*].into_iter()
            }
        }

        impl AddAssign for Counts {
            fn add_assign(&mut self, other: Self) {
                $( self.$field += other.$field; )*
            }
        }
    };
}

counts! {
    #[doc = "Datagrams."] datagrams,
    #[doc = "Datagrams of which nothing could be decoded."] datagrams_dead,
    #[doc = "Sets (v9, IPFIX), records of a datagram without templates as one set, or sFlow samples."] sets,
    #[doc = "Sets that were decoded, control sets included."] sets_decoded,
    #[doc = "Sets that wait for their template."] sets_parked,
    #[doc = "Sets that could not be decoded and were given as a fault."] sets_dead,
    #[doc = "Sets that had waited and were decoded now."] released,
    #[doc = "Sets that had waited and were given up now."] expired,
    #[doc = "Flow records given, sFlow's samples included."] flows,
    #[doc = "Of these, flows of the reverse direction of a record that counts both (RFC 5103, IE 232, 299)."] reverse_flows,
    #[doc = "Options data records."] option_records,
    #[doc = "Records that could not be decoded in sets that were."] records_dead,
    #[doc = "Template definitions, resent ones included."] templates,
    #[doc = "Options template definitions, resent ones included."] options_templates,
    #[doc = "Template definitions that were new or had changed."] templates_compiled,
    #[doc = "Template withdrawals of a stream or file, followed (RFC 7011 section 8.1)."] withdrawals,
    #[doc = "Template withdrawals, ignored over UDP (RFC 7011 section 8.4)."] withdrawals_ignored,
    #[doc = "Elements in templates whose length does not fit their type, and which are left out."] fields_ignored,
    #[doc = "Records of cumulative counters of which it is not known what had been counted before: their totals count as nothing."] totals_unknown,
    #[doc = "Flows of cumulative counters that made room for others."] totals_forgotten,
    #[doc = "Announcements of rates, and of who an exporter is, that were no longer made while others were, and were forgotten."] rates_outlived,
    #[doc = "sFlow flow samples."] flow_samples,
    #[doc = "sFlow counter samples, skipped."] counter_samples,
    #[doc = "sFlow discarded-packet samples."] discard_samples,
    #[doc = "sFlow samples of other kinds, skipped."] other_samples,
    #[doc = "Faults given."] faults,
}
