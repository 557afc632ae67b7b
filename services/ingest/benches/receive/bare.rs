//! The least that receiving costs: `recvmmsg` into buffers that nobody looks at.
//!
//! `unsafe` because std knows no `recvmmsg`. Pointers are made once, into buffers that live as long as the receiver and never move.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of_val, zeroed};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::{Duration, Instant};

/// As many a call as ingest takes.
const SIZE: usize = 64;
/// As much room as ingest has for each.
const ROOM: usize = 65_536 + 192;
/// How long it lets datagrams gather after a call that found few, as ingest does.
const GATHER: Duration = Duration::from_micros(200);

pub struct Receiver {
    socket: UdpSocket,
}

impl Receiver {
    pub fn open(buffer: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let wanted = buffer as libc::c_int;
        for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
            // SAFETY: the kernel reads the integer that it is told of. Where it refuses, the buffer stays smaller.
            unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    ptr::from_ref(&wanted).cast(),
                    size_of_val(&wanted) as libc::socklen_t,
                );
            }
        }
        Ok(Self { socket })
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    /// Receives for so long, and says how many came.
    pub fn count_for(&self, time: Duration) -> u64 {
        let mut payloads = vec![0_u8; SIZE * ROOM];
        // SAFETY: plain numbers and pointers, for which zeroes are a value.
        let (mut vectors, mut headers): ([libc::iovec; SIZE], [libc::mmsghdr; SIZE]) = unsafe { zeroed() };
        for ((vector, header), payload) in vectors.iter_mut().zip(&mut headers).zip(payloads.chunks_mut(ROOM))
        {
            *vector = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < time {
            // SAFETY: every header points to a vector and that to a buffer of its length, all alive to the end of this function.
            let got = unsafe {
                libc::recvmmsg(
                    self.socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    SIZE as libc::c_uint,
                    libc::MSG_DONTWAIT,
                    ptr::null_mut(),
                )
            };
            let got = u64::try_from(got).unwrap_or(0);
            count += got;
            if got < SIZE as u64 {
                std::thread::sleep(GATHER);
            }
        }
        count
    }
}
