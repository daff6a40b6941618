//! Just enough HTTP to read a status page.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer: status code and body.
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// Everything after the header.
    pub body: String,
}

/// `GET path`; every read and write has 2 s.
///
/// HTTP/1.0, so that the answer ends with the connection and is never chunked.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.set_nodelay(true)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP: {text}"));
    let (header, body) = text.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = header.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok(Answer { status: status.ok_or_else(malformed)?, body: body.to_owned() })
}
