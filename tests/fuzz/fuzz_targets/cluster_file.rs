//! `cluster.toml`: no text makes its parser panic, and what is accepted is written and read as the same.
#![no_main]

use std::path::Path;

use cosigner::config::{parse_cluster, render_cluster};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let file = Path::new("cluster.toml");
    match parse_cluster(text, file) {
        Ok(cluster) => {
            let again = parse_cluster(&render_cluster(&cluster), file).unwrap();
            assert_eq!(render_cluster(&again), render_cluster(&cluster));
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
});
