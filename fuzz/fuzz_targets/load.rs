//! Any bytes as a config file: a plan or findings, never a panic. `-timeout` holds the time.

#![no_main]

use ai_how_config::{
    Context, HostFacts, Report, Severity, Source,
    diagnostic::{github, json, sarif, text},
    load,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let source = Source { name: "fuzz.yaml", bytes };
    let context = Context {
        environment: [("HOME".to_owned(), "/home/ada".to_owned())].into(),
        process_id: 1,
        host: Some(HostFacts { memory_mib: 4096, free_disk_gib: 100, subnets: Vec::new() }),
        strict: false,
    };
    let loaded = load(&source, &context);
    let refused = loaded.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert!(loaded.omitted > 0 || loaded.is_valid() != refused, "{loaded:?}");
    for found in &loaded.diagnostics {
        assert!(found.span.start <= found.span.end && found.span.end <= bytes.len(), "{found:?}");
    }
    if let Some(lab) = &loaded.lab {
        let plan = ai_how_plan::plan(lab);
        assert_eq!(plan, ai_how_plan::plan(lab));
    }
    let report = Report { source, loaded: &loaded };
    let _ = text::render(&report, text::Color::Always);
    let _ = (json::render(&report), github::render(&report), sarif::render(&[report]));
});
