//! Transactions.
//!
//! librdkafka's own distinction is the one that matters, and is kept: an error that wants an abort, one after which the producer is
//! dead, and one that may be tried again. Tried again for as long as configured, a commit's outcome is then unknown.
//!
//! Delivery reports are events here, so somebody must take them while librdkafka waits for them: every wait below polls.

use super::reports::Reports;
use super::{KafkaConsumer, SILENCE, admin, by_default, refused, writing};
use crate::{Config, Error, GroupConsumer, Message, Position, Result, Transactions, TxnError, metrics};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Keeps why a record was not delivered, which the transaction's error does not say.
#[derive(Debug, Default)]
struct Sent {
    reports: Reports,
    /// A record of the open transaction was refused for what it is.
    refused: AtomicBool,
}

/// Whether an error is the record's own fault, so that it comes again however often the record is sent.
fn of_the_record(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::MessageSizeTooLarge | Code::InvalidMessage | Code::InvalidRecord | Code::InvalidTimestamp)
    )
}

impl ClientContext for Sent {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.reports.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reports.error(error, reason);
    }
}

impl ProducerContext for Sent {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        use rdkafka::message::Message as _;
        if let Err((error, record)) = result {
            self.refused.fetch_or(of_the_record(error), Ordering::AcqRel);
            self.reports.keep(format!("a record for {}/{}: {error}", record.topic(), record.partition()));
        }
    }
}

/// [`Transactions`] on Kafka.
pub struct KafkaProducer {
    client: Arc<Client>,
}

/// What a thread may still hold that sends positions for a producer that was given up.
struct Client {
    producer: BaseProducer<Sent>,
    config: Arc<Config>,
    identity: String,
}

impl std::fmt::Debug for KafkaProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaProducer").field("identity", &self.client.identity).finish_non_exhaustive()
    }
}

/// Longest that one call into librdkafka may wait where delivery reports must be taken meanwhile.
const TURN: Duration = Duration::from_millis(250);

/// How much longer than its limit sending positions may take before the producer is given up: librdkafka keeps to the limit between its
/// requests only.
const GRACE: Duration = Duration::from_secs(1);

/// What became of one call into librdkafka.
enum Failure {
    Again(String),
    Abort(String),
    Dead(TxnError),
}

impl KafkaProducer {
    pub(super) fn open(config: &Arc<Config>, identity: &str) -> Result<Self> {
        let mut client = writing(config, identity, config.send_buffer_bytes);
        // librdkafka takes no request that may last longer than the transaction that it is part of.
        by_default(
            &mut client,
            config,
            "socket.timeout.ms",
            SILENCE.min(config.transaction_timeout_ms.saturating_sub(100)),
        );
        let producer: BaseProducer<Sent> = client
            .set("transactional.id", identity)
            .set("transaction.timeout.ms", config.transaction_timeout_ms.to_string())
            .create_with_context(Sent::default())
            .map_err(refused)?;
        let client = Client { producer, config: Arc::clone(config), identity: identity.to_owned() };
        let limit = config.connect_timeout() + config.request_timeout();
        admin::reach(config)?;
        match client.persist(limit, "opening the transactional producer", |producer, left| {
            producer.init_transactions(left.min(TURN))
        }) {
            Ok(()) => Ok(Self { client: Arc::new(client) }),
            Err(Failure::Again(_)) => Err(Error::Timeout {
                doing: format!("opening the transactional producer {identity}"),
                waited: limit,
            }),
            Err(Failure::Abort(reason)) => {
                Err(Error::Bus { doing: format!("opening the transactional producer {identity}"), reason })
            }
            Err(Failure::Dead(TxnError::Fenced { identity, reason })) => {
                Err(Error::Fenced { identity, reason })
            }
            Err(Failure::Dead(error)) => Err(Error::Bus {
                doing: format!("opening the transactional producer {identity}"),
                reason: error.to_string(),
            }),
        }
    }

