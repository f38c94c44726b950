//! How sender and receiver agree on keys: messages of MLS over a TCP connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use layercast::e2ee::Agreement;
use layercast::e2ee::mls::{Group, Login};

use crate::common::Result;

/// How long an identity can be used to join.
const LIFETIME: Duration = Duration::from_secs(3600);
/// The longest message taken, in bytes.
const MAX_MESSAGE: u32 = 1 << 16;

fn write(stream: &mut TcpStream, message: &[u8]) -> Result<()> {
    stream.write_all(&u32::try_from(message.len())?.to_be_bytes())?;
    Ok(stream.write_all(message)?)
}

fn read(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_MESSAGE {
        return Err(format!("a message of {length} bytes").into());
    }
    let mut message = vec![0; length as usize];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// The sender makes a group and adds the receiver.
pub fn invite(stream: &mut TcpStream, agreed: Agreement) -> Result<Group> {
    let mut group = Login::new(b"send", LIFETIME)?.create(agreed)?;
    let commit = group.add(&[&read(stream)?])?;
    group.merge()?;
    write(stream, &commit.welcome)?;
    Ok(group)
}

/// The receiver joins.
pub fn join(stream: &mut TcpStream, agreed: Agreement) -> Result<Group> {
    let login = Login::new(b"receive", LIFETIME)?;
    write(stream, &login.key_package()?)?;
    Ok(login.join(agreed, &read(stream)?)?)
}

/// Returns when the other end closes the connection.
pub fn wait_for_end(mut stream: TcpStream) -> io::Result<()> {
    io::copy(&mut stream, &mut io::sink()).map(|_| ())
}
