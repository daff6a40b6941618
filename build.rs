//! Compiles every `proto/*.proto`, without protoc.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

const FOLDER: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    // The folder for new files, the files for changed ones.
    println!("cargo::rerun-if-changed={FOLDER}");
    let mut files = Vec::new();
    for entry in fs::read_dir(FOLDER)? {
        let path: PathBuf = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    files.sort();
    let descriptors = protox::compile(&files, [FOLDER])?;
    // Vote extensions have up to a megabyte: they are shared, not copied.
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .bytes(".cosigner.peer.v1.Extension")
        .compile_fds(descriptors)?;
    Ok(())
}
