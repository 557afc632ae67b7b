//! Whether what answers at `engine.listen` is this process's own engine.
//!
//! What must stay true: nothing is stored with any other. A ClickHouse of the same machine listens there by default too, and takes
//! whatever it is sent; what lies in two stores is whole in neither.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use weir_store::engine::IDENTITY_HEADER;

/// Environment variable that tells the child what to name itself. It is no secret: it keeps mistakes out, not enemies.
pub const IDENTITY: &str = "WEIR_ENGINE_IDENTITY";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than the head of any answer.
const HEAD: u64 = 16 << 10;

/// The engine that this process starts.
#[derive(Clone, Debug)]
pub struct Own {
    address: String,
    identity: String,
}

/// Why it is not there to store with.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NotOwn {
    /// Nobody, or not now.
    #[error("nothing answers at {0} (engine.listen)")]
    Away(String),
    /// Somebody else.
    #[error(
        "another server answers at {0} (engine.listen), and nothing is stored there: stop it, or set engine.listen and clickhouse.url \
         to a port that is free"
    )]
    Another(String),
}

impl Own {
    /// One with an identity of its own, to listen at this address.
    pub fn new(address: &str) -> Self {
        let random = RandomState::new().hash_one(std::process::id());
        Self { address: address.to_owned(), identity: format!("{}-{random:016x}", std::process::id()) }
    }

    /// Tells a child whose it is.
    pub fn name(&self, child: &mut Command) {
        child.env(IDENTITY, &self.identity);
    }

    /// Asks who answers.
    pub async fn answers(&self) -> Result<(), NotOwn> {
        let away = || NotOwn::Away(self.address.clone());
        let head =
            tokio::time::timeout(PATIENCE, self.ping()).await.map_err(|_| away())?.map_err(|_| away())?;
        if head.is_empty() {
            return Err(away());
        }
        let named = |line: &str| {
            let (name, value) = line.split_once(':')?;
            (name.eq_ignore_ascii_case(IDENTITY_HEADER) && value.trim() == self.identity).then_some(())
        };
        head.lines().find_map(named).ok_or_else(|| NotOwn::Another(self.address.clone()))
    }

    async fn ping(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let ask = format!("GET /ping HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(ask.as_bytes()).await?;
        let mut head = Vec::new();
        stream.take(HEAD).read_to_end(&mut head).await?;
        Ok(String::from_utf8_lossy(&head).into_owned())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::sync::{Arc, Mutex};

    /// A server that is whose it says, what it was asked, and the store there. It answers with status and words for each question in turn, as
    /// long as there is one, and takes connections for ever.
    pub fn server(
        own: bool,
        mut answer: impl FnMut(usize) -> Option<(&'static str, &'static str)> + Send + 'static,
    ) -> (Own, Arc<Mutex<Vec<String>>>, weir_store::Config) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let engine = Own::new(&address);
        let header = if own { format!("X-Weir-Engine: {}\r\n", engine.identity) } else { String::new() };
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for (number, mut client) in listener.incoming().flatten().enumerate() {
                let Some((status, words)) = answer(number) else {
                    held.push(client);
                    continue;
                };
                let mut question = [0; 4096];
                let length = client.read(&mut question).unwrap_or_default();
                let question = String::from_utf8_lossy(&question[..length]);
                heard.lock().unwrap().push(question.lines().next().unwrap_or_default().to_owned());
                let length = words.len();
                let _ = write!(
                    client,
                    "HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n{words}"
                );
            }
        });
        let store = weir_store::Config { url: format!("http://{address}"), ..weir_store::Config::default() };
        (engine, asked, store)
    }

    #[tokio::test]
    async fn an_engine_is_known_by_its_name_and_no_other_server_is_taken_for_it() {
        let (own, ..) = server(true, |_| Some(("200 OK", "Ok.")));
        assert_eq!(own.answers().await, Ok(()));
        let of_another_process = Own::new(&own.address);
        assert_eq!(of_another_process.answers().await, Err(NotOwn::Another(own.address.clone())));
        let (own, ..) = server(false, |_| Some(("200 OK", "Ok.")));
        assert_eq!(own.answers().await, Err(NotOwn::Another(own.address.clone())));
        let nobody = Own::new("127.0.0.1:1");
        assert_eq!(nobody.answers().await, Err(NotOwn::Away("127.0.0.1:1".into())));
    }
}
