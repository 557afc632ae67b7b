//! The C functions of `libchdb.so`, ClickHouse's engine as a library, behind safe types.
//!
//! Unsafe because the functions come from a shared library at run time. What must stay true: the library is never unloaded
//! (its threads outlive its connections), a connection is used by one thread at a time (`&mut self`), every result and stream is
//! destroyed once, and signatures are those of `chdb.h` of the pinned version. `tests/engine.rs` runs every one of them.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::sync::Arc;

type Handle = *mut c_void;

/// Functions of the library; field names are the symbols without `chdb_`.
struct Symbols {
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut Handle,
    close_conn: unsafe extern "C" fn(*mut Handle),
    query_with_params_n: unsafe extern "C" fn(
        Handle,
        *const c_char,
        usize,
        *const c_char,
        usize,
        *const *const c_char,
        *const usize,
        *const *const c_char,
        *const usize,
        usize,
    ) -> Handle,
    result_error: unsafe extern "C" fn(Handle) -> *const c_char,
    result_buffer: unsafe extern "C" fn(Handle) -> *const c_char,
    result_length: unsafe extern "C" fn(Handle) -> usize,
    result_rows_written: unsafe extern "C" fn(Handle) -> u64,
    destroy_query_result: unsafe extern "C" fn(Handle),
    stream_insert_n: unsafe extern "C" fn(Handle, *const c_char, usize, *const c_char, usize) -> Handle,
    stream_insert_error: unsafe extern "C" fn(Handle) -> *const c_char,
    stream_append: unsafe extern "C" fn(Handle, *const c_void, usize) -> c_int,
    stream_done: unsafe extern "C" fn(Handle) -> Handle,
    destroy_insert_stream: unsafe extern "C" fn(Handle),
    set_signal_handlers_enabled: unsafe extern "C" fn(c_int),
}

/// The loaded library.
#[derive(Clone)]
pub struct Library(Arc<Symbols>);

impl Library {
    /// Loads the library and keeps its signal handlers out: stopping is the process's own business.
    pub fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: the file is the pinned libchdb.so, whose initialisers only set up its own state.
        unsafe {
            let library = libloading::Library::new(path)?;
            macro_rules! symbols {
                ($($name:ident)*) => {
                    Symbols { $($name: *library.get(concat!("chdb_", stringify!($name), "\0").as_bytes())?,)* }
                };
            }
            let symbols = symbols! {
                connect close_conn query_with_params_n result_error result_buffer result_length result_rows_written
                destroy_query_result stream_insert_n stream_insert_error stream_append stream_done destroy_insert_stream
                set_signal_handlers_enabled
            };
            (symbols.set_signal_handlers_enabled)(0);
            // Threads run destructors of the library when they end, so it stays loaded until the process does.
            std::mem::forget(library);
            Ok(Self(Arc::new(symbols)))
        }
    }

    /// Opens a connection. The first one boots the engine on its `--path`; arguments that name a query setting hold for this
    /// connection alone.
    pub fn connect(&self, arguments: &[String]) -> Result<Connection, String> {
        let refused = || format!("the engine refused a connection with arguments {arguments:?}");
        let owned: Result<Vec<CString>, _> = std::iter::once("clickhouse")
            .chain(arguments.iter().map(String::as_str))
            .map(CString::new)
            .collect();
        let owned = owned.map_err(|_| refused())?;
        let mut pointers: Vec<*mut c_char> =
            owned.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        // SAFETY: argc and argv describe `pointers`, whose strings live until after the call; the engine copies them.
        let handle = unsafe { (self.0.connect)(pointers.len() as c_int, pointers.as_mut_ptr()) };
        if handle.is_null() { Err(refused()) } else { Ok(Connection { library: self.clone(), handle }) }
    }
}

/// A connection to the engine. It runs one statement at a time.
pub struct Connection {
    library: Library,
    handle: *mut Handle,
}

// SAFETY: the engine lets a connection be used from any thread, one at a time; `&mut self` sees to the latter.
unsafe impl Send for Connection {}

/// A result of the engine, destroyed on drop.
struct Outcome<'c> {
    symbols: &'c Symbols,
    handle: Handle,
}

