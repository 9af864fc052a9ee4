use ai_how_report::html::{Attachment, render};
use events::{Event, EventKind, NodeState, Outcome, Phase, TaskStatus};
use sha2::{Digest, Sha256};

use crate::fixture::{self, FAILURES, NODES, SUITES};

fn page() -> String {
    render(&fixture::events(), Some(&fixture::plan()), &fixture::attachments()).expect("a page")
}

/// As the template engine escapes it.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#x27;").replace('/', "&#x2f;")
}

#[test]
fn no_word_of_a_node_becomes_markup() {
    let evil = "</pre></script></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'";
    let mut events = fixture::events();
    let text = serde_json::to_string(&events).expect("events are JSON");
    for name in ["compute-02", "munge-roundtrip", "slurmctld : install packages", "demo.yaml"] {
        assert!(text.contains(name));
    }
    // Every string of every event, the tags of the format aside.
    for event in &mut events {
        let mut value = serde_json::to_value(&event).expect("events are JSON");
        let fields = value.as_object_mut().expect("an object");
        for (key, field) in fields {
            let fixed =
                ["event", "time", "outcome", "status", "state", "phase", "level"].contains(&key.as_str());
            if let (false, Some(text)) = (fixed, field.as_str()) {
                *field = format!("{text}{evil}").into();
            }
        }
        *event = serde_json::from_value(value).expect("still an event");
    }
    let mut plan = fixture::plan();
    for cluster in &mut plan.clusters {
        cluster.name.push_str(evil);
        cluster.networks.iter_mut().for_each(|network| network.key.push_str(evil));
        cluster.nodes.iter_mut().for_each(|node| node.label.push_str(evil));
    }
    let attachment = Attachment { name: evil.into(), text: evil.into() };
    let page = render(&events, Some(&plan), &[attachment]).expect("a page");
    assert_eq!(page.matches("<script").count(), 1, "only our own");
    assert_eq!(page.matches("</script").count(), 1, "only our own");
    assert_eq!(page.matches("<img").count(), 0);
    assert!(page.contains("&lt;script&gt;alert(1)"));
}

#[test]
fn the_policy_allows_exactly_the_script_of_the_page() {
    let page = page();
    let (_, script) = page.split_once("<script>").expect("a script");
    let (script, _) = script.split_once("</script>").expect("its end");
    let hash = format!("'sha256-{}'", base64(&Sha256::digest(script)));
    assert!(page.contains(&hash), "SCRIPT_HASH in src/html/mod.rs must be {hash}");
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(*chunk.get(at).unwrap_or(&0)));
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            text.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[index as usize]) });
        }
    }
    text
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = page();
    for reference in ["http://", "https://", "src=", "@import", "url(//"] {
        assert!(!page.contains(reference), "{reference}");
    }
}

#[test]
fn every_failed_check_has_its_evidence() {
    let page = page();
    for (index, (suite, check, node, reason, output)) in FAILURES.iter().enumerate() {
        assert!(page.contains(&escaped(&format!("{suite}/{check}"))), "{check}");
        assert!(page.contains(&escaped(reason)), "{reason}");
        let last = output.trim_end().lines().last().expect("output");
        let last = last.replace("\u{1b}[31m", "").replace("\u{1b}[0m", "");
        assert!(page.contains(&escaped(&last)), "{last}");
        assert!(page.contains(&format!("Console of {node}")), "{node}");
        // From the timeline, the grid and the table.
        assert_eq!(page.matches(&format!("href=\"#failure-{}\"", index + 1)).count(), 3, "{check}");
    }
}

#[test]
fn the_timeline_has_a_bar_for_every_check_task_and_phase() {
    let page = page();
    let (timeline, _) = page.split_once("class=\"legend\"").expect("a legend");
    assert_eq!(timeline.matches("class=\"bar check ").count(), 81);
    assert_eq!(timeline.matches("class=\"bar check failed").count(), 3);
    assert_eq!(timeline.matches("class=\"bar task ").count(), 120);
    assert_eq!(timeline.matches("class=\"bar phase ").count(), 5);
    for (suite, checks) in SUITES {
        for check in checks {
            assert_eq!(timeline.matches(&escaped(&format!("check {suite}/{check}\n"))).count(), NODES.len());
        }
    }
}

#[test]
fn the_topology_names_networks_nodes_and_partitions() {
    let page = page();
    for word in
        ["10.10.0.0/24", "10.10.1.0/24", "10.10.1.12", "2 CPU · 2 GiB", "2 CPU · 1536 MiB", "debug, gpu"]
    {
        assert!(page.contains(&escaped(word)), "{word}");
    }
}

#[test]
fn a_long_attachment_is_cut_and_says_so() {
    let page = page();
    assert!(page.contains("bytes left out here"));
    assert!(page.contains("line 19999") && page.len() < 900_000, "{}", page.len());
}

#[test]
fn a_page_can_be_made_of_any_beginning_of_a_run() {
    let events = fixture::events();
    for length in (0..events.len()).step_by(17) {
        let page = render(events.get(..length).expect("within"), None, &[]).expect("a page");
        assert!(page.contains("Interrupted"), "after {length} events");
    }
}

