//! The real bus, around which processes die and sleep at chosen points.

use super::proxy::Gate;
use std::ops::Deref;
use std::sync::Mutex;
use std::time::Duration;
use weir_bus::kafka::{KafkaConsumer, KafkaReader, KafkaWriter};
use weir_bus::{
    Bus, Error, Event, Full, GroupConsumer, KafkaBus, Message, Position, Reader, Record, Result, Writer,
};
use weir_stack::bus::Bends;

/// Where a process dies: the commit of a plan, or that of a batch's end; before the broker has it, or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Die {
    BeforePlan,
    AfterPlan,
    BeforeEnd,
    AfterEnd,
}

/// What is to happen, and what was seen.
#[derive(Default)]
pub struct Faults {
    pub die: Option<Die>,
    /// Died, or is to die at its next word to the bus.
    pub dead: bool,
    /// Plans are committed when this opens; nothing is polled meanwhile.
    pub sleep: Option<Gate>,
    pub asleep: bool,
    /// Nothing is polled until this opens; what was sent to ClickHouse goes on meanwhile.
    pub doze: Option<Gate>,
    /// The last member joins when this opens.
    pub late: Option<(&'static str, Gate)>,
    /// The partitions of flows whose leaders are away, and how often those were asked.
    pub leaderless: Vec<i32>,
    pub unanswered: u32,
    /// Partitions of flows that were asked for their bounds.
    pub asked: Vec<i32>,
    /// The partition of inventory whose leader is away.
    pub unled: Option<i32>,
    /// Questions for the bounds of inventory are answered when this opens.
    pub inventory: Option<Gate>,
    /// Looks at inventory that fail: for its bounds, and for its next record.
    pub fail_bounds: u32,
    pub fail_tail: u32,
    /// Commits of ends that are refused, and how many were tried.
    pub refuse_ends: bool,
    pub ends: u32,
    /// Partitions that were taken away, or wanted by others.
    pub gone: Vec<i32>,
    /// Dead letters that the broker does not take.
    pub lose_letters: u32,
    /// Bytes of records delivered.
    pub delivered: u64,
    pub pauses: u32,
    /// What the next poll says instead of an event.
    pub trouble: Option<Error>,
    /// Metadata of the plans that the broker took.
    pub plans: Vec<String>,
}

#[derive(Default)]
pub struct Faulty(Mutex<Faults>);

impl Deref for Faulty {
    type Target = Mutex<Faults>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

fn died<T>() -> Result<T> {
    Err(Error::Fenced { identity: "this test".to_owned(), reason: "the process died".to_owned() })
}

fn failed<T>(left: &mut u32) -> Option<Result<T>> {
    *left = left.checked_sub(1)?;
    Some(Err(Error::Bus { doing: "reading".to_owned(), reason: "a test says so".to_owned() }))
}

impl Faulty {
    fn answer(&self, topic: &str, partition: i32) -> Result<()> {
        let mut faults = self.lock().unwrap();
        let away = if topic.ends_with(".inventory") {
            faults.unled == Some(partition)
        } else {
            faults.asked.push(partition);
            faults.leaderless.contains(&partition)
        };
        if away {
            faults.unanswered += 1;
            return Err(Error::Timeout { doing: "a test".to_owned(), waited: Duration::ZERO });
        }
        Ok(())
    }
}

impl Bends for Faulty {
    type State = ();

    fn join(&self, bus: &KafkaBus, group: &str, topic: &str, instance: &str) -> Result<KafkaConsumer> {
        let late = self.lock().unwrap().late.clone();
        if let Some((suffix, gate)) = late
            && instance.ends_with(suffix)
        {
            gate.pass();
        }
        bus.join(group, topic, instance)
    }

    fn poll<'a>(&self, consumer: &'a mut KafkaConsumer, timeout: Duration) -> Result<Event<'a>> {
        if self.lock().unwrap().dead {
            return died();
        }
        let doze = self.lock().unwrap().doze.take();
        if let Some(gate) = doze {
            gate.pass();
        }
        if let Some(error) = self.lock().unwrap().trouble.take() {
            return Err(error);
        }
        let event = consumer.poll(timeout)?;
        let mut faults = self.lock().unwrap();
        if let Event::Record(record) = &event {
            faults.delivered += record.value().map_or(0, <[u8]>::len) as u64;
        }
        if let Event::Lost(partitions) | Event::Revoked(partitions) = &event {
            faults.gone.extend(partitions);
        }
        Ok(event)
    }

    fn pause(&self, consumer: &mut KafkaConsumer, partition: i32) -> Result<()> {
        self.lock().unwrap().pauses += 1;
        consumer.pause(partition)
    }

    fn commit(&self, consumer: &mut KafkaConsumer, positions: &[Position]) -> Result<()> {
        let plans: Vec<String> = positions
            .iter()
            .filter(|position| position.metadata.contains("\"plan\""))
            .map(|position| position.metadata.clone())
            .collect();
        let (before, after) = if plans.is_empty() {
            (Die::BeforeEnd, Die::AfterEnd)
        } else {
            (Die::BeforePlan, Die::AfterPlan)
        };
        let (die, sleep) = {
            let mut faults = self.lock().unwrap();
            faults.dead |= faults.die == Some(before);
            if faults.dead {
                return died();
            }
            if plans.is_empty() {
                faults.ends += 1;
                if faults.refuse_ends {
                    return Err(Error::Rebalanced {
                        doing: "committing",
                        reason: "a test says so".to_owned(),
                    });
                }
            }
            let sleep = (!plans.is_empty()).then(|| faults.sleep.take()).flatten();
            faults.asleep |= sleep.is_some();
            (faults.die, sleep)
        };
        if let Some(gate) = sleep {
            gate.pass();
        }
        consumer.commit(positions)?;
        let mut faults = self.lock().unwrap();
        faults.plans.extend(plans);
        faults.dead |= die == Some(after);
        if faults.dead { died() } else { Ok(()) }
    }

    fn try_send(
        &self,
        writer: &mut KafkaWriter,
        message: &Message<'_>,
        units: u32,
    ) -> Result<std::result::Result<(), Full>> {
        let lost = {
            let mut faults = self.lock().unwrap();
            let lost = faults.lose_letters > 0;
            faults.lose_letters -= u32::from(lost);
            lost
        };
        // Taken, and never acknowledged.
        if lost { Ok(Ok(())) } else { writer.try_send(message, units) }
    }

    fn poll_tail<'a>(&self, reader: &'a mut KafkaReader, timeout: Duration) -> Result<Option<Record<'a>>> {
        if let Some(failed) = failed(&mut self.lock().unwrap().fail_tail) {
            return failed;
        }
        reader.poll_tail(timeout)
    }

    fn own_bounds(&self, consumer: &mut KafkaConsumer, partition: i32) -> Result<(i64, i64)> {
        self.answer(consumer.topic(), partition)?;
        consumer.bounds(partition)
    }

    fn bounds(&self, reader: &mut KafkaReader, topic: &str, partition: i32) -> Result<(i64, i64)> {
        self.answer(topic, partition)?;
        let gate = self.lock().unwrap().inventory.clone().filter(|_| topic.ends_with(".inventory"));
        if let Some(gate) = gate {
            gate.pass();
        }
        if let Some(failed) = failed(&mut self.lock().unwrap().fail_bounds) {
            return failed;
        }
        reader.bounds(topic, partition)
    }
}
