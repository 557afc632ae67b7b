//! UDP sockets as Linux has them: many datagrams a call, each with the kernel's receive time, and the kernel's count of drops.
//!
//! `unsafe` because std knows none of `recvmmsg`, control messages, `SO_REUSEPORT` and its programs. What makes it sound: pointers are
//! made anew for each call from buffers that outlive it, lengths come from the buffers themselves, and what the kernel wrote is
//! read within the lengths it returned.
#![allow(unsafe_code)]

use crate::frames::Exporter;
use crate::steering::Instruction;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::{Duration, SystemTime};

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
    ready: bool,
    drops: u32,
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn set<T>(fd: &impl AsRawFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of `value`.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    check(result).map(drop)
}

/// `SK_MEMINFO_VARS` numbers, the last of which are the drops (linux/sock_diag.h).
type MemoryInfo = [u32; libc::SK_MEMINFO_DROPS as usize + 1];

fn get<T: Copy>(fd: &impl AsRawFd, name: libc::c_int, mut value: T) -> io::Result<T> {
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `value`; T is integers only at all calls below.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            ptr::from_mut(&mut value).cast(),
            &mut length,
        )
    };
    check(result).map(|_| value)
}

impl Socket {
    /// Binds; `share`: beside others of the same address and port.
    pub(crate) fn bind(address: SocketAddr, share: bool) -> io::Result<Self> {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: no memory is passed; a descriptor that is returned is owned by nobody else.
        let fd = unsafe {
            OwnedFd::from_raw_fd(check(libc::socket(
                family,
                libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
                0,
            ))?)
        };
        let on: libc::c_int = 1;
        if address.is_ipv6() {
            set(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &on)?;
        }
        if share {
            set(&fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, &on)?;
        }
        set(&fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &on)?;
        // SAFETY: both structures are plain numbers, for which zeroes are a value; the length is that of what is passed.
        let bound = unsafe {
            match address {
                SocketAddr::V4(v4) => {
                    let mut native: libc::sockaddr_in = zeroed();
                    native.sin_family = libc::AF_INET as libc::sa_family_t;
                    native.sin_port = v4.port().to_be();
                    native.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                    libc::bind(
                        fd.as_raw_fd(),
                        ptr::from_ref(&native).cast(),
                        size_of_val(&native) as libc::socklen_t,
                    )
                }
                SocketAddr::V6(v6) => {
                    let mut native: libc::sockaddr_in6 = zeroed();
                    native.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                    native.sin6_port = v6.port().to_be();
                    native.sin6_addr.s6_addr = v6.ip().octets();
                    native.sin6_scope_id = v6.scope_id();
                    libc::bind(
                        fd.as_raw_fd(),
                        ptr::from_ref(&native).cast(),
                        size_of_val(&native) as libc::socklen_t,
                    )
                }
            }
        };
        check(bound)?;
        let socket = UdpSocket::from(fd);
        let address = socket.local_addr()?;
        Ok(Self { socket, address, ready: false, drops: 0 })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the last [`wait`] found something in it.
    pub(crate) fn ready(&self) -> bool {
        self.ready
    }

    /// Gives the group that this socket shares its port with a program that chooses among them.
    pub(crate) fn steer(&self, program: &[Instruction]) -> io::Result<()> {
        let filter: Vec<libc::sock_filter> =
            program.iter().map(|(code, k)| libc::sock_filter { code: *code, jt: 0, jf: 0, k: *k }).collect();
        let program =
            libc::sock_fprog { len: filter.len() as libc::c_ushort, filter: filter.as_ptr().cast_mut() };
        set(&self.socket, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, &program)
    }

    /// Asks for a receive buffer; returns what it is then.
    pub(crate) fn enlarge(&self, bytes: usize) -> io::Result<usize> {
        let wanted = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        set(&self.socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &wanted)
            .or_else(|_| set(&self.socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &wanted))?;
        // The kernel doubles what it is asked for, for its own bookkeeping, and says the double.
        let got: libc::c_int = get(&self.socket, libc::SO_RCVBUF, 0)?;
        Ok(usize::try_from(got).unwrap_or(0) / 2)
    }

    /// Datagrams that the kernel dropped here since this was last asked. Asked of the socket, because the count that can come with
    /// datagrams (`SO_RXQ_OVFL`) comes only with the next one that is not dropped.
    pub(crate) fn new_drops(&mut self) -> u64 {
        let before = self.drops;
        let info: io::Result<MemoryInfo> = get(&self.socket, libc::SO_MEMINFO, Default::default());
        self.drops = info.map_or(before, |info| info[info.len() - 1]);
        u64::from(self.drops.wrapping_sub(before))
    }
}

/// Whether the kernel only lacks memory for the moment, or was interrupted.
pub(crate) fn passes(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM | libc::EINTR | libc::EAGAIN))
}

