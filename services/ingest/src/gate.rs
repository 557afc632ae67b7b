//! What is let in: by source network, then by each source's rate. What is not is counted by reason.
//!
//! Where neither is configured there is no gate, and the hot path costs one look whether there is.

use crate::frames::Exporter;
use crate::limit::Limiter;
use crate::metrics::Totals;
use crate::networks::Networks;
use crate::{Config, Error};
use std::time::Instant;
use weir_bus::Count;

const NOT_ALLOWED: &str = "not allowed";
const RATE_LIMIT: &str = "rate limit";

#[derive(Debug)]
pub(crate) struct Gate {
    networks: Option<Networks>,
    limiter: Option<Limiter>,
    /// Where the limiter's time begins.
    begun: Instant,
    /// Refused and not in the totals yet.
    strangers: Count,
    excess: Count,
}

impl Gate {
    /// None where everything is let in.
    pub(crate) fn new(config: &Config) -> Result<Option<Self>, Error> {
        let networks = config.networks()?;
        let limiter =
            config.exporter_rate.map(|rate| Limiter::new(rate, config.exporter_burst.unwrap_or(rate)));
        let (strangers, excess) = (Count::default(), Count::default());
        let gate = Self { networks, limiter, begun: Instant::now(), strangers, excess };
        Ok(Some(gate).filter(|gate| gate.networks.is_some() || gate.limiter.is_some()))
    }

    pub(crate) fn admits(&mut self, source: &Exporter, payload: usize, now: Instant) -> bool {
        let refused = if self.networks.as_ref().is_some_and(|networks| !networks.contains(source)) {
            &mut self.strangers
        } else if let Some(limiter) = &mut self.limiter
            && !limiter.admits(source, since(self.begun, now))
        {
            &mut self.excess
        } else {
            return true;
        };
        refused.units += 1;
        refused.bytes += payload as u64;
        false
    }

    /// Puts into the totals what was refused, which takes a lock and therefore is for batches.
    pub(crate) fn count(&mut self, totals: &Totals, now: Instant) {
        for (reason, refused) in [(NOT_ALLOWED, &mut self.strangers), (RATE_LIMIT, &mut self.excess)] {
            if refused.units > 0 {
                totals.dropped(reason, std::mem::take(refused));
            }
        }
        if let Some(words) = self.limiter.as_mut().and_then(|limiter| limiter.tell(since(self.begun, now))) {
            tracing::warn!("{words}");
        }
    }
}

fn since(begun: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(begun).as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn strangers_take_nothing_from_the_rate_and_both_are_counted_by_reason() {
        assert!(Gate::new(&Config::default()).unwrap().is_none(), "nothing to be asked");
        let sources = vec!["192.0.2.0/24".to_owned()];
        let config = Config { sources, exporter_rate: Some(5), ..Config::default() };
        let mut gate = Gate::new(&config).unwrap().unwrap();
        let (totals, now) = (Totals::new(Vec::new()), Instant::now());
        let known = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().octets();
        let stranger = Ipv4Addr::new(198, 51, 100, 1).to_ipv6_mapped().octets();
        let admitted =
            (0..8).filter(|_| gate.admits(&known, 100, now) | gate.admits(&stranger, 10, now)).count();
        gate.count(&totals, now);
        gate.count(&totals, now);
        let dropped = totals.snapshot().dropped;
        assert_eq!(admitted, 5);
        assert_eq!(dropped[NOT_ALLOWED], Count { records: 0, units: 8, bytes: 80 });
        assert_eq!(dropped[RATE_LIMIT], Count { records: 0, units: 3, bytes: 300 });
    }
}