    /// Aborts, and says that it did, or what came in between.
    fn aborted(&mut self, reason: String) -> TxnError {
        let refused = self.client.producer.context().refused.load(Ordering::Acquire);
        match self.abort() {
            Ok(()) => TxnError::Aborted { reason, refused },
            Err(error) => error,
        }
    }

    fn failed(&mut self, failure: Failure) -> TxnError {
        match failure {
            Failure::Again(reason) | Failure::Abort(reason) => self.aborted(reason),
            Failure::Dead(error) => error,
        }
    }

    /// Sends positions on a thread of their own, for librdkafka may never come back from it, whatever its limit: where the group's coordinator
    /// was lost and metadata names it no longer, it waits until some other broker comes or goes (2.12.1; its issues 5456 and 5511). The
    /// producer is given up then. What the thread sends after all is of an epoch that this identity's next producer has ended.
    fn send_positions(
        &self,
        positions: TopicPartitionList,
        metadata: ConsumerGroupMetadata,
    ) -> std::result::Result<(), Failure> {
        const DOING: &str = "sending positions";
        let limit = self.client.positions_limit();
        let (tell, told) = channel();
        let client = Arc::clone(&self.client);
        let send = move || {
            let sent = client.persist(limit, DOING, |producer, left| {
                producer.send_offsets_to_transaction(&positions, &metadata, left)
            });
            // Nobody listens where it took too long.
            let _ = tell.send(sent);
        };
        std::thread::Builder::new()
            .name("bus-positions".to_owned())
            .spawn(send)
            .map_err(|error| Failure::Abort(format!("{DOING}: no thread for it: {error}")))?;
        told.recv_timeout(limit + GRACE).unwrap_or_else(|_| {
            let reason = format!("no answer from the group's coordinator within {:?}", limit + GRACE);
            Err(Failure::Dead(self.client.dead(DOING, RDKafkaErrorCode::OperationTimedOut, reason)))
        })
    }
}

impl Client {
    /// Tries for as long as librdkafka says that trying again may help, and takes delivery reports meanwhile.
    fn persist(
        &self,
        limit: Duration,
        doing: &'static str,
        mut call: impl FnMut(&BaseProducer<Sent>, Duration) -> KafkaResult<()>,
    ) -> std::result::Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            match call(&self.producer, left.max(Duration::from_millis(1))) {
                Ok(()) => return Ok(()),
                Err(error) => match self.judge(doing, error) {
                    Failure::Again(reason) if left.is_zero() => return Err(Failure::Again(reason)),
                    Failure::Again(_) => self.producer.poll(Duration::from_millis(5)),
                    failure => return Err(failure),
                },
            }
        }
    }

    fn judge(&self, doing: &'static str, error: KafkaError) -> Failure {
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            return Failure::Dead(self.dead(doing, code, reason));
        }
        let reason = format!("{doing}: {error} ({})", self.producer.context().reports.last());
        match error {
            KafkaError::Transaction(error) if error.is_fatal() => {
                Failure::Dead(self.dead(doing, error.code(), error.string()))
            }
            KafkaError::Transaction(error) if error.txn_requires_abort() => Failure::Abort(reason),
            KafkaError::Transaction(error) if error.is_retriable() => Failure::Again(reason),
            KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => Failure::Again(reason),
            // librdkafka takes no records into a transaction that must be aborted.
            KafkaError::MessageProduction(RDKafkaErrorCode::State) => Failure::Abort(reason),
            KafkaError::Transaction(error) => Failure::Dead(self.dead(doing, error.code(), error.string())),
            other => Failure::Abort(format!("{doing}: {other}")),
        }
    }

    fn dead(&self, doing: &'static str, code: RDKafkaErrorCode, reason: String) -> TxnError {
        use RDKafkaErrorCode as Code;
        match code {
            Code::Fenced | Code::InvalidProducerEpoch | Code::ProducerFenced => {
                metrics::transaction("fenced");
                TxnError::Fenced { identity: self.identity.clone(), reason }
            }
            _ => {
                metrics::transaction("failed");
                TxnError::Failed { doing, reason }
            }
        }
    }

    fn limit(&self) -> Duration {
        self.config.request_timeout()
    }

    /// A transaction that takes longer is aborted by its coordinator.
    fn positions_limit(&self) -> Duration {
        self.limit().min(Duration::from_millis(self.config.transaction_timeout_ms))
    }
}

