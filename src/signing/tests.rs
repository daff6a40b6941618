//! Whole clusters of planes in one thread, with a network and disks that do what a test says.

mod absent;
mod cluster;
mod extensions;
mod failover;
mod gates;
mod raw;
mod raw_whole;
mod signatures;
mod whole;
