//! What an exporter sent and never arrived, by the sequence numbers of its headers.
//!
//! Each session, that is, each port and observation domain (of sFlow: agent and sub-agent), counts for itself: NetFlow v5 and v7 the flows before this
//! datagram (v1 has no number, and what v8's counts no document says: flows or aggregates, of an engine or a cache), IPFIX the data records (RFC 7011, section 3.1), v9 (RFC 3954, section 5.1) and sFlow the datagrams. There are exporters that count
//! records under v9 or messages under IPFIX; which it is shows in their numbers.
//!
//! What must stay true: what comes late is not missing, what comes twice came once, a restart is no loss, and what can't be known is not counted.
//! Numbers that nobody can have sent move nothing, and however many sessions an address makes up, a few are kept.

use crate::call::Call;
use crate::netflow::u32_at;
use weir_schemas::{Ip, Protocol};

/// Where headers have their number.
const NUMBER_AT: [(Protocol, usize); 4] =
    [(Protocol::NetflowV5, 16), (Protocol::NetflowV7, 16), (Protocol::NetflowV9, 12), (Protocol::Ipfix, 8)];
/// Sessions kept of an exporter; the one that has been silent for longest makes room.
const SESSIONS: usize = 64;
/// Gaps of a session that what comes late may still fill.
const GAPS: usize = 8;
/// How far behind is still late, and how far ahead is still a gap whatever the rate was: of datagrams, and of records.
const SLACK: (u32, u32) = (64, 2048);
/// How long before the latest a datagram may have been received, ns, that shows where numbers begin anew.
const PAST: i64 = 60_000_000_000;
/// How many datagrams in a row must fit the other unit, not all of them alike, until it is taken.
const FITS: u32 = 4;
const SECOND: u128 = 1_000_000_000;

/// What a session's numbers count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Datagrams.
    #[default]
    Datagrams,
    /// Flow and options records.
    Records,
}

/// What is counted of a session since it was first seen, or since its exporter's state was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Protocol.
    pub protocol: Protocol,
    /// Observation domain, source id, engine, or sub-agent.
    pub observation_domain: u32,
    /// UDP port that the datagrams come from.
    pub source_port: u16,
    /// sFlow's agent; else none.
    pub agent: Ip,
    /// What `received` and `missing` count.
    pub unit: Unit,
    /// What arrived and could be placed.
    pub received: u64,
    /// What did not arrive.
    pub missing: u64,
    /// Datagrams that arrived behind later ones.
    pub late: u64,
    /// Datagrams that arrived once more.
    pub repeated: u64,
    /// How often the numbers began anew.
    pub restarts: u64,
    /// When it was first and last seen, ns since the epoch.
    pub first: i64,
    pub(crate) last: i64,
    /// The number that comes next, where that is known.
    next: Option<u32>,
    /// Where another begins that did not fit, and when the first such was received: two that follow each other are a restart.
    anew: Option<(u32, i64)>,
    /// First number and length of what is missing, the latest last.
    gaps: Vec<(u32, u32)>,
    other: Other,
}

/// How well the unit fits that the protocol does not name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Other {
    /// Number and records of the datagram before.
    before: Option<(u32, u32)>,
    fits: u32,
    /// Fewest and most records of those that fit.
    records: (u32, u32),
}

/// What a datagram's header and contents say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub protocol: Protocol,
    pub observation_domain: u32,
    pub source_port: u16,
    pub agent: Ip,
    pub number: u32,
    /// Records in it, where all of them could be told.
    pub records: Option<u32>,
    pub received: i64,
}

