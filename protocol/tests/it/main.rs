//! The integration tests of the core, in one binary.

#[cfg(test)]
mod session_chaos;
#[cfg(test)]
mod session_forgery;
#[cfg(test)]
mod session_order;
#[cfg(test)]
mod session_secrecy;
#[cfg(test)]
mod session_world;
