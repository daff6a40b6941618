//! The node's end of one connection, byte by byte.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use super::secret::{Ephemeral, FRAME_BYTES, Keys, honest_identity};
use super::wire::delimited;

/// For each read and write of a test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Longest message that CometBFT up to v0.39, v1 and v2 read, in bytes.
const MAX_REPLY_BYTES: usize = 10 * 1024;

/// A socket that a signer dials.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// An accepted socket, nothing said yet.
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection on which messages pass.
pub struct Line {
    pub socket: Socket,
    /// On `tcp://`.
    pub secret: Option<Keys>,
    received: Vec<u8>,
}

impl Listener {
    pub fn tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // A validator that does not read is noticed after few bytes.
        sockopt::set_socket_recv_buffer_size(&listener, 8 * 1024).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::Tcp(listener)
    }

    pub fn unix(path: PathBuf) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::Unix(listener, path)
    }

    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => format!("tcp://{}", listener.local_addr().unwrap()),
            Self::Unix(_, path) => format!("unix://{}", path.display()),
        }
    }

    fn try_accept(&self) -> io::Result<Socket> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Socket::Tcp(stream)
            }
            Self::Unix(listener, _) => Socket::Unix(listener.accept()?.0),
        })
    }

    /// The next signer, and how long it was waited for.
    pub fn accept(&self) -> (Socket, Duration) {
        let began = Instant::now();
        loop {
            match self.try_accept() {
                Ok(socket) => {
                    socket.prepare().unwrap();
                    return (socket, began.elapsed());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            assert!(began.elapsed() < PATIENCE, "no signer has dialled within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Socket {
    fn prepare(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))
            }
            Self::Unix(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))
            }
        }
    }

    /// Waits until the signer has closed it; how long that took.
    #[track_caller]
    pub fn wait_closed(&mut self) -> Duration {
        let began = Instant::now();
        let mut buffer = [0; 4096];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return began.elapsed(),
                Err(error) if is_timeout(&error) => panic!("still open after {PATIENCE:?}"),
                Err(_) => return began.elapsed(),
                Ok(_) => {}
            }
        }
    }

    /// The signer's ephemeral key.
    pub fn their_hello(&mut self) -> io::Result<[u8; 35]> {
        let mut hello = [0; 35];
        self.read_exact(&mut hello)?;
        Ok(hello)
    }

    /// Exchanges ephemeral keys.
    pub fn exchange(&mut self) -> io::Result<Keys> {
        let ephemeral = Ephemeral::new([9; 32]);
        self.write_all(&ephemeral.hello())?;
        Ok(ephemeral.agree(&self.their_hello()?))
    }

    /// Becomes a connection, by an honest handshake where there is one.
    pub fn line(mut self) -> io::Result<Line> {
        if matches!(self, Self::Unix(_)) {
            return Ok(Line { socket: self, secret: None, received: Vec::new() });
        }
        let mut keys = self.exchange()?;
        let identity = keys.send.seal(&honest_identity(&keys.challenge));
        self.write_all(&identity)?;
        let mut line = Line { socket: self, secret: Some(keys), received: Vec::new() };
        let theirs = line.receive()?;
        assert_eq!(theirs[..4], [0x0a, 0x22, 0x0a, 0x20], "the signer's identity");
        Ok(line)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line {
    /// Bytes of the stream of messages, in one write.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.secret {
            Some(keys) => {
                let sealed = keys.send.seal(bytes);
                self.socket.write_all(&sealed)
            }
            None => self.socket.write_all(bytes),
        }
    }

    /// A message with its length in front.
    pub fn send_message(&mut self, body: &[u8]) -> io::Result<()> {
        self.send(&delimited(body))
    }

    /// The signer's next message, without its length.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(message) = self.take() {
                return Ok(message);
            }
            match &mut self.secret {
                Some(keys) => {
                    let mut frame = [0; FRAME_BYTES];
                    self.socket.read_exact(&mut frame)?;
                    self.received.extend(keys.receive.open(&frame).expect("a frame of the signer"));
                }
                None => {
                    let mut buffer = [0; 4096];
                    let count = self.socket.read(&mut buffer)?;
                    if count == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.received.extend_from_slice(&buffer[..count]);
                }
            }
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let (mut length, mut at) = (0_usize, 0);
        loop {
            let byte = *self.received.get(at)?;
            length |= usize::from(byte & 0x7f) << (7 * at);
            at += 1;
            if byte < 0x80 {
                break;
            }
        }
        assert!(length <= MAX_REPLY_BYTES, "CometBFT would lose step at a reply of {length} bytes");
        let message = self.received.get(at..at + length)?.to_vec();
        self.received.drain(..at + length);
        Some(message)
    }

    /// One request and its reply.
    pub fn ask(&mut self, body: &[u8]) -> io::Result<Vec<u8>> {
        self.send_message(body)?;
        self.receive()
    }
}

/// Whether a read ended because nothing came.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
