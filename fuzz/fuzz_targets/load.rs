//! Any bytes as a config file: a plan or findings, never a panic. `-timeout` holds the time.

#![no_main]

#[path = "../../crates/config/tests/survival/mod.rs"]
mod survival;

use ai_how_config::{Context, HostFacts};
use libfuzzer_sys::fuzz_target;
use survival::survives;

fuzz_target!(|bytes: &[u8]| {
    let context = Context {
        environment: [("HOME".to_owned(), "/home/ada".to_owned())].into(),
        process_id: 1,
        images: vec!["debian-13".to_owned()],
        host: Some(HostFacts { cpus: 4, memory_mib: 4096, free_disk_gib: 100, subnets: Vec::new() }),
        strict: false,
    };
    let (loaded, _) = survives(bytes, &context);
    if let Some(lab) = &loaded.lab {
        let plan = ai_how_plan::plan(lab);
        assert_eq!(plan, ai_how_plan::plan(lab));
    }
});
