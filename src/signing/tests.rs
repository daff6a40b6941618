//! Whole clusters of planes in one thread, with a network and disks that do what a test says.

mod absent;
mod cluster;
mod failover;
mod gates;
mod signatures;
mod whole;
