//! One file of the spool: frames one behind the other, and how far the bus has acknowledged them.
//!
//! ```text
//! file:  "WEIRSPL1"   acknowledged up to this byte, u64       frame…
//! frame: length u32   CRC-32 of all behind it u32   datagrams u32   exporter [16]   the frame, length bytes
//! ```
//!
//! Numbers are little-endian. What must stay true: a frame that was torn is never taken for a whole one, whatever is in the file; and a
//! frame that is written where another one failed lies behind the last whole one.

use crate::frames::{Exporter, Frame};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use weir_bus::Count;

const MAGIC: &[u8; 8] = b"WEIRSPL1";
/// Where the first frame begins.
pub(crate) const BEGIN: u64 = 16;
const HEADER: usize = 28;
/// Longer than any frame; a length beyond is damage.
const LONGEST: usize = 1 << 20;

/// Bytes that a frame takes in a file.
pub(crate) fn size(frame: &Frame<'_>) -> u64 {
    (HEADER + frame.bytes.len()) as u64
}

/// A frame as it is counted on its way to the bus: key and value.
pub(crate) fn count(frame: &Frame<'_>) -> Count {
    let bytes = (frame.exporter.len() + frame.bytes.len()) as u64;
    Count { records: 1, units: u64::from(frame.datagrams), bytes }
}

pub(crate) fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    let written = file.write_all_at(MAGIC, 0).and_then(|()| note(&file, BEGIN));
    // A disk without room for this much has none for a frame, and is tried again with the next one.
    written.inspect_err(|_| drop(std::fs::remove_file(path)))?;
    Ok(file)
}

/// Notes that the bus has everything before byte `acknowledged`.
pub(crate) fn note(file: &File, acknowledged: u64) -> io::Result<()> {
    file.write_all_at(&acknowledged.to_le_bytes(), MAGIC.len() as u64)
}

/// Writes a frame at byte `at`, where the file ends, or leaves the file as it was.
pub(crate) fn append(file: &File, at: u64, frame: &Frame<'_>, buffer: &mut Vec<u8>) -> io::Result<()> {
    let length = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
    buffer.clear();
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&frame.datagrams.to_le_bytes());
    buffer.extend_from_slice(frame.exporter);
    buffer.extend_from_slice(frame.bytes);
    let crc = crc(buffer);
    buffer[4..8].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(buffer, at).inspect_err(|_| drop(file.set_len(at)))
}

/// Over the length too, so that a run of zeroes is no frame.
fn crc(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..4]);
    hasher.update(&frame[8..]);
    hasher.finalize()
}

struct Header {
    length: usize,
    crc: u32,
    datagrams: u32,
    exporter: Exporter,
}

impl Header {
    /// Bytes of the frame with it.
    fn size(&self) -> u64 {
        (HEADER + self.length) as u64
    }

    fn count(&self) -> Count {
        let bytes = (self.exporter.len() + self.length) as u64;
        Count { records: 1, units: u64::from(self.datagrams), bytes }
    }
}

fn header(bytes: &[u8; HEADER]) -> Option<Header> {
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let exporter = bytes[12..].try_into().ok()?;
    let length = number(0) as usize;
    (length <= LONGEST).then_some(Header { length, crc: number(4), datagrams: number(8), exporter })
}

/// The exporter and datagrams of the frame at byte `at`, whose bytes lie in `buffer` from the returned index on; `None` where no whole
/// frame is there.
pub(crate) fn read(file: &File, at: u64, buffer: &mut Vec<u8>) -> io::Result<Option<(Exporter, u32, usize)>> {
    let cut = |error: io::Error| {
        if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) }
    };
    buffer.resize(HEADER, 0);
    if let Err(error) = file.read_exact_at(buffer, at) {
        return cut(error);
    }
    let Some(found) = buffer[..].try_into().ok().and_then(header) else { return Ok(None) };
    buffer.resize(HEADER + found.length, 0);
    if let Err(error) = file.read_exact_at(&mut buffer[HEADER..], at + HEADER as u64) {
        return cut(error);
    }
    Ok((crc(buffer) == found.crc).then_some((found.exporter, found.datagrams, HEADER)))
}