impl Seen {
    /// Of a datagram that was decoded; none: it has no header.
    pub(crate) fn of<O>(call: &Call<'_, O>) -> Option<Self> {
        let (payload, counts) = (call.datagram.payload, &call.counts);
        let (agent, number_at) = match NUMBER_AT.iter().find(|(protocol, _)| *protocol == call.protocol) {
            Some((_, at)) => (Ip::default(), *at),
            None if call.protocol == Protocol::SflowV5 => agent(payload)?,
            None => return None,
        };
        // Of what waits, what had waited, and what could not be decoded, nobody knows how many records it has.
        let told = counts.released + counts.sets_parked + counts.sets_dead + counts.records_dead == 0;
        let records = match call.protocol {
            Protocol::NetflowV5 | Protocol::NetflowV7 => u32_at(payload, 0).map(|word| word & 0xffff),
            _ => u32::try_from(counts.flows - counts.reverse_flows + counts.option_records)
                .ok()
                .filter(|_| told),
        };
        Some(Self {
            protocol: call.protocol,
            observation_domain: call.domain,
            source_port: call.datagram.source_port,
            agent,
            number: u32_at(payload, number_at).filter(|_| counts.datagrams_dead == 0)?,
            records,
            received: call.datagram.received,
        })
    }

    fn is_of(&self, session: &Session) -> bool {
        session.source_port == self.source_port
            && session.observation_domain == self.observation_domain
            && session.protocol == self.protocol
            && session.agent == self.agent
    }
}

/// The agent of an sFlow datagram, and where its number is: behind the address and the sub-agent.
fn agent(payload: &[u8]) -> Option<(Ip, usize)> {
    let address = payload.get(8..)?;
    match u32_at(payload, 4)? {
        1 => Some((Ip::v4(*address.first_chunk()?), 16)),
        2 => Some((Ip(*address.first_chunk()?), 28)),
        _ => Some((Ip::default(), 12)),
    }
}

/// An exporter's sessions.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    sessions: Vec<Session>,
    /// Most datagrams are of the session that the one before was of.
    latest: usize,
}

impl Sequences {
    pub(crate) fn all(&self) -> &[Session] {
        &self.sessions
    }

    /// Whether nothing came from a port since a time, as far as that is known.
    pub(crate) fn is_silent(&self, port: u16, since: i64) -> bool {
        let heard = |session: &Session| session.source_port == port && session.last >= since;
        // Of who had to make room nobody knows.
        self.sessions.len() < SESSIONS && !self.sessions.iter().any(heard)
    }

    /// Counts a datagram; says, where it shows that its session's numbers began anew, since when.
    pub(crate) fn see(&mut self, seen: &Seen) -> Option<i64> {
        if !self.sessions.get(self.latest).is_some_and(|session| seen.is_of(session)) {
            self.latest = self.place(seen);
        }
        let session = self.sessions.get_mut(self.latest)?;
        let (before, anew) = (session.restarts, session.anew);
        session.see(seen);
        anew.filter(|_| session.restarts > before).map(|(_, since)| since)
    }

    fn place(&mut self, seen: &Seen) -> usize {
        if let Some(at) = self.sessions.iter().position(|session| seen.is_of(session)) {
            return at;
        }
        let new = Session {
            protocol: seen.protocol,
            observation_domain: seen.observation_domain,
            source_port: seen.source_port,
            agent: seen.agent,
            unit: match seen.protocol {
                Protocol::NetflowV5 | Protocol::NetflowV7 | Protocol::Ipfix => Unit::Records,
                _ => Unit::Datagrams,
            },
            first: seen.received,
            ..Session::default()
        };
        let silent = self.sessions.iter().enumerate().min_by_key(|(_, session)| session.last);
        match silent {
            Some((at, _)) if self.sessions.len() >= SESSIONS => {
                self.sessions[at] = new;
                at
            }
            _ => {
                self.sessions.push(new);
                self.sessions.len() - 1
            }
        }
    }
}