/// Waits until a socket has something or the time is over, and notes which have.
pub(crate) fn wait(sockets: &mut [Socket], timeout: Duration) -> io::Result<()> {
    let mut polled: Vec<libc::pollfd> = sockets
        .iter()
        .map(|socket| libc::pollfd { fd: socket.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    // Rounded up: a wait for less than a millisecond must not become a spin.
    let millis = libc::c_int::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX);
    // SAFETY: the pointer and the length are the vector's own.
    match check(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) }) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    for (socket, polled) in sockets.iter_mut().zip(polled) {
        socket.ready = polled.revents != 0;
    }
    Ok(())
}

/// Room for a UDP payload of any size, plus some lines of cache so that the buffers don't all fall on the same ones.
const ROOM: usize = 65_536 + 192;
/// Room for the receive time's control message, aligned as such a message is.
type Control = [u64; 8];

/// Buffers for what one call receives.
pub(crate) struct Batch {
    payloads: Vec<u8>,
    sources: Vec<libc::sockaddr_in6>,
    controls: Vec<Control>,
    /// (payload length, receive time) of what was received.
    received: Vec<(usize, i64)>,
}

impl Batch {
    /// Datagrams a call.
    pub(crate) const SIZE: usize = 64;

    pub(crate) fn new() -> Self {
        Self {
            payloads: vec![0; Self::SIZE * ROOM],
            // SAFETY: plain numbers, for which zeroes are a value.
            sources: vec![unsafe { zeroed() }; Self::SIZE],
            controls: vec![[0; 8]; Self::SIZE],
            received: Vec::with_capacity(Self::SIZE),
        }
    }

    /// Takes what is there, up to [`Batch::SIZE`] datagrams, without waiting.
    pub(crate) fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        self.received.clear();
        let buffers = self.payloads.chunks_exact_mut(ROOM);
        let mut vectors: [libc::iovec; Self::SIZE] =
            std::array::from_fn(|_| libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 });
        for (vector, buffer) in vectors.iter_mut().zip(buffers) {
            *vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        }
        // SAFETY: plain numbers and pointers, for which zeroes are a value.
        let mut headers: [libc::mmsghdr; Self::SIZE] = unsafe { zeroed() };
        for (i, header) in headers.iter_mut().enumerate() {
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.sources[i]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_iov = &mut vectors[i];
            header.msg_iovlen = 1;
            header.msg_control = ptr::from_mut(&mut self.controls[i]).cast();
            // The kernel writes how much it used, so this is set for every call.
            header.msg_controllen = size_of::<Control>();
        }
        // SAFETY: every pointer in `headers` is into a buffer of the length beside it, all alive until the end of this function.
        let result = unsafe {
            libc::recvmmsg(
                socket.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                Self::SIZE as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = match check(result) {
            Ok(count) => usize::try_from(count).unwrap_or(0),
            // An ICMP error of an earlier answer is of no interest: nothing is ever sent from here.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused
                ) =>
            {
                0
            }
            Err(error) => return Err(error),
        };
        for header in &headers[..count] {
            // SAFETY: the kernel filled this header, and its control buffer is still alive.
            let time = unsafe { receive_time(&header.msg_hdr) };
            self.received.push((header.msg_len as usize, time.unwrap_or_else(now)));
        }
        Ok(count)
    }

    /// What the last call received: source address and port, receive time (ns since the epoch), payload.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (Exporter, u16, i64, &[u8])> {
        let buffers = self.payloads.chunks_exact(ROOM);
        self.received.iter().zip(&self.sources).zip(buffers).map(|(((length, time), source), buffer)| {
            let source = address(source);
            let exporter = match source.ip() {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            (exporter.octets(), source.port(), *time, &buffer[..(*length).min(buffer.len())])
        })
    }
}