/// What a file of an earlier process holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) length: u64,
    /// Where the first frame begins that the bus is not known to have.
    pub(crate) read: u64,
    /// Frames from there on.
    pub(crate) unread: Count,
    /// What was cut off at its end: frames (one, whatever it was) and datagrams, where that could be read.
    pub(crate) torn: Option<Count>,
}

/// Looks through a file by its headers and cuts off what is not whole at its end. `None`: no file of a spool.
pub(crate) fn scan(path: &Path) -> io::Result<Option<Found>> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let end = file.metadata()?.len();
    let mut head = [0; BEGIN as usize];
    if end < BEGIN {
        // It was made and its process killed before there was anything in it.
        return Ok(Some(Found { length: 0, read: 0, unread: Count::default(), torn: None }));
    }
    file.read_exact_at(&mut head, 0)?;
    if head[..8] != MAGIC[..] {
        return Ok(None);
    }
    let mut frames = Vec::new();
    let (mut at, mut torn) = (BEGIN, None);
    let mut bytes = [0; HEADER];
    while at < end {
        let rest = Count { records: 1, units: 0, bytes: end - at };
        if end - at < HEADER as u64 {
            torn = Some(rest);
            break;
        }
        file.read_exact_at(&mut bytes, at)?;
        let units = u64::from(u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]));
        match header(&bytes) {
            Some(header) if at + header.size() <= end => {
                frames.push((at, header.count()));
                at += header.size();
            }
            Some(_) => {
                torn = Some(Count { units, ..rest });
                break;
            }
            None => {
                torn = Some(rest);
                break;
            }
        }
    }
    let mut buffer = Vec::new();
    if let Some((last, count)) = frames.last().copied()
        && torn.is_none()
        && read(&file, last, &mut buffer)?.is_none()
    {
        frames.pop();
        (at, torn) = (last, Some(count));
    }
    if torn.is_some() {
        file.set_len(at)?;
    }
    let (read, unread) = unread(&head, &frames, at);
    Ok(Some(Found { length: at, read, unread, torn }))
}

/// What a file that can't be looked through is known to hold, by its headers up to the first that can't be read; a frame at least, whatever it
/// has.
pub(crate) fn known(path: &Path) -> Count {
    let (mut head, mut bytes) = ([0; BEGIN as usize], [0; HEADER]);
    let (mut frames, mut at) = (Vec::new(), BEGIN);
    if let Ok(file) = File::open(path)
        && file.read_exact_at(&mut head, 0).is_ok()
        && head[..8] == MAGIC[..]
    {
        while file.read_exact_at(&mut bytes, at).is_ok()
            && let Some(header) = header(&bytes).filter(|header| header.datagrams > 0)
        {
            frames.push((at, header.count()));
            at += header.size();
        }
    }
    // The bus has all of them, and may have more.
    if noted(&head) > at {
        return Count { records: 1, ..Count::default() };
    }
    let (_, unread) = unread(&head, &frames, at);
    Count { records: unread.records.max(1), ..unread }
}

/// Up to where the bus has it, by the note in its head.
fn noted(head: &[u8; BEGIN as usize]) -> u64 {
    u64::from_le_bytes([head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15]])
}

