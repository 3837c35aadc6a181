//! `reference-parser`: the program that `references` embeds and runs from a sealed memfd.

use reference_parser::arena::Arena;
use reference_parser::lock;
use reference_parser::serve;

#[global_allocator]
static ARENA: Arena = Arena::new();

fn main() {
    ARENA.limit(serve::arena_octets(std::env::args().nth(1)));
    serve::jobs(lock::down())
}