/// A source address as the kernel wrote it.
fn address(native: &libc::sockaddr_in6) -> SocketAddr {
    if libc::c_int::from(native.sin6_family) == libc::AF_INET {
        // SAFETY: the family says that the kernel wrote a sockaddr_in, which is shorter and aligned no stricter.
        let v4 = unsafe { &*ptr::from_ref(native).cast::<libc::sockaddr_in>() };
        let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
        return SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into();
    }
    let ip = Ipv6Addr::from(native.sin6_addr.s6_addr);
    SocketAddrV6::new(ip, u16::from_be(native.sin6_port), 0, native.sin6_scope_id).into()
}

/// The receive time that the kernel put beside a datagram, ns since the epoch.
///
/// # Safety
/// `header` was filled by the kernel, and its control buffer is alive.
unsafe fn receive_time(header: &libc::msghdr) -> Option<i64> {
    // SAFETY: by the caller's word; the macros of libc stay within `msg_controllen`, and a message of this type holds a timespec.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SCM_TIMESTAMPNS {
                let time = ptr::read_unaligned(libc::CMSG_DATA(message).cast::<libc::timespec>());
                return time.tv_sec.checked_mul(1_000_000_000)?.checked_add(time.tv_nsec);
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
        None
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
impl Socket {
    /// One that always has something, and fails when it is read: no socket at all.
    pub(crate) fn broken() -> Self {
        let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        let address = (Ipv4Addr::LOCALHOST, 1).into();
        Self { socket: UdpSocket::from(file), address, ready: false, drops: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> Socket {
        Socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false).unwrap()
    }

    fn sender(to: &Socket, from: &str) -> UdpSocket {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.connect(to.address()).unwrap();
        socket
    }

    #[test]
    fn datagrams_come_with_source_port_time_and_all_their_bytes() {
        let mut sockets = [loopback()];
        let (one, two) = (sender(&sockets[0], "127.0.9.1"), sender(&sockets[0], "127.0.9.2"));
        let large = vec![7; 65_507];
        one.send(&large).unwrap();
        two.send(b"").unwrap();
        one.send(b"last").unwrap();
        wait(&mut sockets, Duration::from_secs(5)).unwrap();
        assert!(sockets[0].ready());
        let mut batch = Batch::new();
        assert_eq!(batch.receive(&sockets[0]).unwrap(), 3);
        let mapped = |last| Ipv4Addr::new(127, 0, 9, last).to_ipv6_mapped().octets();
        let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
        let all: Vec<_> = batch.datagrams().collect();
        assert_eq!((all[0].0, all[0].1, all[0].3), (mapped(1), port(&one), &large[..]));
        assert_eq!((all[1].0, all[1].1, all[1].3), (mapped(2), port(&two), &b""[..]));
        assert_eq!((all[2].0, all[2].1, all[2].3), (mapped(1), port(&one), &b"last"[..]));
        // Not in their order: until the kernel's clock on packets is on, which is a while after it is asked for, a datagram has the time of its
        // reading.
        assert!(all.iter().all(|(_, _, time, _)| (now() - time).abs() < 60_000_000_000));
        assert_eq!(batch.receive(&sockets[0]).unwrap(), 0, "nothing is left");
        assert_eq!(batch.datagrams().count(), 0);
    }

    #[test]
    fn drops_of_the_kernel_are_counted_without_another_datagram() {
        let mut socket = loopback();
        assert!(socket.enlarge(8192).unwrap() < 65_536);
        let sender = sender(&socket, "127.0.0.1");
        for _ in 0..200 {
            sender.send(&[0; 1000]).unwrap();
        }
        let dropped = socket.new_drops();
        let (mut batch, mut received) = (Batch::new(), 0);
        loop {
            match batch.receive(&socket).unwrap() {
                0 => break,
                count => received += count as u64,
            }
        }
        assert!(dropped > 0 && received > 0);
        assert_eq!(dropped + received, 200);
        assert_eq!(socket.new_drops(), 0);
    }
}