impl Outcome<'_> {
    fn error(&self) -> Option<String> {
        if self.handle.is_null() {
            return Some("the engine gave no result".into());
        }
        // SAFETY: the handle is a live result; the message is NUL-terminated and lives as long as it.
        unsafe { text((self.symbols.result_error)(self.handle)) }
    }
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle came from the engine and is destroyed nowhere else; the engine accepts null.
        unsafe { (self.symbols.destroy_query_result)(self.handle) }
    }
}

/// SAFETY: `message` is null or NUL-terminated and live.
unsafe fn text(message: *const c_char) -> Option<String> {
    // SAFETY: as the caller promises.
    (!message.is_null()).then(|| unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned())
}

impl Connection {
    fn raw(&self) -> Handle {
        // SAFETY: `handle` came from chdb_connect, was not null, and is closed only on drop.
        unsafe { *self.handle }
    }

    /// Runs a statement with bound `{name:Type}` parameters, its result in `format`.
    pub fn query(
        &mut self,
        sql: &str,
        parameters: &[(String, String)],
        format: &str,
    ) -> Result<Vec<u8>, String> {
        let names: Vec<_> = parameters.iter().map(|(name, _)| name.as_ptr().cast::<c_char>()).collect();
        let name_lengths: Vec<_> = parameters.iter().map(|(name, _)| name.len()).collect();
        let values: Vec<_> = parameters.iter().map(|(_, value)| value.as_ptr().cast::<c_char>()).collect();
        let value_lengths: Vec<_> = parameters.iter().map(|(_, value)| value.len()).collect();
        let symbols = &*self.library.0;
        // SAFETY: every pointer goes with its length, and all outlive the call.
        let handle = unsafe {
            (symbols.query_with_params_n)(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                parameters.len(),
            )
        };
        let outcome = Outcome { symbols, handle };
        if let Some(error) = outcome.error() {
            return Err(error);
        }
        // SAFETY: the buffer belongs to the live result and has the length it says; it may be null when empty.
        unsafe {
            let (buffer, length) = ((symbols.result_buffer)(handle), (symbols.result_length)(handle));
            if buffer.is_null() || length == 0 {
                return Ok(Vec::new());
            }
            Ok(std::slice::from_raw_parts(buffer.cast::<u8>(), length).to_vec())
        }
    }

    /// Inserts a whole body in `format`; `sql` is the `INSERT` without `FORMAT`. Gives the rows written.
    pub fn insert(&mut self, sql: &str, format: &str, body: &[u8]) -> Result<u64, String> {
        struct Stream<'c>(&'c Symbols, Handle);
        impl Drop for Stream<'_> {
            fn drop(&mut self) {
                // SAFETY: every handle must be destroyed once, also after errors; one not finished is cancelled by this.
                unsafe { (self.0.destroy_insert_stream)(self.1) }
            }
        }
        let symbols = &*self.library.0;
        // SAFETY: pointers go with their lengths; the handle is never null and is destroyed by `Stream`; appended bytes are copied.
        unsafe {
            let stream = Stream(
                symbols,
                (symbols.stream_insert_n)(
                    self.raw(),
                    sql.as_ptr().cast(),
                    sql.len(),
                    format.as_ptr().cast(),
                    format.len(),
                ),
            );
            let error = |fallback: &str| {
                text((symbols.stream_insert_error)(stream.1)).unwrap_or_else(|| fallback.to_owned())
            };
            if let Some(error) = text((symbols.stream_insert_error)(stream.1)) {
                return Err(error);
            }
            if !body.is_empty() && (symbols.stream_append)(stream.1, body.as_ptr().cast(), body.len()) != 0 {
                return Err(error("the engine refused data of an insert"));
            }
            let outcome = Outcome { symbols, handle: (symbols.stream_done)(stream.1) };
            match outcome.error() {
                Some(error) => Err(error),
                None => Ok((symbols.result_rows_written)(outcome.handle)),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: closed once; the library is never unloaded.
        unsafe { (self.library.0.close_conn)(self.handle) }
    }
}
