//! Integration tests of the node: real sockets on loopback, ports chosen by the system.

mod hostile;
mod network;
mod stores;
mod stub;