impl Session {
    fn see(&mut self, seen: &Seen) {
        self.choose_unit(seen);
        let plausible = self.plausible(seen.received.saturating_sub(self.last));
        // Put back, or out of a spool.
        let is_past = seen.received < self.last.saturating_sub(PAST);
        self.last = self.last.max(seen.received);
        let length = match self.unit {
            Unit::Datagrams => Some(1),
            Unit::Records => seen.records,
        };
        let Some(next) = self.next else { return self.follow(seen.number, length) };
        let ahead = seen.number.wrapping_sub(next);
        let behind = next.wrapping_sub(seen.number);
        if ahead == 0 {
            self.follow(seen.number, length);
        } else if u128::from(ahead) <= plausible {
            self.missing = self.missing.saturating_add(ahead.into());
            if self.gaps.len() == GAPS {
                self.gaps.remove(0);
            }
            self.gaps.push((next, ahead));
            self.follow(seen.number, length);
        } else if self.fill(seen.number, length.unwrap_or_default()) {
            self.late += 1;
        } else if behind <= self.slack() {
            self.repeated += 1;
        } else if is_past {
            self.late += 1;
        } else if self.anew.is_some_and(|(number, _)| number == seen.number) {
            self.restarts += 1;
            self.gaps.clear();
            self.follow(seen.number, length);
        } else {
            self.anew = length.map(|length| (seen.number.wrapping_add(length), seen.received));
        }
    }

    /// What came is what was to come, or what comes after it is known from now on.
    fn follow(&mut self, number: u32, length: Option<u32>) {
        self.received = self.received.saturating_add(length.unwrap_or_default().into());
        self.next = length.map(|length| number.wrapping_add(length));
        self.anew = None;
    }

    /// Takes what came late out of what is missing.
    fn fill(&mut self, number: u32, length: u32) -> bool {
        let into = |(first, missing): (u32, u32)| {
            let at = number.wrapping_sub(first);
            (at < missing && length > 0).then(|| (at, length.min(missing - at)))
        };
        let Some((place, (at, filled))) =
            self.gaps.iter().enumerate().find_map(|(place, gap)| Some((place, into(*gap)?)))
        else {
            return false;
        };
        let (first, missing) = self.gaps.remove(place);
        let rest = missing - at - filled;
        let halves = [(first, at), (number.wrapping_add(filled), rest)];
        self.gaps.splice(place..place, halves.into_iter().filter(|(_, length)| *length > 0));
        let more = self.gaps.len().saturating_sub(GAPS);
        self.gaps.drain(..more);
        self.missing = self.missing.saturating_sub(filled.into());
        self.received = self.received.saturating_add(filled.into());
        true
    }

    fn slack(&self) -> u32 {
        match self.unit {
            Unit::Datagrams => SLACK.0,
            Unit::Records => SLACK.1,
        }
    }

    /// How much can have been sent in so many ns: four times what comes usually. More than that is another count.
    fn plausible(&self, elapsed: i64) -> u128 {
        let nanoseconds = |time: i64| u128::from(time.max(0).unsigned_abs());
        let lifetime = nanoseconds(self.last.saturating_sub(self.first)).max(SECOND);
        let counted = u128::from(self.received) + u128::from(self.missing);
        let usual = counted.saturating_mul(4 * nanoseconds(elapsed)) / lifetime;
        // Half of all numbers lie behind.
        usual.saturating_add(u128::from(self.slack())).min(u128::from(u32::MAX / 2))
    }

    /// Takes the other unit where datagram after datagram fits it alone. What was counted in the first means nothing then.
    fn choose_unit(&mut self, seen: &Seen) {
        let before =
            std::mem::replace(&mut self.other.before, seen.records.map(|records| (seen.number, records)));
        let Some((number, records)) = before else { return };
        let step = seen.number.wrapping_sub(number);
        let (own, other) = match self.unit {
            Unit::Datagrams => (1, records),
            Unit::Records => (records, 1),
        };
        if own == other
            || matches!(self.protocol, Protocol::NetflowV5 | Protocol::NetflowV7 | Protocol::SflowV5)
        {
            return;
        }
        if step != other {
            self.other.fits = 0;
            return;
        }
        let (fewest, most) = if self.other.fits == 0 { (records, records) } else { self.other.records };
        self.other.records = (fewest.min(records), most.max(records));
        self.other.fits += 1;
        if self.other.fits >= FITS && self.other.records.0 != self.other.records.1 {
            let unit = if self.unit == Unit::Records { Unit::Datagrams } else { Unit::Records };
            (self.unit, self.next, self.anew) = (unit, None, None);
            (self.received, self.missing, self.late, self.repeated, self.restarts) = (0, 0, 0, 0, 0);
            self.gaps.clear();
            self.other = Other::default();
        }
    }
}
