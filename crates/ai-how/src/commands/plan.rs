//! `ai-how plan`: what a file becomes, and how it would start now.

use std::collections::BTreeMap;

use config::{Code, Version, model::Image as ImageName};
use engine::{Forecast, Start};
use image::{Base, Recipe, Store};
use lab::accelerator;
use plan::model::ClusterPlan;
use system::cancel::Cancel;

use super::{changes, cluster};
use crate::{
    bring_up,
    cli::{Lab, Part, Plan, PlanClusters, PlanClustersFormat, PlanFormat, PlanShow, PlanView},
    document::{self, Document},
    exit,
    failure::Failure,
    output,
    settings::Settings,
};

pub(crate) fn run(arguments: &Plan, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    match &arguments.view {
        Some(PlanView::Clusters(arguments)) => clusters(arguments, settings),
        Some(PlanView::Show(arguments)) => show(arguments, settings, cancel),
        None => show(&arguments.whole, settings, cancel),
    }
}

/// What a start would change.
fn diff(arguments: &PlanShow, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let json = match arguments.format {
        PlanFormat::Text => false,
        PlanFormat::Json => true,
        PlanFormat::Mermaid | PlanFormat::Dot => {
            return Err(Failure::new(exit::USAGE, "--diff is written as text or JSON"));
        }
    };
    let (place, fork) = (arguments.place, arguments.fork.clone());
    let lab = Lab { file: arguments.file.clone(), place, fork };
    let part = Part { lab, cluster: arguments.cluster.clone() };
    let (plan, site) = document::site(&part.lab, settings)?;
    let scope = cluster::scope(&part, &[&plan])?;
    changes::show(&changes::find(&site, &plan, &scope, cancel)?, &site, json)
}

/// The planned machines, in the form of version 1.0.
fn clusters(arguments: &PlanClusters, settings: &Settings) -> Result<u8, Failure> {
    let document = Document::load(&arguments.file, false, settings)?;
    let list = match list_as_written(&document) {
        Some(list) => list,
        None => plan::clusters::json(&document.plan(settings)?, &document.data()?),
    };
    let list = match arguments.format {
        PlanClustersFormat::Text => output::clean(&plan::clusters::text(&list)),
        PlanClustersFormat::Markdown => output::clean(&plan::clusters::markdown(&list)),
        PlanClustersFormat::Json => format!("{list:#}\n"),
    };
    output::to(arguments.output_file.as_deref(), &list)?;
    Ok(exit::OK)
}

/// What a file of version 1.0 says that no lab can be made of: scripts list the machines of such files, too. Where it
/// cannot be told what it says, or another version is meant, its errors are.
fn list_as_written(document: &Document) -> Option<serde_json::Value> {
    let loaded = &document.loaded;
    let unknown =
        |found: &config::Diagnostic| matches!(found.code, Code::UnboundVariable | Code::BadExpansion);
    let is_known = match loaded.version {
        Some(Version::V1) => !loaded.diagnostics.iter().any(unknown),
        Some(Version::V2) => false,
        // Nobody has looked at its expressions.
        None => !document.source().ok()?.contains("${"),
    };
    if loaded.lab.is_some() || !is_known {
        return None;
    }
    let list = plan::clusters::as_written(&document.data().ok()?)?;
    let file = document.path.display();
    output::words(format_args!(
        "warning: {file} cannot be started; this is what it says, and `ai-how validate {file}` tells what is wrong\n"
    ));
    Some(list)
}

fn show(arguments: &PlanShow, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    if arguments.diff {
        return diff(arguments, settings, cancel);
    }
    let plan = document::plan(&arguments.file, settings)?;
    match arguments.format {
        PlanFormat::Text => {
            output::text(plan::text(&plan))?;
            output::text(format_args!("\n{}", start(&plan, settings)?))?;
        }
        PlanFormat::Json => output::json(&plan)?,
        PlanFormat::Mermaid => output::text(plan::graph::mermaid(&plan))?,
        PlanFormat::Dot => output::text(plan::graph::dot(&plan))?,
    }
    Ok(exit::OK)
}

/// How a lab that has no disks yet would start.
fn start(plan: &plan::Plan, settings: &Settings) -> Result<String, Failure> {
    let Some(verdict) = accelerator::known(&settings.cache, plan.archs()) else {
        return Ok("start: not known before `ai-how doctor` or a first start has looked at this machine\n"
            .to_owned());
    };
    let store = Store::new(&settings.cache);
    let mut images = BTreeMap::new();
    for (_, node) in plan.nodes() {
        let title = engine::title(node);
        let base = match &node.image {
            ImageName::Built(name) => match store.find(Recipe::find(name, node.arch)?) {
                Some(image) => Base::from(&image),
                None => {
                    let slurm = plan.clusters.iter().any(|cluster| cluster.slurm.is_some());
                    let deploys = if slurm { ", boots, and deploys with Ansible" } else { ", and boots" };
                    return Ok(format!("start: builds the image {title}{deploys}\n"));
                }
            },
            ImageName::Appliance(_) => match engine::known_appliance(node, &store) {
                Ok(Some(base)) => base,
                Ok(None) => return Ok(format!("start: builds the image {title}\n")),
                Err(error) => return Ok(format!("start: not possible, {error}\n")),
            },
            _ => match engine::own_image(node) {
                Ok(base) => base,
                Err(error) => return Ok(format!("start: not possible, {error}\n")),
            },
        };
        images.insert(title, base);
    }
    let deployed = bring_up::deployed(plan, None)?;
    let start =
        Start { templates: Some(&settings.templates), ..Start::of(plan, &images, &verdict, &deployed) };
    let forecasts = engine::forecast(&start)?;
    Ok(forecasts.iter().zip(&plan.clusters).map(|(forecast, cluster)| line(forecast, cluster)).collect())
}

fn line(forecast: &Forecast, cluster: &ClusterPlan) -> String {
    if cluster.is_appliance() {
        return format!("start of {}: each boots to its prompt\n", cluster.name);
    }
    let is_kubernetes = cluster.kubernetes.is_some();
    let Forecast { cluster, boots, uncopyable, others, undeployable, deploys } = forecast;
    let mut steps: Vec<String> =
        uncopyable.iter().map(|(node, why)| format!("boots {node}, because {why}")).collect();
    match deploys {
        None if !is_kubernetes => steps.push("copies of its deployed nodes, without Ansible".to_owned()),
        _ if !boots.is_empty() => {
            let shapes: Vec<&str> = boots.iter().map(String::as_str).collect();
            let shapes = shapes.join("; ");
            steps.push(format!("boots one machine of each new shape ({shapes}), and copies it"));
        }
        _ if uncopyable.is_empty() => steps.push("copies of templates".to_owned()),
        _ if *others => steps.push("all others are copies of templates".to_owned()),
        _ => {}
    }
    match (undeployable, deploys) {
        _ if is_kubernetes => {
            let then = "`ai-how cluster deploy-kubernetes` makes it a Kubernetes cluster then";
            steps.push(then.to_owned());
        }
        (Some(why), _) => steps.push(format!("SLURM is not deployed, because {why}")),
        (None, Some(why)) => steps.push(format!("then a deploy with Ansible, because {why}")),
        (None, None) => {}
    }
    format!("start of {cluster}: {}\n", steps.join("; "))
}
