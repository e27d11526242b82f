//! A client of the gRPC face: what the command line sends, and others can.

mod request;
