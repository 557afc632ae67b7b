//! Questions to brokers, asked again: a question may lie with a broker that died and never be answered, while the others have long
//! elected another. Each try waits twice as long as the one before, so that a broker that is only slow is heard too.
//!
//! What must stay true: only questions are asked again, never what changes something.

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use std::time::{Duration, Instant};

/// How long the first try waits.
const FIRST: Duration = Duration::from_secs(2);
/// Between an answer that says "not here, not now" and the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks until there is an answer, or `limit` is over. `look` is called between tries, with the patience of the last: it is to find out who is
/// to be asked now.
pub(super) fn again<T>(
    limit: Duration,
    mut ask: impl FnMut(Duration) -> KafkaResult<T>,
    mut look: impl FnMut(Duration),
) -> KafkaResult<T> {
    let (begun, mut patience) = (Instant::now(), FIRST);
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        let asked = Instant::now();
        match ask(patience.min(left)) {
            Err(error) if passes(&error) && begun.elapsed() + PAUSE < limit => {
                tracing::debug!("asked again after {:?}: {error}", asked.elapsed());
                look(patience.min(left));
                std::thread::sleep(PAUSE.saturating_sub(asked.elapsed()));
            }
            answer => return answer,
        }
        patience *= 2;
    }
}

/// Whether another try, maybe with another broker, may have an answer.
fn passes(error: &KafkaError) -> bool {
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    matches!(
        code,
        Some(
            Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::TimedOutQueue
                | Code::BrokerTransportFailure
                | Code::DestroyBroker
                | Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::ReplicaNotAvailable
                | Code::NetworkException
                | Code::WaitingForCoordinator
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotCoordinator
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(code: Code) -> KafkaError {
        KafkaError::MetadataFetch(code)
    }

    #[test]
    fn a_question_that_nobody_answers_is_asked_again_with_more_patience() {
        let (mut waited, mut looked) = (Vec::new(), 0);
        let answer = again(
            Duration::from_secs(30),
            |patience| {
                waited.push(patience.as_secs());
                if waited.len() < 3 { Err(fails(Code::OperationTimedOut)) } else { Ok(7) }
            },
            |_| looked += 1,
        );
        assert_eq!((answer, &waited[..], looked), (Ok(7), &[2, 4, 8][..], 2));
    }

    #[test]
    fn an_answer_that_stays_is_not_asked_for_again_and_the_limit_is_one_for_all_tries() {
        let mut asked = 0;
        let mut ask = |code, limit| {
            again::<()>(
                limit,
                |patience| {
                    asked += 1;
                    assert!(patience <= limit);
                    std::thread::sleep(patience.min(Duration::from_millis(10)));
                    Err(fails(code))
                },
                |_| {},
            )
        };
        assert_eq!(
            ask(Code::UnknownTopicOrPartition, Duration::from_secs(30)),
            Err(fails(Code::UnknownTopicOrPartition))
        );
        assert_eq!(
            ask(Code::NotLeaderForPartition, Duration::from_millis(150)),
            Err(fails(Code::NotLeaderForPartition))
        );
        assert!((2..=3).contains(&asked), "{asked}");
    }
}
