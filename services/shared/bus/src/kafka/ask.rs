//! Questions to brokers, asked again: a question may lie with a broker that died and never be answered, while the others have long
//! elected another. Each try waits twice as long as the one before, so that a broker that is only slow is heard too.
//!
//! What must stay true: only questions are asked again, never what changes something.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long the first try waits, and no longer than a third of all the time that there is: whoever is asked first may be gone, and the next
/// one is found out only between two tries.
const FIRST: Duration = Duration::from_secs(2);
/// Between an answer that says "not here, not now" and the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks until there is an answer, an error that does not pass, or the deadline. `look` is called between tries: it is to find out who is to be
/// asked now, and has a quarter of the time that is left at most, so that one who is only slow still has the time to answer.
pub(super) fn again<T, E: Display>(
    deadline: Instant,
    passes: impl Fn(&E) -> bool,
    mut ask: impl FnMut(Duration) -> Result<T, E>,
    mut look: impl FnMut(Duration),
) -> Result<T, E> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let mut patience = FIRST.min(left() / 3);
    loop {
        let (asked, most) = (Instant::now(), patience.min(left()).max(PAUSE));
        let error = match ask(most) {
            Err(error) if passes(&error) && left() > PAUSE => error,
            answer => return answer,
        };
        tracing::debug!("asked again after {:?}: {error}", asked.elapsed());
        // What is refused at once says nothing of how long an answer takes.
        if asked.elapsed() >= most {
            patience *= 2;
        }
        look(patience.min(left() / 4).max(PAUSE));
        std::thread::sleep(PAUSE.saturating_sub(asked.elapsed()));
        if left().is_zero() {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::passes;
    use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

    fn fails(code: Code) -> KafkaError {
        KafkaError::MetadataFetch(code)
    }

    #[test]
    fn a_question_that_nobody_answers_is_asked_again_with_more_patience_and_a_refused_one_with_the_same() {
        let (mut waited, mut looked) = (Vec::new(), 0);
        let answer = again(
            Instant::now() + Duration::from_secs(60),
            passes,
            |patience| {
                waited.push(patience.as_secs());
                match waited.len() {
                    1 | 3 => {
                        std::thread::sleep(patience);
                        Err(fails(Code::OperationTimedOut))
                    }
                    2 => Err(fails(Code::NotLeaderForPartition)),
                    _ => Ok(7),
                }
            },
            |_| looked += 1,
        );
        assert_eq!((answer, &waited[..], looked), (Ok(7), &[2, 4, 4, 8][..], 3));
    }

    #[test]
    fn however_short_the_time_is_somebody_else_is_looked_for_and_asked() {
        for limit in [1, 2].map(Duration::from_secs) {
            let (mut asked, looked, begun) = (0, std::cell::Cell::new(0), Instant::now());
            let answer = again(
                begun + limit,
                passes,
                |patience| {
                    asked += 1;
                    if looked.get() > 0 {
                        return Ok(patience);
                    }
                    std::thread::sleep(patience);
                    Err(fails(Code::OperationTimedOut))
                },
                |_| looked.set(looked.get() + 1),
            );
            let patience = answer.unwrap();
            assert_eq!((asked, looked.get()), (2, 1));
            assert!(
                patience > limit / 4 && begun.elapsed() + patience < limit + PAUSE,
                "{patience:?} of {limit:?}"
            );
        }
    }

    #[test]
    fn a_broker_that_is_slow_to_answer_everything_is_heard() {
        let (limit, slow) = (Duration::from_secs(1), Duration::from_millis(430));
        let wait = |patience: Duration| {
            std::thread::sleep(patience.min(slow));
            if patience < slow { Err(fails(Code::OperationTimedOut)) } else { Ok(()) }
        };
        let answer = again(Instant::now() + limit, passes, wait, |patience| drop(wait(patience)));
        assert_eq!(answer, Ok(()));
    }

    #[test]
    fn an_answer_that_stays_is_not_asked_for_again_and_the_deadline_is_that_of_all_tries() {
        let mut asked = 0;
        let (begun, limit) = (Instant::now(), Duration::from_secs(1));
        let mut ask = |code| {
            again::<(), _>(
                begun + limit,
                passes,
                |patience| {
                    asked += 1;
                    assert!(patience <= limit);
                    Err(fails(code))
                },
                |patience| assert!(patience <= limit),
            )
        };
        assert_eq!(ask(Code::UnknownTopicOrPartition), Err(fails(Code::UnknownTopicOrPartition)));
        assert_eq!(ask(Code::NotLeaderForPartition), Err(fails(Code::NotLeaderForPartition)));
        assert!((3..=12).contains(&asked), "{asked}");
    }
}
