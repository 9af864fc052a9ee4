//! `ai-how inventory`: devices of the host, and hosts for Ansible.

use std::path::Path;

use config::hardware::DeviceSource;
use deploy::generated::{self, Inventory as Hosts, Reach};
use lab::passthrough;
use plan::model::ClusterPlan;
use serde_json::{Value, json};
use system::{
    cancel::Cancel,
    file,
    pci::{Function, Host},
};

use crate::{
    cli::{Format, Generate, Inventory, InventoryFormat},
    document::Document,
    exit,
    failure::Failure,
    output,
    settings::Settings,
};

pub(crate) fn run(command: &Inventory, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    match command {
        Inventory::Pcie { format, root } => pcie(&Host::at(root), *format),
        Inventory::Gpu { format, root } => gpu(&Host::at(root), *format),
        Inventory::GenerateHpc(arguments) => generate(arguments, "slurm", settings, cancel),
        Inventory::GenerateK8s(arguments) => generate(arguments, "kubernetes", settings, cancel),
    }
}

fn pcie(host: &Host, format: Format) -> Result<u8, Failure> {
    let functions = host.functions();
    let is_vfio = |function: &Function| function.driver.as_deref().is_some_and(passthrough::is_vfio);
    let conflicts = |function: &Function| function.driver.as_deref().is_some_and(passthrough::is_conflicting);
    match format {
        Format::Json => {
            let list: Vec<Value> = functions
                .iter()
                .map(|function| {
                    let mut value = function_json(function);
                    value["vfio"] = is_vfio(function).into();
                    value["conflicting"] = conflicts(function).into();
                    value
                })
                .collect();
            output::json(&json!({"devices": list}))?;
        }
        Format::Text => {
            let yes = |holds| if holds { "yes" } else { "" }.to_owned();
            let mut rows = vec![
                ["address", "class", "ids", "driver", "vfio", "conflicting", "group"].map(str::to_owned),
            ];
            rows.extend(functions.iter().map(|function| {
                [
                    function.address.clone(),
                    format!("{:04x}", function.class >> 8),
                    ids(function),
                    function.driver.clone().unwrap_or_default(),
                    yes(is_vfio(function)),
                    yes(conflicts(function)),
                    group(function),
                ]
            }));
            output::data(plan::columns(&rows))?;
            let count = |holds: &dyn Fn(&Function) -> bool| functions.iter().filter(|one| holds(one)).count();
            output::data(format_args!(
                "\n{} devices, {} bound to VFIO, {} bound to a driver that holds them\n",
                functions.len(),
                count(&is_vfio),
                count(&conflicts)
            ))?;
        }
    }
    Ok(exit::OK)
}

fn gpu(host: &Host, format: Format) -> Result<u8, Failure> {
    let functions = host.functions();
    let owner = |address: &str| engine::device_owner(&DeviceSource::Pci(address.to_owned()));
    let mates = |gpu: &Function| -> Vec<&Function> {
        let with = functions.iter().filter(|mate| mate.iommu_group.is_some());
        with.filter(|mate| mate.iommu_group == gpu.iommu_group && mate.address != gpu.address).collect()
    };
    let gpus: Vec<&Function> = functions.iter().filter(|function| function.is_gpu()).collect();
    match format {
        Format::Json => {
            let of = |gpu: &&Function| {
                let mut value = function_json(gpu);
                let mates = mates(gpu);
                value["group_mates"] = mates.iter().map(|mate| mate.address.as_str()).collect();
                value["mates"] = mates
                    .iter()
                    .map(|mate| json!({"address": mate.address, "kind": mate.kind().name(), "driver": mate.driver}))
                    .collect();
                value["mig_capable"] = gpu.is_mig_capable().into();
                let instances = host.mig_instances(&gpu.address);
                value["mig_instances"] = (instances > 0).then_some(instances).into();
                value["mdev_types"] = gpu.mdev_types.clone().into();
                value["mdevs"] = gpu.mdevs.iter().map(|uuid| {
                    json!({"uuid": uuid, "owner": engine::device_owner(&DeviceSource::Mdev(uuid.clone()))})
                }).collect();
                value["owner"] = json!(owner(&gpu.address));
                value
            };
            output::json(&json!({"gpus": gpus.iter().map(of).collect::<Vec<_>>()}))?;
        }
        Format::Text if gpus.is_empty() => output::words("this host has no GPU\n"),
        Format::Text => {
            let mut rows =
                vec![["address", "ids", "driver", "group", "mates", "divided", "owner"].map(str::to_owned)];
            rows.extend(gpus.iter().map(|gpu| {
                let mates = mates(gpu).into_iter();
                let mates = mates.map(|mate| format!("{} ({})", mate.address, mate.kind().name()));
                [
                    gpu.address.clone(),
                    ids(gpu),
                    gpu.driver.clone().unwrap_or_default(),
                    group(gpu),
                    mates.collect::<Vec<_>>().join(" "),
                    divided(gpu, host.mig_instances(&gpu.address)),
                    owner(&gpu.address).unwrap_or_default(),
                ]
            }));
            output::data(plan::columns(&rows))?;
        }
    }
    Ok(exit::OK)
}

