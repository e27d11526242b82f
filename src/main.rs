//! The binary `humbaba`.

fn main() -> std::process::ExitCode {
    humbaba::cli::run()
}
