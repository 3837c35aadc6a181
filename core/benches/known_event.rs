//! What a known event costs: encode, hash, look up; its parts, and the whole engine.
//!
//! The bar is a million known events a second on one core, at any size of the model.

use std::collections::HashSet;
use std::hint::black_box;

use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use tsem::Bounds;
use tsem::Cell;
use tsem::Coe;
use tsem::Description;
use tsem::Digest;
use tsem::Engine;
use tsem::EventKind;
use tsem::Mode;
use tsem::OnViolation;
use tsem::Platform;
use tsem::ProcessId;
use tsem::Rules;
use tsem::Setup;
use tsem::TaskIdentity;
use tsem::Verdict;

const MODEL_SIZES: [usize; 3] = [75, 10_000, 100_000];

criterion_group!(benches, parts, pieces_by_model_size, engine_by_model_size);
criterion_main!(benches);

/// An ordinary event; `number` makes it one of many.
fn cell(number: usize) -> Cell {
    let line = format!(
        "file_open file=/usr/lib/x86_64-linux-gnu/lib{number}.so.6{{ext4 0:0 100644}} access=read"
    );
    line.parse().expect("the line is an event")
}

fn description(number: usize) -> Description {
    let (process, pid, coe) = (ProcessId(1), 42, Coe::default());
    Description { process, pid, coe, cell: cell(number), targets: Vec::new() }
}

fn coefficient(cell: &Cell, coe_digest: Digest, buffer: &mut Vec<u8>) -> Digest {
    let cell_digest = tsem::cell_digest(cell, buffer).expect("the event has an encoding");
    tsem::coefficient(EventKind::FileOpen, TaskIdentity::INITIAL, coe_digest, cell_digest)
}

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("part");
    let (cell, coe) = (cell(6), Coe::default());
    let mut buffer = Vec::new();
    group.bench_function("encode_cell", |bencher| {
        bencher.iter(|| {
            buffer.clear();
            tsem::encode_cell(black_box(&cell), &mut buffer)
        });
    });
    group.bench_function("cell_digest", |bencher| {
        bencher.iter(|| tsem::cell_digest(black_box(&cell), &mut buffer));
    });
    group.bench_function("coe_digest", |bencher| {
        bencher.iter(|| tsem::coe_digest(black_box(&coe)));
    });
    group.bench_function("coefficient", |bencher| {
        bencher.iter(|| coefficient(black_box(&cell), Digest::ZERO, &mut buffer));
    });
    group.finish();
}

/// Encode, hash and look up in a set, with HF(COE) kept from the last event.
fn pieces_by_model_size(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pieces");
    group.throughput(Throughput::Elements(1));
    let coe_digest = tsem::coe_digest(&Coe::default());
    for size in MODEL_SIZES {
        let cells: Vec<Cell> = (0..size).map(cell).collect();
        let mut buffer = Vec::new();
        let model: HashSet<Digest> =
            cells.iter().map(|cell| coefficient(cell, coe_digest, &mut buffer)).collect();
        assert_eq!(model.len(), size);
        let mut next = cells.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                let cell = next.next().expect("the cycle has no end");
                assert!(model.contains(&coefficient(cell, coe_digest, &mut buffer)));
            });
        });
    }
    group.finish();
}

/// The whole of [`Engine::judge`], over every event of the model in turn.
fn engine_by_model_size(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(1));
    for size in MODEL_SIZES {
        let events: Vec<Description> = (0..size).map(description).collect();
        let mut engine = enforcing(&events);
        let mut next = events.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                let event = next.next().expect("the cycle has no end");
                assert_eq!(engine.judge(event).verdict, Verdict::Allow);
            });
        });
        assert_eq!(engine.counts().violations, 0);
    }
    group.finish();
}

/// An engine that enforces exactly these events.
fn enforcing(events: &[Description]) -> Engine {
    let coe_digest = tsem::coe_digest(&Coe::default());
    let mut buffer = Vec::new();
    let model = events.iter().map(|event| coefficient(&event.cell, coe_digest, &mut buffer));
    let setup = Setup {
        mode: Mode::Enforcing,
        on_violation: OnViolation::Untrust,
        references: tsem::References::default(),
        rules: Rules::default(),
        platform: Platform::NONE,
        bounds: Bounds::default(),
    };
    let mut engine = Engine::new(setup, model);
    engine.started(ProcessId(1));
    engine
}
