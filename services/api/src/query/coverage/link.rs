//! The packets of a link, and which of them a sampler takes.
//!
//! What must stay true: an AS's packets hang together as those of a network do. They come in trains, trains belong to a few flows that are
//! open at a time, the packets of a flow are of a kind, and few flows have most of the packets. What other ASes send is only counted: of
//! their packets a sampler's numbers for this AS depend on how many there are in between, and on nothing else.

/// Packets of a train on the mean.
const TRAIN: f64 = 8.0;
/// Flows of an AS that are open at a time.
const OPEN: usize = 3;
/// Packets of the shortest and the longest flow: long beside the interval, so that records are of several samples.
const FLOW: (f64, f64) = (40.0, 20_000.0);

/// SplitMix64 (Steele, Lea and Flood 2014). The table in docs/coverage.md is made of its numbers: it stays as it is when a crate changes.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Of 0 to `end`, without it.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// Above 0, at most 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// How many trials the first success takes, where one in `mean` succeeds.
    pub fn until(&mut self, mean: f64) -> u64 {
        1 + (self.unit().ln() / (-1.0 / mean).ln_1p()) as u64
    }
}

/// What a flow's packets are like.
#[derive(Clone, Copy)]
enum Kind {
    /// Full ones, and now and then the rest of something.
    Bulk,
    /// Acknowledgements.
    Short,
    /// About as long as every path has to carry.
    Middling,
    /// Full ones, so many in 100, among short ones: where lengths differ most within a record, and Q is hardest to tell.
    Talk(u64),
}

impl Kind {
    fn of(random: &mut Random) -> Self {
        match random.below(10) {
            0..3 => Self::Bulk,
            3..5 => Self::Short,
            5 => Self::Middling,
            _ => Self::Talk(5 + random.below(91)),
        }
    }

    fn length(self, random: &mut Random) -> u16 {
        let (from, to) = match self {
            Self::Bulk if random.below(100) < 92 => (1500, 1500),
            Self::Talk(full) if random.below(100) < full => (1500, 1500),
            Self::Bulk => (40, 1500),
            Self::Short | Self::Talk(_) => (40, 100),
            Self::Middling => (512, 640),
        };
        (from + random.below(to - from + 1)) as u16
    }
}

/// A packet of the AS.
pub struct Packet {
    pub length: u16,
    /// Number of its flow.
    pub flow: usize,
}

/// Packets of the AS that follow one another without one of another AS.
struct Train {
    /// Place of the first one among all packets of the link.
    at: u64,
    /// Place of it among those of the AS.
    first: usize,
}

/// What passed over a link in the time that is asked for.
pub struct Link {
    /// Packets of the AS.
    pub packets: Vec<Packet>,
    trains: Vec<Train>,
    /// Packets of all ASes.
    all: u64,
    pub flows: usize,
}

impl Link {
    /// A link on which an AS sends so many packets, and has that share of all.
    pub fn of(random: &mut Random, share: f64, packets: usize) -> Self {
        let mut link = Self { packets: Vec::with_capacity(packets), trains: Vec::new(), all: 0, flows: 0 };
        let mut open = [(0, Kind::Short, 0_u64); OPEN];
        while link.packets.len() < packets {
            // Each train is the AS's by its share. So either none of others is between, or each packet of theirs is the last one before
            // its next one by the chance that it ends a train, times the share.
            if random.unit() > share {
                link.all += random.until(TRAIN / share);
            }
            link.trains.push(Train { at: link.all, first: link.packets.len() });
            let lane = random.below(OPEN as u64) as usize;
            for _ in 0..random.until(TRAIN).min((packets - link.packets.len()) as u64) {
                let (flow, kind, left) = &mut open[lane];
                if *left == 0 {
                    // Pareto: the exponent of flows' lengths that is found again and again is a little above 1.
                    let length = (FLOW.0 * random.unit().powf(-1.0 / 1.1)).min(FLOW.1);
                    (*flow, *kind, *left) = (link.flows, Kind::of(random), length as u64);
                    link.flows += 1;
                }
                *left -= 1;
                link.packets.push(Packet { length: kind.length(random), flow: *flow });
                link.all += 1;
            }
        }
        link
    }

