//! Compiles the gRPC contract with protox, so that no protoc is needed, and keeps the descriptor
//! set for server reflection. Tells the linker of a release which functions belong together.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

/// Written by `cargo run --example start_order`.
const START_ORDER: &str = "src/start_order.ld";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=policies");
    println!("cargo:rerun-if-changed={START_ORDER}");

    let descriptors = protox::compile(["humbaba/v1/authorization_service.proto"], ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("humbaba.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        .extern_path(".google.rpc", "::tonic_types::pb")
        .compile_fds(descriptors)?;
    if takes_linker_scripts() {
        let script = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join(START_ORDER);
        println!("cargo:rustc-link-arg-bin=humbaba=-T{}", script.display());
    }
    Ok(())
}

/// Whether this is a release that is linked on Linux by what Rust links with there unless it is told
/// otherwise: LLVM's linker or GNU's. Others may know no such script, and all that it gives is that
/// the process takes less memory.
fn takes_linker_scripts() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let has_own_linker = env::var_os("RUSTC_LINKER").is_some()
        || ["linker", "fuse-ld", "link-arg"].iter().any(|flag| flags.contains(flag));
    is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && !has_own_linker
}
