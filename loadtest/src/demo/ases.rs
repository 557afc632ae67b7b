//! Whom the demo exchanges traffic with, and where each is met.

/// Large over transit, and present at an IX where it announces a part of its networks: the peering that there is to discover.
pub const DISCOVER: u32 = 16509;
/// Share of its traffic that comes over that IX.
pub(super) const AT_THE_IX: f64 = 0.15;

pub(super) const GOOGLE: u32 = 15169;
pub(super) const NETFLIX: u32 = 2906;
pub(super) const APPLE: u32 = 714;

/// Networks that are met at DE-CIX Frankfurt.
pub(super) const DE_CIX: &[u32] = &[
    DISCOVER, 13335, 32934, 20940, 8075, 54113, 60068, 46489, 32590, 24940, 16276, 14061, 36561, 396_982,
    13414, 22822, 8560, 6939, 31898, 13030, 12876, 51167, 197_540, 47541, 62041, 20773, 680, 28753, 202_053,
    24961, 8881, 35244, 9009,
];
/// Networks that are met at AMS-IX.
pub(super) const AMS_IX: &[u32] = &[
    13335, 32934, 20940, 8075, 54113, APPLE, 60068, 46489, 32590, 16276, 14061, 36561, 396_982, 13414, 22822,
    6939, 31898, 13030, 2635, 36459, 62041, 1103, 1136, 33915, 50266, 49544, 60781, 28753, 39686, 5432,
];
/// Networks of people: they fetch what this network's customers have.
pub(super) const EYEBALLS: &[u32] =
    &[3320, 6830, 7922, 3209, 12322, 5432, 1136, 33915, 50266, 8881, 35244, 1103, 680];
/// Networks of content: hardly anything is sent there.
pub(super) const CONTENT: &[u32] = &[
    GOOGLE, NETFLIX, 13335, 32934, 20940, 54113, APPLE, 60068, 46489, 32590, 138_699, 36561, 22822, DISCOVER,
];

/// Networks with many addresses that few people hear of, and carriers that are met as transits here.
pub(super) const QUIET: &[u32] = &[56, 719, 721, 749, 1540, 5972, 6253, 7377, 11003, 203_665, 1299, 3356];

/// Share of flows that come in, of each kind.
pub(super) const INBOUND: [(&[u32], f64); 2] = [(EYEBALLS, 0.3), (CONTENT, 0.85)];
