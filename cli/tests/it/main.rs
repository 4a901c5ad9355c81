//! The command line as people and bots use it.
