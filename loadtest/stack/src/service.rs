//! One process of `weir`: started, asked, killed, stopped and started again under the same name.

use crate::process::{Process, Signal, tail};
use crate::scrape::{self, Metrics};
use crate::{Error, Home, Result, io};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `weir ingest`.
    Ingest,
    /// `weir decoder`.
    Decoder,
    /// `weir sink`.
    Sink,
    /// `weir engine`.
    Engine,
    /// `weir standalone`.
    Standalone,
}

impl Kind {
    /// Its subcommand, which is its section of the configuration too.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Decoder => "decoder",
            Self::Sink => "sink",
            Self::Engine => "engine",
            Self::Standalone => "standalone",
        }
    }
}

/// The `weir` program: `$WEIR_BIN`, else beside this program, else the workspace's release build.
///
/// # Errors
/// [`Error::Missing`], with the command that builds it.
pub fn weir_program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("WEIR_BIN") {
        return found(PathBuf::from(path));
    }
    let this = std::env::current_exe().unwrap_or_default();
    // A test's program lies one folder deeper.
    let beside = this.ancestors().skip(1).take(2).map(|folder| folder.join("weir"));
    match beside.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => found(Home::workspace().join("target/release/weir")),
    }
}

pub(crate) fn found(path: PathBuf) -> Result<PathBuf> {
    if path.is_file() {
        Ok(path)
    } else {
        Err(Error::Missing {
            what: "The program weir",
            path,
            script: "cargo build --release -p weir, or set WEIR_BIN",
        })
    }
}

/// A command of `weir` that sees no configuration but the file's.
pub(crate) fn weir(program: &Path, config: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WEIR_") {
            command.env_remove(name);
        }
    }
    command.arg("--config").arg(config);
    command
}

/// A process of a service. Dropping it kills it.
#[derive(Debug)]
pub struct Service {
    name: String,
    kind: Kind,
    program: PathBuf,
    config: PathBuf,
    arguments: Vec<OsString>,
    admin: String,
    log: PathBuf,
    process: Option<Process>,
}

impl Service {
    /// A service that does not run yet. `settings` are `key=value`, beyond the configuration file.
    pub(crate) fn new(
        name: &str,
        kind: Kind,
        program: &Path,
        config: &Path,
        admin: String,
        settings: &[String],
        log: PathBuf,
    ) -> Self {
        let mut arguments: Vec<OsString> = Vec::new();
        let own = format!("runtime.admin.{}={admin}", kind.word());
        for setting in settings.iter().chain([&own]) {
            arguments.extend(["--set".into(), setting.into()]);
        }
        arguments.push(kind.word().into());
        Self {
            name: name.to_owned(),
            kind,
            program: program.to_owned(),
            config: config.to_owned(),
            arguments,
            admin,
            log,
            process: None,
        }
    }

    /// Its name, such as `decoder-0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which service it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Address of its metrics and health.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Starts it, killing what still runs of it; does not wait.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn start(&mut self) -> Result<()> {
        self.kill()?;
        let mut command = weir(&self.program, &self.config);
        command.args(&self.arguments);
        self.process = Some(Process::start(&self.name, command, &self.log)?);
        Ok(())
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill().map(drop))
    }

    /// Makes it stand still, go on, or whatever else; nothing where it does not run.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), |process| process.signal(signal))
    }

    /// Ends it in order (SIGTERM), and kills it when that takes longer than `patience`; nothing where it does not run.
    ///
    /// # Errors
    /// [`Error::Ended`] where it ends with an error, or has to be killed.
    pub fn stop(&mut self, patience: Duration) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = process.stop(patience)?;
        if status.success() { Ok(()) } else { Err(process.told(status)) }
    }

    /// An error with the end of its output where it should run and does not.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub fn expect_alive(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::expect_alive)
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// [`Error::Ended`], or [`Error::NotReady`] with what it waits for.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.expect_alive()?;
            let why = match scrape::get(&self.admin, "/readyz") {
                Ok((200, _)) => return Ok(()),
                Ok((_, body)) => body.trim().replace('\n', "; "),
                Err(error) => format!("http://{}/readyz: {error}", self.admin),
            };
            if begun.elapsed() > limit {
                return Err(Error::NotReady {
                    name: self.name.clone(),
                    waited: limit,
                    why,
                    log: self.log.clone(),
                    tail: tail(&self.log),
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its metrics now.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::of(&self.admin)
            .map_err(io(format!("reading the metrics of {} at http://{}", self.name, self.admin)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// What a service says of being stopped that does this when it is told to.
    fn stopped(on_term: &str) -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let (program, log) = (dir.path().join("weir"), dir.path().join("sink-0.log"));
        let script = format!("#!/bin/sh\ntrap '{on_term}' TERM\necho up\nwhile :; do sleep 0.02; done\n");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut service =
            Service::new("sink-0", Kind::Sink, &program, dir.path(), String::new(), &[], log.clone());
        service.start().unwrap();
        while !tail(&log).contains("up") {
            std::thread::sleep(Duration::from_millis(5));
        }
        service.stop(Duration::from_secs(1))
    }

    #[test]
    fn one_that_ends_with_an_error_or_has_to_be_killed_when_it_is_told_to_stop_is_named_with_its_log() {
        stopped("exit 0").unwrap();
        let words = stopped("echo no luck; exit 3").unwrap_err().to_string();
        assert!(words.starts_with("sink-0 ended with exit status: 3; the end of "), "{words}");
        assert!(words.contains("sink-0.log") && words.contains("no luck"), "{words}");
        let words = stopped("").unwrap_err().to_string();
        assert!(words.starts_with("sink-0 ended with signal: 9"), "{words}");
    }
}