impl Transactions for KafkaProducer {
    type Consumer = KafkaConsumer;

    fn begin(&mut self) -> std::result::Result<(), TxnError> {
        const DOING: &str = "beginning a transaction";
        self.client.producer.context().refused.store(false, Ordering::Release);
        self.client.producer.begin_transaction().map_err(|error| match self.client.judge(DOING, error) {
            Failure::Dead(error) => error,
            Failure::Again(reason) | Failure::Abort(reason) => TxnError::Failed { doing: DOING, reason },
        })
    }

    fn send(&mut self, message: &Message<'_>) -> std::result::Result<(), TxnError> {
        let begun = Instant::now();
        let mut record =
            BaseRecord::<[u8], [u8]>::to(message.topic).partition(message.partition).key(message.key);
        record.payload = message.value;
        if !message.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(message.headers.len());
            record.headers = Some(
                message
                    .headers
                    .iter()
                    .fold(headers, |all, (key, value)| all.insert(Header { key, value: Some(*value) })),
            );
        }
        loop {
            match self.client.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    metrics::send_wait();
                    if begun.elapsed() >= self.client.limit() {
                        let limit = self.client.limit();
                        return Err(self.aborted(format!("the send queue was full for {limit:?}")));
                    }
                    self.client.producer.poll(Duration::from_millis(5));
                    record = refused;
                }
                Err((error, _)) => {
                    self.client.producer.context().refused.fetch_or(of_the_record(&error), Ordering::AcqRel);
                    let failure = self.client.judge("sending a record", error);
                    return Err(self.failed(failure));
                }
            }
        }
    }

    fn commit(
        &mut self,
        consumer: &mut KafkaConsumer,
        offsets: &[Position],
    ) -> std::result::Result<(), TxnError> {
        if offsets.is_empty() {
            self.abort()?;
            return Err(TxnError::NoOffsets);
        }
        let limit = self.client.limit();
        let sent =
            self.client.persist(limit, "sending records", |producer, left| producer.flush(left.min(TURN)));
        if let Err(failure) = sent {
            return Err(self.failed(failure));
        }
        let (positions, metadata) = match consumer.for_transaction(offsets) {
            Ok((positions, Some(metadata))) => (positions, metadata),
            Ok((_, None)) => {
                return Err(self.aborted(format!("no membership in the group of {}", consumer.topic())));
            }
            Err(error) => return Err(self.aborted(error.to_string())),
        };
        if let Err(failure) = self.send_positions(positions, metadata) {
            return Err(self.failed(failure));
        }
        match self
            .client
            .persist(limit, "committing", |producer, left| producer.commit_transaction(left.min(TURN)))
        {
            Ok(()) => {
                metrics::transaction("committed");
                Ok(())
            }
            Err(Failure::Again(reason)) => {
                metrics::transaction("unknown");
                Err(TxnError::Unknown { waited: limit, reason })
            }
            Err(Failure::Abort(reason)) => Err(self.aborted(reason)),
            Err(Failure::Dead(error)) => Err(error),
        }
    }

    fn abort(&mut self) -> std::result::Result<(), TxnError> {
        const DOING: &str = "aborting";
        let limit = self.client.limit();
        match self.client.persist(limit, DOING, |producer, left| producer.abort_transaction(left.min(TURN))) {
            Ok(()) => {
                metrics::transaction("aborted");
                Ok(())
            }
            Err(Failure::Dead(error)) => Err(error),
            Err(Failure::Again(reason) | Failure::Abort(reason)) => {
                Err(TxnError::Failed { doing: DOING, reason })
            }
        }
    }
}
