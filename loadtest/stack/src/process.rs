//! A child process with its output in a file, that never outlives this process, and signals to it.
//!
//! `unsafe` for calls of libc: `prctl` between fork and exec, which makes the kernel end the child with its parent, `getppid`
//! beside it, and `kill`. The kernel means the *thread* that forked, and a test's thread ends with the test, so one thread that
//! never ends does all the forking.
#![allow(unsafe_code)]

use crate::{Error, Result, io};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// What can be sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Please end (SIGTERM).
    Terminate,
    /// End now (SIGKILL).
    Kill,
    /// Stand still (SIGSTOP).
    Stop,
    /// Go on (SIGCONT).
    Continue,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Self::Terminate => libc::SIGTERM,
            Self::Kill => libc::SIGKILL,
            Self::Stop => libc::SIGSTOP,
            Self::Continue => libc::SIGCONT,
        }
    }
}

type Spawned = std::io::Result<Child>;

/// The thread that forks; see the file's head.
fn spawn(mut command: Command) -> Spawned {
    static FORKER: OnceLock<Sender<(Command, Sender<Spawned>)>> = OnceLock::new();
    let parent = std::process::id();
    // SAFETY: between fork and exec only async-signal-safe calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            // The parent may have ended before the line above.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
    let forker = FORKER.get_or_init(|| {
        let (sender, commands) = channel::<(Command, Sender<Spawned>)>();
        std::thread::spawn(move || {
            for (mut command, answer) in commands {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (sender, answer) = channel();
    let gone = || std::io::Error::other("the forking thread is gone");
    forker.send((command, sender)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// A running child, killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; both its outputs are appended to `log`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let open = || File::options().create(true).append(true).open(log);
        let output = open().map_err(io(format!("opening {}", log.display())))?;
        let errors = output.try_clone().map_err(io(format!("opening {}", log.display())))?;
        // Of a group of its own: Ctrl-C is for who started it, and ends it in order.
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = spawn(command).map_err(io(format!("starting {name} ({program})")))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_path_buf() })
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, `None` while it runs.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(io(format!("asking after {}", self.name)))
    }

    /// An error with the end of its output where it does not run.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub fn expect_alive(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Err(self.told(status)),
        }
    }

    /// How it ended, with the end of its output.
    pub(crate) fn told(&self, status: ExitStatus) -> Error {
        Error::Ended {
            name: self.name.clone(),
            status: status.to_string(),
            log: self.log.clone(),
            tail: tail(&self.log),
        }
    }

    /// Sends a signal; nothing where it has ended.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let id = libc::pid_t::try_from(self.child.id()).unwrap_or(libc::pid_t::MAX);
        // SAFETY: a call without memory. The child was not waited for yet, so the id is still its own.
        let sent = unsafe { libc::kill(id, signal.number()) };
        if sent == 0 {
            Ok(())
        } else {
            Err(io(format!("signalling {}", self.name))(std::io::Error::last_os_error()))
        }
    }

    /// Asks it to end, kills it when it has not after `patience`, and returns how it ended.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn stop(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal(Signal::Terminate)?;
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill()
    }

    /// Kills it (SIGKILL) and returns how it ended.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::Kill)?;
        self.child.wait().map_err(io(format!("waiting for {}", self.name)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is just as well.
        let _ = self.kill();
    }
}

/// Signals a process that is no child. The caller has made sure whose it is.
///
/// # Errors
/// [`Error::Io`], as where there is none of this id.
pub fn signal(id: u32, signal: Signal) -> Result<()> {
    let doing = || format!("signalling process {id}");
    // 0 and -1 would mean many processes.
    let number = libc::pid_t::try_from(id).ok().filter(|number| *number > 1);
    let number = number.ok_or_else(|| io(doing())(std::io::ErrorKind::InvalidInput.into()))?;
    // SAFETY: a call without memory.
    let sent = unsafe { libc::kill(number, signal.number()) };
    if sent == 0 { Ok(()) } else { Err(io(doing())(std::io::Error::last_os_error())) }
}

/// The last lines of a file, or nothing.
pub(crate) fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(2000)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn sleeper(dir: &Path) -> Process {
        let mut command = Command::new("sleep");
        command.arg("60");
        Process::start("sleeper", command, &dir.join("log")).unwrap()
    }

    #[test]
    fn a_child_outlives_the_thread_that_started_it_and_not_its_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_path_buf();
        let mut process = std::thread::spawn(move || sleeper(&path)).join().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        process.expect_alive().unwrap();
        let id = process.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_child_that_does_not_heed_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo deaf; exec sleep 60"]);
        let mut process = Process::start("deaf", command, &log).unwrap();
        while !tail(&log).contains("deaf") {
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = process.stop(Duration::from_millis(100)).unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    }

    #[test]
    fn what_ended_shows_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no luck today; exit 3"]);
        let mut process = Process::start("oracle", command, &dir.path().join("log")).unwrap();
        process.child.wait().unwrap();
        let words = process.expect_alive().unwrap_err().to_string();
        assert!(
            words.contains("oracle ended with exit status: 3") && words.contains("no luck today"),
            "{words}"
        );
    }
}
