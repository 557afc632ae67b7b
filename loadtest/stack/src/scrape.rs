//! Asks a service of this machine how it is: readiness and counters, over its own HTTP interface.
//!
//! A request without keep-alive on a plain socket is all that it takes, and it works from threads that know no runtime.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Status and body of `GET path` at `host:port`.
///
/// # Errors
/// Where nobody answers, or not in HTTP.
pub fn get(address: &str, path: &str) -> Result<(u16, String)> {
    get_within(address, path, PATIENCE)
}

fn get_within(address: &str, path: &str, patience: Duration) -> Result<(u16, String)> {
    let bad = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut stream = connect(address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    // Version 1.0 asks for a body that ends with the connection. In one piece, so that no answer comes before the whole question.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| bad("the answer is not HTTP"))?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok((status.ok_or_else(|| bad("the answer is not HTTP"))?, body.to_owned()))
}

/// A name may stand for several addresses, of which one answers.
fn connect(address: &str, patience: Duration) -> Result<TcpStream> {
    let mut last = Error::new(ErrorKind::InvalidInput, format!("{address} has no address"));
    for socket in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&socket, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The metrics of a moment, in Prometheus' text format.
#[derive(Clone, Debug, Default)]
pub struct Metrics(String);

impl Metrics {
    /// Those of the service at `host:port`.
    ///
    /// # Errors
    /// As [`get`].
    pub fn of(address: &str) -> Result<Self> {
        Self::within(address, PATIENCE)
    }

    /// The same, waiting at most so long for each piece of the answer.
    ///
    /// # Errors
    /// As [`get`].
    pub fn within(address: &str, patience: Duration) -> Result<Self> {
        match get_within(address, "/metrics", patience)? {
            (200, text) => Ok(Self(text)),
            (status, _) => Err(Error::other(format!("/metrics answers with status {status}"))),
        }
    }

    /// Sum of a metric over all its labels; 0 where it is not there.
    pub fn sum(&self, name: &str) -> f64 {
        self.series(name).map(|(_, value)| value).sum()
    }

    /// Labels, without braces, and value of every series of a metric.
    fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once("} ")?,
                None => ("", rest.strip_prefix(' ')?),
            };
            Some((labels, value.trim().parse().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn series_are_summed_by_name() {
        let text =
            "# HELP a b\n# TYPE a counter\na{x=\"1\",y=\"p\"} 3\na{x=\"2\"} 4.5\na_more 100\nplain 7\n";
        let metrics = Metrics(text.to_owned());
        assert_eq!((metrics.sum("a"), metrics.sum("plain"), metrics.sum("none")), (7.5, 7.0, 0.0));
    }

    #[test]
    fn an_answer_is_split_into_status_and_body() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\nbus: starting\n").unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        assert_eq!(get(&address, "/readyz").unwrap(), (503, "bus: starting\n".to_owned()));
        assert!(serving.join().unwrap().starts_with("GET /readyz HTTP/1.0\r\n"));
        assert!(get(&address, "/").is_err());
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("localhost:{}", silent.local_addr().unwrap().port());
        let refused = Metrics::within(&name, Duration::from_millis(20)).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{refused}");
    }
}
