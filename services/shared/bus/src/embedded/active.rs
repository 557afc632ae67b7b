//! The file that is appended to, and what a sync of it proves.
//!
//! The kernel says once that it could not write something, and from then on holds it for written: the next sync succeeds, whatever lies on
//! the disk. What must stay true: after a sync that failed none counts before what that one was to make safe is written again.

use super::log::lock;
use super::open::is_unreadable;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What is written again at a time: the kernel's page, which it holds for written or not as a whole.
const PAGE: usize = 4096;

/// A file that is appended to.
#[derive(Debug)]
pub(super) struct Active {
    file: File,
    /// Whether a sync of it has failed since it was written again. Locked while one is under way.
    failed: Mutex<bool>,
}

impl Active {
    pub(super) fn new(file: File) -> Arc<Self> {
        Arc::new(Self { file, failed: Mutex::new(false) })
    }

    pub(super) fn append(&self, parts: &[&[u8]]) -> io::Result<()> {
        let mut file = &self.file;
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            match file.write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn cut(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    /// Makes what was appended safe from a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut failed = lock(&self.failed);
        if *failed {
            return Err(io::Error::other("a sync beside this one failed; it is tried again"));
        }
        let synced = self.file.sync_data();
        *failed = synced.is_err();
        synced
    }

    /// Writes the bytes from `from` to `to` again where a sync has failed, so that the next one proves something of them.
    pub(super) fn mend(&self, path: &Path, from: u64, to: u64) -> io::Result<()> {
        let mut failed = lock(&self.failed);
        if *failed {
            write_again(path, from, to)?;
            *failed = false;
        }
        Ok(())
    }

    pub(super) fn has_failed(&self) -> bool {
        *lock(&self.failed)
    }

    /// A sync had failed before the file was opened.
    pub(super) fn note_failure(&self) {
        *lock(&self.failed) = true;
    }
}

/// Writes bytes of a file once more, as they are read. What can't even be read any more stays as it is, for who reads it to find.
fn write_again(path: &Path, from: u64, to: u64) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = [0; PAGE];
    let mut at = from - from % PAGE as u64;
    while at < to {
        let page = &mut bytes[..PAGE.min(usize::try_from(to - at).unwrap_or(PAGE))];
        match file.read_exact_at(page, at) {
            Ok(()) => file.write_all_at(page, at)?,
            Err(error) if is_unreadable(&error) => {}
            Err(error) => return Err(error),
        }
        at += PAGE as u64;
    }
    Ok(())
}