#[test]
fn an_appliance_has_a_model_and_neither_disk_nor_network() {
    let mut plan = fixture::plan();
    let node = plan.clusters[0].nodes[0].clone();
    let node = plan::model::NodePlan {
        domain: "prompts-prompt-01".into(),
        label: "prompt-01".into(),
        role: config::model::Role::Appliance,
        image: config::model::Image::Appliance(Some("/models/phi.gguf".into())),
        disk_gib: 0,
        interfaces: Vec::new(),
        ..node
    };
    let cluster = plan::model::ClusterPlan::of_appliances("prompts");
    plan.clusters = vec![plan::model::ClusterPlan { nodes: vec![node], ..cluster }];
    let page = render(&fixture::events(), Some(&plan), &[]).expect("a page");
    for word in ["appliance", "prompt-01", &escaped("model /models/phi.gguf")] {
        assert!(page.contains(word), "{word}");
    }
    assert!(!page.contains("disk 0 GiB") && !page.contains("0.0.0.0"));
    // Where no network is, there is no room for one: the picture has the node and its frame.
    assert!(page.contains(r#"<svg width="230" height="132""#));
}

/// A lab of 24 nodes in which one node does not boot and a task fails on another.
fn broken_lab() -> (Vec<Event>, plan::model::Plan, Vec<Attachment>) {
    let mut plan = fixture::plan();
    let cluster = plan.clusters.first_mut().expect("a cluster");
    let compute = cluster.nodes.last().expect("a node").clone();
    for index in 3..=23 {
        let name = format!("compute-{index:02}");
        let console = format!("consoles/demo-{name}.log");
        cluster.nodes.push(plan::model::NodePlan {
            name: name.clone(),
            label: name,
            console,
            ..compute.clone()
        });
    }
    let mut told = vec![(0.0, EventKind::PhaseStarted { phase: Phase::Boot })];
    for (index, node) in cluster.nodes.iter().enumerate() {
        let start = 0.3 * index as f64;
        let state = |state, detail: &str| EventKind::NodeState {
            node: node.name.clone(),
            state,
            detail: detail.into(),
        };
        told.push((start, state(NodeState::Booting, "")));
        told.push(match index {
            7 => (start + 30.0, state(NodeState::Failed, "not ready after 30 s")),
            _ => (start + 7.0, state(NodeState::Ready, "")),
        });
        for (at, check) in ["link-up", "ping-all", "mpi-hello"].into_iter().enumerate() {
            let outcome = if index % 9 == 4 { Outcome::Failed } else { Outcome::Passed };
            told.push((
                43.0 + at as f64 + 0.02 * index as f64,
                EventKind::CheckFinished {
                    suite: "fabric".into(),
                    check: check.into(),
                    node: node.name.clone(),
                    fork: String::new(),
                    outcome,
                    seconds: 0.8,
                    reason: if outcome == Outcome::Failed { "no carrier".into() } else { String::new() },
                    output: String::new(),
                },
            ));
        }
    }
    told.push((
        38.0,
        EventKind::PhaseFinished { phase: Phase::Boot, outcome: Outcome::Failed, seconds: 38.0 },
    ));
    told.push((38.1, EventKind::PhaseStarted { phase: Phase::Deploy }));
    told.push((
        42.0,
        EventKind::Task {
            play: "SLURM cluster".into(),
            task: "slurmd : start service".into(),
            node: "compute-02".into(),
            status: TaskStatus::Failed,
            message: "Unable to start service slurmd\nslurmd: fatal: gres.conf: no such device".into(),
            seconds: 3.5,
        },
    ));
    let panic = "\u{1b}[31mKernel panic - not syncing: VFS: Unable to mount root fs\u{1b}[0m\r\n";
    let console = Attachment { name: "consoles/demo-compute-07.log".into(), text: panic.into() };
    (fixture::stamp(told), plan, vec![console])
}

#[test]
fn nodes_and_tasks_that_failed_have_their_evidence() {
    let (events, plan, attachments) = broken_lab();
    let page = render(&events, Some(&plan), &attachments).expect("a page");
    for evidence in [
        "not ready after 30 s",
        "Kernel panic - not syncing: VFS: Unable to mount root fs",
        "Unable to start service slurmd",
        "slurmd: fatal: gres.conf: no such device",
        "the record has no end",
    ] {
        assert!(page.contains(&escaped(evidence)), "{evidence}");
    }
    // It stays in the target folder, to be looked at.
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-broken");
    std::fs::create_dir_all(&folder).expect("a folder of ours");
    std::fs::write(folder.join("report.html"), page).expect("a folder of ours");
}

#[test]
fn what_ran_on_a_fork_is_told_apart_from_the_same_on_the_lab() {
    let (mut events, plan, _) = broken_lab();
    for event in &mut events {
        if let EventKind::CheckFinished { check, node, fork, .. } = &mut event.kind
            && (check.as_str(), node.as_str()) == ("link-up", "compute-04")
        {
            "test-2".clone_into(fork);
        }
    }
    let console = Attachment { name: "consoles/demo-compute-04@test-2.log".into(), text: "it fell".into() };
    let page = render(&events, Some(&plan), &[console]).expect("a page");
    assert!(page.contains("compute-04@test-2"), "the fork is not named");
    assert!(page.contains("it fell"), "the console of the fork's node is not shown");
}

#[test]
fn a_large_lab_is_drawn_in_rows_that_each_show_the_networks() {
    let (events, plan, attachments) = broken_lab();
    let page = render(&events, Some(&plan), &attachments).expect("a page");
    assert_eq!(page.matches("class=\"node ").count(), 24);
    assert_eq!(page.matches("class=\"network ").count(), 2 * 5);
}
