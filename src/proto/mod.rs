//! The gRPC contract, generated from `proto/humbaba/v1`. The proto files are its reference.

#![allow(missing_docs, clippy::pedantic, clippy::large_enum_variant)]

pub(crate) mod codec;

tonic::include_proto!("humbaba.v1");

/// The descriptors of all messages and services, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/humbaba.bin"));
