//! Compiles the gRPC contract with protox, so that no protoc is needed, and keeps the descriptor
//! set for server reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=policies");

    let descriptors = protox::compile(
        ["humbaba/v1/authorization_service.proto", "humbaba/v1/directory_service.proto"],
        ["proto"],
    )?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("humbaba.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        .build_server(env::var_os("CARGO_FEATURE_SERVER").is_some())
        .extern_path(".google.rpc", "::tonic_types::pb")
        .codec_path("crate::proto::codec::ProstCodec")
        .compile_fds(descriptors)?;
    Ok(())
}
