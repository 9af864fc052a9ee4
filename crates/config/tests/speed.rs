//! How long loading takes. The figures are printed by `cargo test --release --test speed -- --nocapture`.

#![expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ai_how_config::{Context, Source, load};

/// In a release build. The first one in a process compiles the schema.
const LONGEST: Duration = Duration::from_millis(15);

#[test]
fn examples_load_within_milliseconds() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let context = Context {
        environment: ["HOME", "TOT"].map(|name| (name.to_owned(), "/x".to_owned())).into(),
        ..Context::default()
    };
    for name in ["two-clusters.yaml", "workstation-1.0.yaml", "lab.yaml"] {
        let bytes = std::fs::read(folder.join(name)).unwrap_or_default();
        let mut times = Vec::new();
        for _ in 0..20 {
            let begin = Instant::now();
            let loaded = load(&Source { name, bytes: &bytes }, &context);
            times.push(begin.elapsed());
            assert!(loaded.is_valid(), "{name}: {:?}", loaded.diagnostics);
        }
        let fastest = times.iter().min().copied().unwrap_or_default();
        println!("{name}: first {:?}, fastest {fastest:?}", times[0]);
        assert!(cfg!(debug_assertions) || fastest < LONGEST, "{name}: {fastest:?}");
    }
}
