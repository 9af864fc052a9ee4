//! A plan as a graph: clusters hold networks and nodes, an edge is a network card.

use std::fmt::Write;

use crate::{model::Plan, text::told};

/// Mermaid, as Markdown viewers draw it.
pub fn mermaid(plan: &Plan) -> String {
    let mut out = String::from("flowchart TB\n");
    for (index, cluster) in plan.clusters.iter().enumerate() {
        // Writing to a string cannot fail, so the results are not looked at.
        let _ = writeln!(
            out,
            "  subgraph c{index}[\"{}\"]",
            mermaid_text(&format!("{} ({})", cluster.name, cluster.kind))
        );
        for (at, network) in cluster.networks.iter().enumerate() {
            let label = mermaid_text(&network.name);
            let _ = writeln!(out, "    c{index}n{at}([\"{label}<br/>{}\"])", network.subnet);
        }
        for (at, node) in cluster.nodes.iter().enumerate() {
            let label = mermaid_text(&node.name);
            let more: String = told(node).iter().map(|line| format!("<br/>{}", mermaid_text(line))).collect();
            let _ = writeln!(
                out,
                "    c{index}m{at}[\"{label}<br/>{} CPU, {} MiB{more}\"]",
                node.cpus, node.memory_mib
            );
            for interface in &node.interfaces {
                if let Some(network) =
                    cluster.networks.iter().position(|network| network.name == interface.network)
                {
                    let _ = writeln!(out, "    c{index}n{network} ---|{}| c{index}m{at}", interface.address);
                }
            }
        }
        out.push_str("  end\n");
    }
    out
}

/// DOT, as Graphviz draws it.
pub fn dot(plan: &Plan) -> String {
    let mut out = format!("graph {} {{\n  node [shape=box];\n", dot_text(&plan.lab));
    for (index, cluster) in plan.clusters.iter().enumerate() {
        let label = dot_text(&format!("{} ({})", cluster.name, cluster.kind));
        let _ = writeln!(out, "  subgraph cluster_{index} {{\n    label={label};");
        for network in &cluster.networks {
            let (id, label) =
                (dot_text(&network.name), dot_text(&format!("{}\n{}", network.name, network.subnet)));
            let _ = writeln!(out, "    {id} [shape=ellipse, label={label}];");
        }
        for node in &cluster.nodes {
            let more: String = told(node).iter().map(|line| format!("\n{line}")).collect();
            let label = dot_text(&format!("{}\n{} CPU, {} MiB{more}", node.name, node.cpus, node.memory_mib));
            let _ = writeln!(out, "    {} [label={label}];", dot_text(&node.domain));
            for interface in &node.interfaces {
                let (network, domain) = (dot_text(&interface.network), dot_text(&node.domain));
                let _ = writeln!(out, "    {network} -- {domain} [label=\"{}\"];", interface.address);
            }
        }
        out.push_str("  }\n");
    }
    out.push_str("}\n");
    out
}

/// Mermaid has HTML entities for what would end its string.
fn mermaid_text(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("#amp;"),
            '"' => out.push_str("#quot;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '#' => out.push_str("#35;"),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A DOT string with its quotes.
fn dot_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        derive::plan,
        model::tests::{lab, mixed_lab},
    };

    #[test]
    fn both_graphs_name_every_node_and_address() {
        let plan = plan(&lab());
        for text in [mermaid(&plan), dot(&plan)] {
            for (_, node) in plan.nodes() {
                assert!(text.contains(&node.name) && text.contains(&node.address().to_string()), "{text}");
            }
        }
        insta::assert_snapshot!(mermaid(&plan));
    }

    #[test]
    fn an_appliance_is_a_node_with_a_model_and_without_an_edge() {
        let mut lab = mixed_lab();
        lab.clusters[1].nodes[1].append = "a=\"b\" <c>".into();
        let plan = plan(&lab);
        let texts = [mermaid(&plan), dot(&plan)];
        for text in &texts {
            for word in
                ["prompts (appliance)", "prompt-01", "model none", "model models/phi.gguf", "append a="]
            {
                assert!(text.contains(word), "{word}: {text}");
            }
            assert!(!text.contains("0.0.0.0"), "{text}");
        }
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn a_name_cannot_end_its_string() {
        let mut lab = lab();
        lab.clusters[0].nodes[0].name = "a\"]; evil".into();
        lab.clusters[0].name = "b\\\" -- x".into();
        let plan = plan(&lab);
        assert!(mermaid(&plan).contains("a#quot;]; evil"));
        assert!(dot(&plan).contains(r#"b\\\" -- x"#));
    }
}
