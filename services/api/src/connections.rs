//! Connections: how many there are, and for how long one may say nothing.
//!
//! What must stay true: whoever connects and says nothing, or says it slowly, or takes nothing of an answer, has a place for a bounded time, so that
//! others get theirs; and who was asking already when the end comes is answered, as long as that takes no longer than [`LINGER`].

use crate::Config;
use crate::stalled::Stalled;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use weir_runtime::Stop;

/// How long an end waits for those who were asking already: who sends half a body and no more keeps nobody from ending.
const LINGER: Duration = Duration::from_secs(3);
/// How long nobody is let in where the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_secs(1);

/// Lets connections in until told to stop; then answers, for a moment, what is asked already.
pub(crate) async fn serve(listener: TcpListener, router: Router, config: &Config, stop: Stop) {
    let places = Arc::new(Semaphore::new(config.connections));
    let ending = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    let patience = Duration::from_secs(config.header_timeout_s);
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    let accept = async || {
        let place = Arc::clone(&places).acquire_owned().await;
        (listener.accept().await, place)
    };
    loop {
        let (accepted, place) = tokio::select! {
            one = accept() => one,
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !is_of_one(&error) {
                    tracing::warn!(%error, "no connection can be let in");
                    tokio::time::sleep(NO_ROOM).await;
                }
                continue;
            }
        };
        let stream = TokioIo::new(Stalled::new(stream, patience));
        let answering = http.serve_connection(stream, TowerToHyperService::new(router.clone()));
        let answering = ending.watch(answering);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = answering.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop(listener);
    // What is still asked then goes on in its task, and ends with the process.
    let _ = tokio::time::timeout(LINGER, ending.shutdown()).await;
}

/// Whether it is about the connection that was to be let in, and no other.
fn is_of_one(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}