    /// What the AS really sent.
    pub fn bytes(&self) -> u64 {
        self.packets.iter().map(|packet| u64::from(packet.length)).sum()
    }

    /// Packets of the AS that are taken where each packet is, by a chance of 1 in `n`. Those of others have no part in it.
    pub fn by_chance(&self, random: &mut Random, n: u64, taken: &mut Vec<usize>) {
        taken.clear();
        let mut next = random.until(n as f64) as usize;
        while next <= self.packets.len() {
            taken.push(next - 1);
            next += random.until(n as f64) as usize;
        }
    }

    /// Packets of the AS that are taken where the one at `first` is, and each `n`th one after it.
    pub fn each(&self, first: u64, n: u64, taken: &mut Vec<usize>) {
        taken.clear();
        for (train, Train { at, first: begin }) in self.trains.iter().enumerate() {
            let wait = (first + n - at % n) % n;
            taken.extend((begin + wait as usize..self.end(train)).step_by(n as usize));
        }
    }

    /// Packets of the AS that are taken where the one at `first` is, and then the one after each `skip`.
    pub fn by_skips(&self, first: u64, mut skip: impl FnMut() -> u64, taken: &mut Vec<usize>) {
        taken.clear();
        let (mut at, mut train) = (first, 0);
        while at < self.all {
            while self.trains.get(train + 1).is_some_and(|next| next.at <= at) {
                train += 1;
            }
            let Train { at: begin, first } = self.trains[train];
            if at >= begin && at - begin < (self.end(train) - first) as u64 {
                taken.push(first + (at - begin) as usize);
            }
            at += skip();
        }
    }

    /// Place, among those of the AS, after the last packet of a train.
    fn end(&self, train: usize) -> usize {
        self.trains.get(train + 1).map_or(self.packets.len(), |next| next.first)
    }
}

#[test]
fn an_as_has_its_share_of_a_link_in_flows_of_many_packets() {
    let mut random = Random::new(7);
    for share in [0.01, 0.1, 0.5] {
        let link = Link::of(&mut random, share, 400_000);
        let has = link.packets.len() as f64 / link.all as f64;
        assert!((has / share - 1.0).abs() < 0.03, "{has} for {share}");
        let long = |packet: &&Packet| packet.length >= 1400;
        let full = link.packets.iter().filter(long).count() as f64 / link.packets.len() as f64;
        assert!((0.3..0.7).contains(&full), "{full} are full");
        assert!(link.packets.len() / link.flows >= 100, "{} flows", link.flows);
    }
}

#[test]
fn every_sampler_takes_one_in_so_many() {
    let mut random = Random::new(8);
    let link = Link::of(&mut random, 0.5, 1_000_000);
    let mut taken = Vec::new();
    let about = |taken: &[usize]| assert!((9_500..10_500).contains(&taken.len()), "{}", taken.len());
    link.by_chance(&mut random, 100, &mut taken);
    about(&taken);
    link.by_skips(0, || 1 + random.below(199), &mut taken);
    about(&taken);
    let each = (0..100).map(|start| {
        let mut same = Vec::new();
        link.each(start, 100, &mut taken);
        link.by_skips(start, || 100, &mut same);
        assert_eq!(taken, same);
        taken.len()
    });
    assert_eq!(each.sum::<usize>(), 1_000_000, "each packet is taken from one start");
}

#[test]
fn a_flow_of_which_anything_is_sampled_is_sampled_several_times() {
    let mut random = Random::new(9);
    let mut taken = Vec::new();
    for (packets, several) in [(1000, 1.5), (30_000, 2.5), (300_000, 3.0)] {
        let (mut samples, mut records) = (0, 0);
        for _ in 0..20 {
            let link = Link::of(&mut random, 0.5, packets);
            link.by_chance(&mut random, 100, &mut taken);
            samples += taken.len();
            let mut flows: Vec<_> = taken.iter().map(|place| link.packets[*place].flow).collect();
            flows.sort_unstable();
            flows.dedup();
            records += flows.len();
        }
        let each = samples as f64 / records as f64;
        assert!(each >= several, "{packets} packets: {each} samples a record");
    }
}