/// What a GPU can be divided into, and is.
fn divided(gpu: &Function, instances: usize) -> String {
    let counted = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{count} {word}s")),
    };
    // Only in MIG mode there are instances; without one nothing tells which mode it is.
    let mig = match counted(instances, "instance") {
        Some(instances) => Some(format!("MIG on ({instances})")),
        None => gpu.is_mig_capable().then(|| "MIG".to_owned()),
    };
    [mig, counted(gpu.mdev_types.len(), "type")].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn ids(function: &Function) -> String {
    format!("{:04x}:{:04x}", function.vendor, function.device)
}

fn group(function: &Function) -> String {
    function.iommu_group.map(|group| group.to_string()).unwrap_or_default()
}

fn function_json(function: &Function) -> Value {
    json!({
        "address": function.address,
        "class": format!("{:06x}", function.class),
        "vendor_id": format!("{:04x}", function.vendor),
        "device_id": format!("{:04x}", function.device),
        "driver": function.driver,
        "iommu_group": function.iommu_group,
    })
}

fn generate(arguments: &Generate, kind: &str, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let document = Document::load(&arguments.file, false, settings)?;
    let plan = document.plan(settings)?;
    let cluster =
        plan.clusters.iter().find(|cluster| cluster.key == arguments.cluster && cluster.kind == kind);
    let Some(cluster) = cluster else {
        let known: Vec<&str> = plan
            .clusters
            .iter()
            .filter(|cluster| cluster.kind == kind)
            .map(|cluster| cluster.key.as_str())
            .collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let message = format!(
            "there is no {kind} cluster `{}` in {}; there are: {known}",
            arguments.cluster,
            arguments.file.display()
        );
        return Err(Failure::new(exit::USAGE, message));
    };
    let site = settings.site(&plan.lab, &arguments.file, arguments.place);
    let reach = reach(arguments, cluster, &site.folder.path().join("ssh/id_ed25519"));
    // A lab that has been started leaves nodes out that are off; before that, all are told.
    let off = match site.plan()? {
        None => Vec::new(),
        Some(_) => off(&site, &plan, cancel)?,
    };
    for domain in cluster.nodes.iter().map(|node| &node.domain).filter(|domain| off.contains(domain)) {
        output::words(format_args!("note: {domain} is off and left out\n"));
    }
    let hosts = if kind == "slurm" {
        generated::slurm(cluster, &document.data()?, &off, &reach)
    } else {
        // Host keys of machines to come are not known to anybody.
        let arguments = Some(reach.arguments).filter(|arguments| !arguments.is_empty());
        let arguments = arguments.unwrap_or_else(|| "-o StrictHostKeyChecking=accept-new".to_owned());
        generated::kubernetes(cluster, &off, &Reach { arguments, ..reach })
    };
    write(arguments, &hosts)?;
    if let Some(output) = &arguments.output {
        let folder = output.parent().unwrap_or(Path::new(""));
        for (name, text) in generated::kubespray_variables(cluster) {
            output::to(Some(&folder.join(name)), &text)?;
        }
    }
    Ok(exit::OK)
}

fn write(arguments: &Generate, hosts: &Hosts) -> Result<(), Failure> {
    let text = match arguments.format {
        InventoryFormat::Ini => hosts.ini(),
        InventoryFormat::Yaml => hosts.yaml(),
        InventoryFormat::Json => format!("{:#}\n", hosts.json()),
    };
    output::to(arguments.output.as_deref(), &text)
}

fn off(site: &engine::Site, plan: &plan::Plan, cancel: &Cancel) -> Result<Vec<String>, Failure> {
    let nodes = engine::status(site, plan, cancel)?;
    let runs = nodes.iter().any(|node| node.state == "running");
    let off = nodes.into_iter().filter(|node| runs && node.state != "running").map(|node| node.domain);
    Ok(off.collect())
}

fn reach(arguments: &Generate, cluster: &ClusterPlan, key: &Path) -> Reach {
    let config = key.with_file_name("config");
    let of_lab = Reach::of_lab(cluster, key, file::read(&config).is_ok().then_some(&config));
    Reach {
        user: arguments.ssh_user.clone().unwrap_or(of_lab.user),
        key: arguments.ssh_key.as_ref().map_or(of_lab.key, |key| key.display().to_string()),
        arguments: of_lab.arguments,
    }
}
