//! What stands between a sink and ClickHouse in tests: it passes requests on, or does to chosen inserts what networks and servers do.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Something that others wait for.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open, a minute at most.
    pub fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self.0.1.wait_timeout_while(open, Duration::from_secs(60), |open| !*open).unwrap();
        assert!(*open, "the gate stayed closed");
    }
}

/// What becomes of an insert.
#[derive(Clone)]
pub enum Fate {
    /// Answered with an error that passes; ClickHouse never sees it. The connection stays.
    Refused,
    /// Half of its body arrives, then the connections are closed.
    Cut,
    /// It is done, and the answer is lost.
    Unanswered,
    /// It is done when the gate opens, whether somebody waits for the answer or not.
    Held(Gate),
}

/// An insert that was seen.
#[derive(Clone, Debug)]
pub struct Insert {
    pub table: String,
    pub token: String,
    /// Which connection it came on.
    pub connection: usize,
    pub passed: bool,
}

#[derive(Default)]
struct State {
    engine: String,
    away: AtomicBool,
    delay_ms: AtomicU64,
    connections: AtomicUsize,
    fates: Mutex<Vec<(&'static str, u32, Fate)>>,
    inserts: Mutex<Vec<Insert>>,
}

/// A listener of its own for each sink.
#[derive(Clone)]
pub struct Proxy {
    pub url: String,
    state: Arc<State>,
}

impl Proxy {
    pub fn start(engine: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state =
            Arc::new(State { engine: engine.trim_start_matches("http://").to_owned(), ..State::default() });
        let proxy = Self { url, state: Arc::clone(&state) };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                std::thread::spawn(move || {
                    let connection = state.connections.fetch_add(1, Ordering::Relaxed);
                    // Whatever breaks is a connection that ends.
                    let _ = state.serve(client, connection);
                });
            }
        });
        proxy
    }

    /// What becomes of the next `times` inserts into a table.
    pub fn next(&self, table: &'static str, times: u32, fate: Fate) {
        self.state.fates.lock().unwrap().push((table, times, fate));
    }

    /// Whether ClickHouse is away: connections end without a word.
    pub fn away(&self, away: bool) {
        self.state.away.store(away, Ordering::Relaxed);
    }

    /// How long every insert takes longer.
    pub fn slow(&self, delay: Duration) {
        self.state.delay_ms.store(delay.as_millis() as u64, Ordering::Relaxed);
    }

    /// The inserts into `flows` and the rollups so far.
    pub fn inserts(&self) -> Vec<Insert> {
        self.state.inserts.lock().unwrap().clone()
    }

    /// Tokens of the inserts into a table, in order.
    pub fn tokens(&self, table: &str) -> Vec<String> {
        self.inserts().into_iter().filter(|insert| insert.table == table).map(|insert| insert.token).collect()
    }
}

struct Request {
    head: Vec<u8>,
    body: Vec<u8>,
    parameters: HashMap<String, String>,
}

impl State {
    fn serve(&self, mut client: TcpStream, connection: usize) -> std::io::Result<()> {
        loop {
            let request = read(&mut client)?;
            if self.away.load(Ordering::Relaxed) {
                return Ok(());
            }
            let Some(table) = request.table() else { return self.pass(&request, &mut client) };
            let fate = self.fate(&table);
            self.inserts.lock().unwrap().push(Insert {
                token: request.parameters.get("insert_deduplication_token").cloned().unwrap_or_default(),
                connection,
                passed: !matches!(fate, Some(Fate::Refused | Fate::Cut)),
                table,
            });
            std::thread::sleep(Duration::from_millis(self.delay_ms.load(Ordering::Relaxed)));
            match fate {
                None => return self.pass(&request, &mut client),
                Some(Fate::Refused) => {
                    let why = "Code: 252. DB::Exception: Too many parts (a test says so)";
                    let answer = format!(
                        "HTTP/1.1 500 Internal Server Error\r\nX-ClickHouse-Exception-Code: 252\r\nContent-Length: {}\r\n\r\n{why}",
                        why.len()
                    );
                    client.write_all(answer.as_bytes())?;
                }
                Some(Fate::Cut) => {
                    let mut engine = TcpStream::connect(&self.engine)?;
                    engine.write_all(&request.head)?;
                    engine.write_all(&request.body[..request.body.len() / 2])?;
                    engine.shutdown(Shutdown::Write)?;
                    let _ = engine.read_to_end(&mut Vec::new());
                    return Ok(());
                }
                Some(Fate::Unanswered) => {
                    self.ask(&request)?;
                    return Ok(());
                }
                Some(Fate::Held(gate)) => {
                    gate.pass();
                    return self.pass(&request, &mut client);
                }
            }
        }
    }

    fn fate(&self, table: &str) -> Option<Fate> {
        let mut fates = self.fates.lock().unwrap();
        let at = fates.iter().position(|(name, _, _)| *name == table)?;
        fates[at].1 -= 1;
        let fate = fates[at].2.clone();
        if fates[at].1 == 0 {
            fates.remove(at);
        }
        Some(fate)
    }

    /// Asks ClickHouse, on a connection of its own that ends with the answer.
    fn ask(&self, request: &Request) -> std::io::Result<Vec<u8>> {
        let mut engine = TcpStream::connect(&self.engine)?;
        let end = request.head.len() - 2;
        engine.write_all(&request.head[..end])?;
        engine.write_all(b"connection: close\r\n\r\n")?;
        engine.write_all(&request.body)?;
        let mut answer = Vec::new();
        engine.read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn pass(&self, request: &Request, client: &mut TcpStream) -> std::io::Result<()> {
        let answer = self.ask(request)?;
        client.write_all(&answer)
    }
}

impl Request {
    /// The table of an insert under a token of the sink's batches.
    fn table(&self) -> Option<String> {
        let statement = self.parameters.get("query")?.strip_prefix("INSERT INTO ")?;
        let table = statement.split(' ').next()?.rsplit('.').next()?;
        let joined = ["exporters", "interfaces", "links", "rates"].contains(&table);
        (!joined).then(|| table.to_owned())
    }
}

/// Reads a request with its whole body, as it came.
fn read(client: &mut TcpStream) -> std::io::Result<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(client)?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let lower = text.to_ascii_lowercase();
    let mut body = Vec::new();
    if lower.contains("transfer-encoding: chunked") {
        loop {
            let from = body.len();
            while !body[from..].ends_with(b"\r\n") {
                body.push(byte(client)?);
            }
            let size = String::from_utf8_lossy(&body[from..]).trim().to_owned();
            let size = usize::from_str_radix(&size, 16).map_err(std::io::Error::other)?;
            let from = body.len();
            body.resize(from + size + 2, 0);
            client.read_exact(&mut body[from..])?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(rest) = lower.split("content-length: ").nth(1) {
        let size = rest.split("\r\n").next().unwrap_or("0").parse().map_err(std::io::Error::other)?;
        body.resize(size, 0);
        client.read_exact(&mut body)?;
    }
    let target = text.split(' ').nth(1).unwrap_or("/");
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let parameters = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    Ok(Request { head, body, parameters })
}

fn byte(client: &mut TcpStream) -> std::io::Result<u8> {
    let mut one = [0];
    client.read_exact(&mut one)?;
    Ok(one[0])
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                u8::from_str_radix(&String::from_utf8_lossy(&hex), 16).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}
