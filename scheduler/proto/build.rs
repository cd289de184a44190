//! Compiles the `.proto` files with protox, so that building needs no protoc.

const PROTO_FILES: [&str; 4] = [
    "proto/squall/v1/squall.proto",
    "proto/squall/v1/nodes.proto",
    "proto/squall/v1/steps.proto",
    "proto/squall/v1/provisioner.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTO_FILES, ["proto"])?;
    let builder = tonic_prost_build::configure().btree_map(".").codec_path("crate::codec::Codec");
    let builder = builder.boxed(".squall.v1.SubmitRequest.spec");
    builder.emit_rerun_if_changed(false).compile_fds(descriptors)?;
    Ok(())
}
