//! Where the board's memory is, for the linker. Here rather than in the compiler's flags, so that the
//! boards of one target share what is built for them.

fn main() {
    let boards = ["lm3s6965evb", "mps2-an385", "nrf52840dk"];
    let feature = |board: &str| board.to_uppercase().replace('-', "_");
    let chosen = |board: &&str| std::env::var_os(format!("CARGO_FEATURE_{}", feature(board))).is_some();
    let board = boards.into_iter().find(chosen).expect("a board is chosen as a feature");
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    println!("cargo::rerun-if-changed=boards/{board}/memory.x");
    println!("cargo::rustc-link-arg=-L{root}/boards/{board}");
    println!("cargo::rustc-link-arg=-Tlink.x");
}