/// Where the first frame begins that the bus is not known to have, and how much there is from there on to the `end`.
fn unread(head: &[u8; BEGIN as usize], frames: &[(u64, Count)], end: u64) -> (u64, Count) {
    let noted = noted(head);
    // A note that is no frame's beginning was torn itself; sending all of it again loses nothing.
    let known = noted == end || frames.iter().any(|(begin, _)| *begin == noted);
    let read = if known { noted } else { BEGIN };
    let mut unread = Count::default();
    for (_, count) in frames.iter().filter(|(begin, _)| *begin >= read) {
        unread.records += count.records;
        unread.units += count.units;
        unread.bytes += count.bytes;
    }
    (read, unread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tempfile::TempDir;

    /// A file of three frames: its folder, itself, and where the frames begin and end.
    fn three() -> (TempDir, std::path::PathBuf, Vec<u64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = create(&path).unwrap();
        let mut ends = vec![BEGIN];
        for n in 1..=3_u8 {
            let bytes = vec![n; 100 * usize::from(n)];
            let frame = Frame { exporter: &[n; 16], bytes: &bytes, datagrams: u32::from(n) };
            let at = *ends.last().unwrap();
            append(&file, at, &frame, &mut Vec::new()).unwrap();
            ends.push(at + size(&frame));
        }
        (folder, path, ends)
    }

    #[test]
    fn frames_are_read_as_they_were_written_from_where_the_bus_has_them() {
        let (_folder, path, ends) = three();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut buffer = Vec::new();
        let (exporter, datagrams, begin) = read(&file, ends[1], &mut buffer).unwrap().unwrap();
        assert_eq!((exporter, datagrams, &buffer[begin..]), ([2; 16], 2, &[2; 200][..]));
        assert_eq!(read(&file, ends[3], &mut buffer).unwrap(), None);
        let all = Count { records: 3, units: 6, bytes: 648 };
        let whole = Found { length: ends[3], read: BEGIN, unread: all, torn: None };
        assert_eq!(scan(&path).unwrap(), Some(whole));
        note(&file, ends[2]).unwrap();
        let found = scan(&path).unwrap().unwrap();
        assert_eq!((found.read, found.unread), (ends[2], Count { records: 1, units: 3, bytes: 316 }));
        note(&file, ends[2] + 1).unwrap();
        assert_eq!(scan(&path).unwrap().unwrap().unread, all, "a note that points nowhere");
    }

    #[test]
    fn a_last_frame_whose_bytes_never_came_to_the_disk_is_cut_off_and_counted() {
        let (_folder, path, ends) = three();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0; 50], ends[3] - 50).unwrap();
        let found = scan(&path).unwrap().unwrap();
        assert_eq!((found.length, found.unread.units), (ends[2], 3));
        assert_eq!(found.torn, Some(Count { records: 1, units: 3, bytes: 316 }));
        assert_eq!(scan(&path).unwrap().unwrap().torn, None, "once");
    }

    #[test]
    fn of_a_file_that_cannot_be_looked_through_is_counted_what_its_headers_say() {
        let (folder, path, ends) = three();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let count = |records, units, bytes| Count { records, units, bytes };
        assert_eq!(known(&path), count(3, 6, 648));
        file.write_all_at(&[0xff; 28], ends[2]).unwrap();
        assert_eq!(known(&path), count(2, 3, 332));
        note(&file, ends[1]).unwrap();
        assert_eq!(known(&path), count(1, 2, 216));
        // Of what is behind there is no word but that it is there.
        note(&file, ends[2]).unwrap();
        for path in [&path, &folder.path().to_owned(), &folder.path().join("nothing")] {
            assert_eq!(known(path), count(1, 0, 0), "{}", path.display());
        }
        // What lies before the note the bus has, whatever can be read of it.
        file.write_all_at(&[0xff; 28], ends[1]).unwrap();
        assert_eq!(known(&path), count(1, 0, 0));
    }

    #[test]
    fn a_file_of_somebody_else_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "somebody else's file").unwrap();
        assert_eq!(scan(&path).unwrap(), None);
        assert_eq!(std::fs::read(&path).unwrap().len(), 20);
    }

    proptest! {
        #[test]
        fn a_file_that_was_cut_anywhere_gives_its_whole_frames(cut in 0_u64..800) {
            let (_folder, path, ends) = three();
            let cut = cut.min(ends[3]);
            OpenOptions::new().write(true).open(&path).unwrap().set_len(cut).unwrap();
            let found = scan(&path).unwrap().unwrap();
            let whole = ends.iter().filter(|end| **end <= cut && **end > BEGIN).count() as u64;
            prop_assert_eq!(found.unread.records, whole);
            prop_assert_eq!(found.torn.is_some(), cut >= BEGIN && !ends.contains(&cut));
        }

        #[test]
        fn no_bytes_make_reading_panic(mut bytes: Vec<u8>, at in 0_u64..100, spool: bool) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            if spool {
                bytes.splice(0..0, MAGIC.iter().copied());
            }
            std::fs::write(&path, &bytes).unwrap();
            let _ = read(&File::open(&path).unwrap(), at, &mut Vec::new());
            let _ = scan(&path);
        }
    }
}
