//! What makes a node the same one after a restart: its key, and the ports it chose.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use libp2p::Multiaddr;
use libp2p::identity::{Keypair, ed25519};
use libp2p::multiaddr::Protocol;
use murmesh_protocol::control::{ControlError, ErrorName};
use rand::Rng;
use zeroize::Zeroizing;

use crate::swarm::translate;
use crate::{entropy, files};

const KEY_FILE: &str = "node.key";
const PORTS_FILE: &str = "ports.json";

/// The node's key: read, or made at the first start. It is not the account's: a lost one costs a
/// PeerId, nothing else.
///
/// # Errors
/// `permission` or `disk` if the file cannot be used, `database` if it is not a key.
pub fn load_key(data_dir: &Path) -> Result<Keypair, ControlError> {
    let path = data_dir.join(KEY_FILE);
    let secret = match std::fs::read(&path).map(Zeroizing::new) {
        Ok(secret) => secret,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut secret = Zeroizing::new(vec![0; 32]);
            entropy::rng().fill_bytes(&mut secret);
            files::replace(&path, &secret).map_err(|error| files::cannot_use(&path, &error))?;
            secret
        }
        Err(error) => return Err(files::cannot_use(&path, &error)),
    };
    let mut secret = secret;
    let key = ed25519::SecretKey::try_from_bytes(&mut *secret)
        .map_err(|_| ControlError::with(ErrorName::Database, format!("{KEY_FILE} is not a key")))?;
    Ok(ed25519::Keypair::from(key).into())
}

/// Listening addresses with their ports filled in: a port 0 becomes the port that was chosen for it
/// before, as long as it is free; else a new one is chosen and kept.
///
/// # Errors
/// `listen` if a port that was named is taken or an address is not one to listen on.
pub fn choose_ports(data_dir: &Path, listen: &[Multiaddr]) -> Result<Vec<Multiaddr>, ControlError> {
    let path = data_dir.join(PORTS_FILE);
    let kept: BTreeMap<String, u16> =
        std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let mut chosen = BTreeMap::new();
    let mut out = Vec::new();
    for (index, address) in listen.iter().enumerate() {
        let (ip, port) = endpoint(address).ok_or_else(|| refused(address, "not an address to listen on"))?;
        let udp = is_udp(address);
        let port = if port == 0 {
            let name = format!("{index} {address}");
            let kept = kept.get(&name).copied().filter(|port| is_free(ip, *port, udp).is_ok());
            let port = match kept {
                Some(port) => port,
                // Zero on a machine without this kind of address: listening will tell.
                None => free_port(ip, udp).unwrap_or(0),
            };
            chosen.insert(name, port);
            port
        } else {
            is_free(ip, port, udp).map_err(|error| refused(address, &error.to_string()))?;
            port
        };
        out.push(with_port(address, port));
    }
    if chosen != kept
        && let Ok(bytes) = serde_json::to_vec(&chosen)
    {
        files::replace(&path, &bytes).map_err(|error| files::cannot_use(&path, &error))?;
    }
    Ok(out)
}

fn refused(address: &Multiaddr, why: &str) -> ControlError {
    ControlError::with(ErrorName::Listen, format!("{address}: {why}"))
}

fn endpoint(address: &Multiaddr) -> Option<(IpAddr, u16)> {
    let (Protocol::Tcp(port) | Protocol::Udp(port)) = address.iter().nth(1)? else { return None };
    Some((translate::ip(address)?, port))
}

fn is_udp(address: &Multiaddr) -> bool {
    matches!(address.iter().nth(1), Some(Protocol::Udp(_)))
}

fn with_port(address: &Multiaddr, port: u16) -> Multiaddr {
    address
        .iter()
        .map(|part| {
            if let Protocol::Tcp(_) = part {
                Protocol::Tcp(port)
            } else if let Protocol::Udp(_) = part {
                Protocol::Udp(port)
            } else {
                part
            }
        })
        .collect()
}

/// libp2p binds with SO_REUSEPORT, by which two nodes of one user would share a port without an
/// error and each get half of the connections: a plain bind tells.
fn is_free(ip: IpAddr, port: u16, udp: bool) -> std::io::Result<()> {
    let address = SocketAddr::new(ip, port);
    if udp { UdpSocket::bind(address).map(drop) } else { TcpListener::bind(address).map(drop) }
}

fn free_port(ip: IpAddr, udp: bool) -> std::io::Result<u16> {
    let address = SocketAddr::new(ip, 0);
    let bound = if udp {
        UdpSocket::bind(address)?.local_addr()?
    } else {
        TcpListener::bind(address)?.local_addr()?
    };
    Ok(bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let first = load_key(directory.path()).unwrap().public();
        assert_eq!(load_key(directory.path()).unwrap().public(), first);
        let mode = std::fs::metadata(directory.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(directory.path().join(KEY_FILE), b"short").unwrap();
        assert_eq!(load_key(directory.path()).unwrap_err().name, ErrorName::Database);
    }

    #[test]
    fn ports_are_kept_while_they_are_free() {
        let directory = tempfile::tempdir().unwrap();
        let listen: Vec<Multiaddr> = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        let first = choose_ports(directory.path(), &listen).unwrap();
        let (ip, port) = endpoint(&first[0]).unwrap();
        assert_ne!(port, 0);
        assert_eq!(choose_ports(directory.path(), &listen).unwrap(), first);
        let taken = TcpListener::bind((ip, port)).unwrap();
        let other = choose_ports(directory.path(), &listen).unwrap();
        assert_ne!(other, first);
        assert_eq!(choose_ports(directory.path(), &first).unwrap_err().name, ErrorName::Listen);
        drop(taken);
        assert_eq!(choose_ports(directory.path(), &listen).unwrap(), other, "the new one is kept");
    }
}
