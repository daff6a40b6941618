//! The `cosigner` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    cosigner::cli::main()
}
